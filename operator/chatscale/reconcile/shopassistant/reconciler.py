"""One pass over one ShopAssistant. Level-triggered: it depends on the present state only. A second pass writes nothing.

read -> validate -> read the pods' states -> plan the children -> apply the plan -> status -> Events.
"""

import logging
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Final

from chatscale import names
from chatscale.api.v1alpha1 import ShopAssistant, ShopAssistantStatus, parse_shopassistant
from chatscale.cluster.cache import WatchCache
from chatscale.cluster.interface import (
    AUTOSCALER,
    CHILD_KINDS,
    CONFIGMAP,
    DEPLOYMENT,
    SHOPASSISTANT,
    Cluster,
    Manifest,
)
from chatscale.desired.assistant.children import build_children, build_signing_secret
from chatscale.desired.assistant.configuration import spec_digest
from chatscale.desired.assistant.workload import AssistantPods
from chatscale.desired.manifest import ObjectKey
from chatscale.desired.network_policy import PodAccess
from chatscale.errors import (
    ConflictError,
    ForbiddenError,
    InvalidSpecError,
    NotFoundError,
    RejectedRequestError,
)
from chatscale.observe.assistants import StateReader, readable
from chatscale.observe.gateways import DemandSource
from chatscale.observe.pods import Pod
from chatscale.reconcile.children import (
    apply_children,
    apply_count,
    delete_leftovers,
    find_taken_name,
    get_if_exists,
    plan_children,
)
from chatscale.reconcile.events import build_events
from chatscale.reconcile.moment import Moment
from chatscale.reconcile.ownership import is_ours
from chatscale.reconcile.posting import post_event
from chatscale.reconcile.refusal import Refusal
from chatscale.reconcile.shopassistant.memory import ChildrenInput, Memory
from chatscale.reconcile.shopassistant.pass_result import PassResult
from chatscale.reconcile.shopassistant.pins import stored_pins
from chatscale.reconcile.shopassistant.snapshot import Snapshot, take_snapshot
from chatscale.reconcile.shopassistant.status import (
    as_patch,
    compute_status,
    invalid_status,
    status_events,
    write_due_in_s,
)

READ_EVERY_S: Final = 5.0
"""Between two readings of the pods' states, unless pods come, go or change their phase."""
CHECK_EVERY_S: Final = 30.0
"""Between two checks whether a ConfigMap exists that pods report as missing, and two tries to create a lost Secret."""
REFUSED_RETRY_S: Final = 60.0
"""After a refusal. Its cause can be outside the spec, such as a quota or a name that is taken."""
RESYNC_S: Final = 600.0
"""Maximum time between two full passes."""
GONE_RETRY_S: Final = 1.0
"""After a request of this pass found no object: most likely someone deleted the ShopAssistant meanwhile."""

log = logging.getLogger(__name__)


class ShopAssistantReconciler:
    """Passes over ShopAssistants, and the memory between them."""

    def __init__(
        self,
        cluster: Cluster,
        cache: WatchCache,
        reader: StateReader,
        pods: AssistantPods,
        clock: Callable[[], datetime],
        monotonic: Callable[[], float],
        new_key: Callable[[], bytes],
        gateways: DemandSource | None = None,
        *,
        access: PodAccess = PodAccess(),  # noqa: B008 - frozen
    ) -> None:
        """clock: the wall clock. monotonic: seconds, from any start. new_key: returns 32 random bytes.

        access: who may connect to the pods.
        """
        self._cluster = cluster
        self._cache = cache
        self._reader = reader
        self._pods = pods
        self._access = access
        self._clock = clock
        self._monotonic = monotonic
        self._new_key = new_key
        self._gateways = gateways
        self._memories: dict[ObjectKey, Memory] = {}

    async def reconcile(self, key: ObjectKey) -> float | None:
        """Run one pass. Returns the seconds until the next one is due, None if the ShopAssistant does not exist.

        Raises ClusterUnavailableError (retry later) and ConflictError (wait for the watch). Other errors are bugs.
        """
        snapshot = take_snapshot(self._cache, key)
        if snapshot is None:
            self._forget(key)
            return None
        now = Moment(self._clock().replace(microsecond=0), self._monotonic())
        memory = self._memory(key, snapshot.meta.uid)
        try:
            return await self._pass(snapshot, parse_shopassistant(snapshot.manifest), memory, now)
        except InvalidSpecError as error:
            after = invalid_status(snapshot.status, snapshot.meta.generation, str(error), now.wall)
            due_s = await self._report(snapshot, snapshot.status, after, memory, now)
            return min(REFUSED_RETRY_S, due_s)
        except NotFoundError:
            await self._drop_if_deleted(key, snapshot)
            return GONE_RETRY_S

    async def _pass(self, snapshot: Snapshot, assistant: ShopAssistant, memory: Memory, now: Moment) -> float:
        await self._read_states(assistant, snapshot.pods, memory, now)
        pins = stored_pins(assistant)
        children = _children_input(snapshot, assistant, pins)
        deployment = _ours(snapshot.children.get(DEPLOYMENT.name), assistant)
        replicas = _replicas(assistant, deployment)
        await self._ensure_signing_key(assistant, memory, now, is_missed=bool(snapshot.volume_waits))
        if memory.needs_plan(children, now):
            deployment = await self._apply(snapshot, assistant, pins, replicas, memory)
            memory.planned = children
            memory.plan_again_at_s = now.monotonic_s + (REFUSED_RETRY_S if memory.refusal else RESYNC_S)
        result = PassResult(
            assistant=assistant,
            pods=snapshot.pods,
            current=_current_pods(snapshot, assistant),
            volume_waits=snapshot.volume_waits,
            deployment=deployment,
            replicas=replicas,
            reading=memory.reading,
            chat_model=snapshot.chat_model,
            namesake=snapshot.namesake is not None,
            missing_config_maps=await self._missing_config_maps(assistant, memory, now),
            refusal=memory.signing_refusal or memory.refusal,
            now=now.wall,
        )
        status_due_s = await self._report(snapshot, assistant.status, compute_status(result, now.wall), memory, now)
        waits_s = [status_due_s, max(0.0, memory.plan_again_at_s - now.monotonic_s)]
        if readable(snapshot.pods):
            waits_s.append(READ_EVERY_S)
        elif len(result.ready_pods) < replicas:
            waits_s.append(CHECK_EVERY_S)
        return min(waits_s)

    async def _read_states(self, assistant: ShopAssistant, pods: tuple[Pod, ...], memory: Memory, now: Moment) -> None:
        if memory.needs_reading(pods, now, READ_EVERY_S * 0.9):  # timers can fire a little early
            memory.keep_reading(await self._reader.read(assistant.key, pods), pods, now)

    async def _ensure_signing_key(
        self, assistant: ShopAssistant, memory: Memory, now: Moment, *, is_missed: bool
    ) -> None:
        """Create the Secret with the signing key unless it exists. The operator cannot read it, only try to create it.

        It tries once in its life, and again while pods wait for their volumes (is_missed): someone may have deleted it.
        """
        tried_at_s = memory.signing_key_tried_at_s
        if tried_at_s is not None and (now.since(tried_at_s) < CHECK_EVERY_S or not is_missed):
            return
        try:
            await self._cluster.create(build_signing_secret(assistant, self._new_key()))
            log.info("created", extra={"object": f"signing key of {assistant.key}"})
        except ConflictError:
            log.debug("the signing key exists", extra={"object": assistant.key})
        except (ForbiddenError, RejectedRequestError) as error:
            log.warning("signing key not created", extra={"object": assistant.key, "why": str(error)})
            memory.signing_refusal = Refusal.from_error(ForbiddenError(str(error)))
            return
        memory.signing_refusal = None
        memory.signing_key_tried_at_s = now.monotonic_s

    async def _apply(
        self, snapshot: Snapshot, assistant: ShopAssistant, pins: dict[str, str], replicas: int, memory: Memory
    ) -> Manifest | None:
        """Make the children match the spec. Returns the resulting Deployment."""
        desired = build_children(assistant, pins, self._pods, self._access)
        existing = await self._existing(snapshot, assistant, desired)
        plan = plan_children(assistant, desired, existing, memory.applied)
        await delete_leftovers(self._cluster, plan)
        found = next((child for child in existing if child["kind"] == DEPLOYMENT.name), None)
        refused_count = None
        deployment = _ours(found, assistant)
        try:
            deployment = await apply_count(self._cluster, assistant, deployment, replicas)
        except (InvalidSpecError, ForbiddenError) as error:
            refused_count = Refusal.from_error(error)
        taken = find_taken_name(assistant, existing)
        # A foreign Deployment of the same name is left out of the plan.
        deployment, refused = await apply_children(self._cluster, assistant, plan, deployment, replicas, memory.applied)
        memory.refusal = taken or refused_count or refused
        return deployment

    async def _existing(
        self, snapshot: Snapshot, assistant: ShopAssistant, desired: Sequence[Manifest]
    ) -> list[Manifest]:
        """What has the names of the children: from the cache, or from the API server if it lacks our label.

        All HPAs are in the cache.
        """
        found = dict(snapshot.children)
        for child in desired:
            kind = CHILD_KINDS[child["kind"]]
            if kind.name not in found and kind is not AUTOSCALER:
                other = await get_if_exists(self._cluster, kind, assistant, child["metadata"]["name"])
                found |= {kind.name: other} if other is not None else {}
        wanted = {child["kind"] for child in desired}
        return [each for kind, each in found.items() if kind in wanted or is_ours(each, assistant)]

    async def _missing_config_maps(self, assistant: ShopAssistant, memory: Memory, now: Moment) -> frozenset[str]:
        """The ConfigMaps that do not exist, of the sources that pods report as unusable. Only those are looked up."""
        states = memory.reading.states.values()
        unusable = {found.name for state in states for found in state.sources if found.message or not found.chunks}
        suspected = {s.config_map for s in assistant.spec.knowledge if s.config_map and s.name in unusable}
        if not suspected:
            memory.missing_config_maps, memory.checked_at_s = frozenset(), None
        elif memory.checked_at_s is None or now.since(memory.checked_at_s) >= CHECK_EVERY_S:
            found = {name: await get_if_exists(self._cluster, CONFIGMAP, assistant, name) for name in suspected}
            memory.missing_config_maps = frozenset(name for name, each in found.items() if each is None)
            memory.checked_at_s = now.monotonic_s
        return memory.missing_config_maps

    async def _report(
        self,
        snapshot: Snapshot,
        before: ShopAssistantStatus,
        after: ShopAssistantStatus,
        memory: Memory,
        now: Moment,
    ) -> float:
        """Write the status if it is due, and post the Events of its changes.

        Returns the seconds until a change that was not written is due.
        """
        meta = snapshot.meta
        since_s = None if memory.status_written_at_s is None else now.since(memory.status_written_at_s)
        due_in_s = write_due_in_s(before, after, since_s)
        if due_in_s == 0:
            await self._cluster.patch_status(SHOPASSISTANT, meta.namespace, meta.name, as_patch(after))
            memory.status_written_at_s = now.monotonic_s
        if before.phase != after.phase:
            change = {"from": before.phase, "to": after.phase}
            log.info("phase changed", extra={"shopassistant": f"{meta.namespace}/{meta.name}", **change})
        drafts = status_events(before, after)
        due = [draft for draft in drafts if not draft.warning or memory.warning_is_due(draft.reason, now)]
        for event in build_events(names.SHOPASSISTANT, meta, due, now.wall):
            await post_event(self._cluster, event)
        return due_in_s or RESYNC_S

    def forget_all(self) -> None:
        """Drop the memory of every ShopAssistant: another process has taken over."""
        self._memories.clear()

    def _memory(self, key: ObjectKey, uid: str) -> Memory:
        memory = self._memories.get(key)
        if memory is None or memory.uid != uid:
            memory = self._memories[key] = Memory(uid)
        return memory

    def _forget(self, key: ObjectKey) -> None:
        self._memories.pop(key, None)
        if self._gateways:
            self._gateways.forget(f"{key.namespace}/{key.name}")

    async def _drop_if_deleted(self, key: ObjectKey, snapshot: Snapshot) -> None:
        """Remove the ShopAssistant from the cache if it is deleted, whether or not a watch has reported that."""
        try:
            found = await self._cluster.get(SHOPASSISTANT, key.namespace, key.name)
        except NotFoundError:
            found = None
        if found is None or found["metadata"]["uid"] != snapshot.meta.uid:
            self._cache.remove(snapshot.manifest)


def _ours(deployment: Manifest | None, assistant: ShopAssistant) -> Manifest | None:
    return deployment if deployment is not None and is_ours(deployment, assistant) else None


def _replicas(assistant: ShopAssistant, deployment: Manifest | None) -> int:
    """The count: `spec.replicas.min`, or what the HPA set."""
    replicas = assistant.spec.replicas
    if replicas.max is None or deployment is None:
        return replicas.min
    return int(deployment["spec"].get("replicas", replicas.min))


def _current_pods(snapshot: Snapshot, assistant: ShopAssistant) -> frozenset[str]:
    digest = spec_digest(assistant.spec)
    return frozenset(name for name, found in snapshot.spec_digests.items() if found == digest)


def _children_input(snapshot: Snapshot, assistant: ShopAssistant, pins: dict[str, str]) -> ChildrenInput:
    versions = {kind: str(child["metadata"]["resourceVersion"]) for kind, child in snapshot.children.items()}
    return ChildrenInput(assistant.metadata.generation, tuple(sorted(versions.items())), tuple(sorted(pins.items())))
