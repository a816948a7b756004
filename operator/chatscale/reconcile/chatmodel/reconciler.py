"""One pass over one ChatModel. Level-triggered: it depends on the present state only, and a second pass writes nothing.

A pass reads the watch cache and sends requests to the API server only to change something:

read -> validate -> scrape -> decide -> plan the children -> scale -> apply the plan -> status -> Events.

A pass in which only the load changed is a scaling tick: it neither plans nor applies, so it does not build Service
and HPA.
"""

import logging
from collections.abc import Callable
from datetime import datetime
from typing import Final

from chatscale import metrics, names
from chatscale.api.v1alpha1 import ChatModel, ChatModelStatus, ObjectMeta, parse_chatmodel
from chatscale.cluster.cache import WatchCache
from chatscale.cluster.interface import CHATMODEL, DEPLOYMENT, Cluster, Manifest
from chatscale.desired.manifest import ObjectKey
from chatscale.desired.network_policy import PodAccess
from chatscale.desired.plan import Plan
from chatscale.desired.workload import ServerImages
from chatscale.errors import (
    ForbiddenError,
    InvalidSpecError,
    NotFoundError,
    RejectedRequestError,
)
from chatscale.observe.aggregate import observe
from chatscale.observe.gateways import DemandSource
from chatscale.observe.reader import MetricsReader, ScrapeResult
from chatscale.reconcile.chatmodel.children import (
    apply_marks,
    build_children,
    children_input,
    existing_children,
)
from chatscale.reconcile.chatmodel.events import (
    describe_restores,
    restored_events,
    scaling_events,
    status_events,
)
from chatscale.reconcile.chatmodel.memory import Memory
from chatscale.reconcile.chatmodel.pass_result import PassResult
from chatscale.reconcile.chatmodel.replicas import Writer
from chatscale.reconcile.chatmodel.resolution import (
    Resolution,
    count_to_write,
    record_change,
    reset_count,
    resolve_replicas,
)
from chatscale.reconcile.chatmodel.routing import find_alias_conflict, find_fallback_fault
from chatscale.reconcile.chatmodel.schedule import REFUSED_RETRY_S, RESYNC_S, due_in_s, plan_again_in_s
from chatscale.reconcile.chatmodel.snapshot import Snapshot, take_snapshot
from chatscale.reconcile.chatmodel.status import as_patch, compute_status, invalid_status, write_due_in_s
from chatscale.reconcile.chatmodel.turns import UpdateTurns
from chatscale.reconcile.chatmodel.updates import UpdateState
from chatscale.reconcile.chatmodel.victims import plan_marks
from chatscale.reconcile.children import (
    apply_children,
    apply_count,
    delete_leftovers,
    find_taken_name,
    plan_children,
)
from chatscale.reconcile.events import EventDraft, build_events
from chatscale.reconcile.moment import Moment
from chatscale.reconcile.ownership import is_ours
from chatscale.reconcile.posting import post_event
from chatscale.reconcile.refusal import Refusal
from chatscale.scaling.signals import Observation, ReplicaPhase

STATUS_RETRY_S: Final = 60.0
"""After the API server rejected a status."""
GONE_RETRY_S: Final = 1.0
"""After a request of this pass found no object: most likely someone deleted the ChatModel meanwhile."""

log = logging.getLogger(__name__)


class ChatModelReconciler:
    """Passes over ChatModels, and the memory between them."""

    def __init__(
        self,
        cluster: Cluster,
        cache: WatchCache,
        reader: MetricsReader,
        images: ServerImages,
        clock: Callable[[], datetime],
        monotonic: Callable[[], float],
        gateways: DemandSource | None = None,
        *,
        access: PodAccess = PodAccess(),  # noqa: B008 - frozen
        max_updates: int = 1,
        wake: Callable[[ObjectKey], None] = lambda _: None,
    ) -> None:
        """clock: the wall clock. monotonic: seconds, from any start. gateways: None if there are none.

        access: who may connect to replicas. max_updates: ChatModels that roll out a change by the operator at a time.
        wake: runs a pass over another ChatModel soon.
        """
        self._cluster = cluster
        self._cache = cache
        self._reader = reader
        self._images = images
        self._access = access
        self._turns = UpdateTurns(cache, images, max_updates)
        self._wake = wake
        self._clock = clock
        self._monotonic = monotonic
        self._gateways = gateways
        self._memories: dict[ObjectKey, Memory] = {}

    async def reconcile(self, key: ObjectKey) -> float | None:
        """Run one pass. Returns the seconds until the next one is due, None if the ChatModel does not exist.

        Raises ClusterUnavailableError (retry later) and ConflictError (wait for the watch). Other errors are bugs, as
        is a count that the API server rejects (RejectedRequestError).
        """
        snapshot = take_snapshot(self._cache, key)
        if snapshot is None:
            self._forget(key)
            return None
        now = Moment(self._clock().replace(microsecond=0), self._monotonic())
        try:
            chatmodel = parse_chatmodel(snapshot.manifest)
            return await self._pass(key, snapshot, chatmodel, now)
        except InvalidSpecError as error:
            before = snapshot.status
            after = invalid_status(before, snapshot.meta.generation, str(error), now.wall)
            status_due_s = await self._report(snapshot, before, after, [], now)
            return min(REFUSED_RETRY_S, status_due_s)
        except NotFoundError:
            await self._drop_if_deleted(key, snapshot)
            return GONE_RETRY_S

    async def _pass(self, key: ObjectKey, snapshot: Snapshot, chatmodel: ChatModel, now: Moment) -> float:
        memory = self._memory(key, chatmodel, now)
        scraped = await memory.refresh(self._reader, chatmodel, snapshot.pods, now)
        clients = self._gateways.demand(chatmodel.key, now.wall) if self._gateways else None
        seen = observe(snapshot.pods, memory.samples, scraped.taken_at, clients)
        resolution = resolve_replicas(snapshot, chatmodel, memory, seen, now.wall)

        children = children_input(snapshot, chatmodel, resolution)
        plan, taken, deployment = None, None, _ours(snapshot.deployment, chatmodel)
        if memory.needs_plan(children, now):
            plan, taken, deployment = await self._plan(snapshot, chatmodel, resolution, memory)
            await delete_leftovers(self._cluster, plan)

        reset = reset_count(memory, resolution, deployment)
        deployment, refused_count = await self._scale(snapshot, chatmodel, resolution, deployment, seen, now.wall)
        memory.deployment_replicas = deployment["spec"].get("replicas") if deployment else None
        restores = describe_restores(chatmodel, resolution.current.reverted, reset, resolution.replicas)
        memory.restores += restores
        if plan is not None:
            deployment, refused_child = await apply_children(
                self._cluster, chatmodel, plan, deployment, resolution.replicas, memory.applied
            )
            memory.refusal = taken or refused_child
            memory.planned = children
            memory.plan_again_at_s = now.monotonic_s + plan_again_in_s(memory)
            if memory.leaves_queue:
                self._turns.wake_next(self._plan_soon)

        refusal, waits = refused_count or memory.refusal, memory.update.message if memory.update else ""
        result = _result(snapshot, chatmodel, resolution, seen, scraped, deployment, refusal, waits, now.wall)
        events = [*restored_events(memory.take_restores(now)), *_scaling_events(resolution, result, memory)]
        _measure(key, result, resolution, len(restores))
        status_due_s = await self._report(snapshot, chatmodel.status, compute_status(result, now.wall), events, now)
        due_s = due_in_s(chatmodel, resolution, result, memory)
        return min(due_s, status_due_s, memory.restores_due_in_s(now))

    async def _plan(
        self, snapshot: Snapshot, chatmodel: ChatModel, resolution: Resolution, memory: Memory
    ) -> tuple[Plan, Refusal | None, Manifest | None]:
        """The plan for the children, a name that is taken, and our Deployment as it is."""
        desired = build_children(chatmodel, resolution, self._images, self._access)
        existing = await existing_children(self._cluster, snapshot, chatmodel, desired)
        deployment = next((child for child in existing if child["kind"] == DEPLOYMENT.name), None)
        held = self._turns.hold(chatmodel, desired, existing, snapshot.pods)
        memory.leaves_queue = held.update != memory.update if memory.update else held.was_queued
        memory.update = held.update
        plan = plan_children(chatmodel, held.desired, held.existing, memory.applied)
        return plan, find_taken_name(chatmodel, existing), _ours(deployment, chatmodel)

    def _plan_soon(self, key: ObjectKey) -> None:
        """Plan again for another ChatModel, although its own input has not changed."""
        if memory := self._memories.get(key):
            memory.plan_again_at_s = None
        self._wake(key)

    async def _scale(
        self,
        snapshot: Snapshot,
        chatmodel: ChatModel,
        resolution: Resolution,
        deployment: Manifest | None,
        seen: Observation,
        now: datetime,
    ) -> tuple[Manifest | None, Refusal | None]:
        """Write the count to the ChatModel and, after the marks on the pods that it removes, to the Deployment.

        Returns the Deployment, and a refusal of its count.
        """
        if (count := count_to_write(chatmodel, resolution)) is not None:
            await self._cluster.write_scale(snapshot.manifest, count, names.SCALER_FIELD_MANAGER)
        if deployment is not None:
            marks = plan_marks(snapshot.pods, seen, deployment["spec"].get("replicas", 1), resolution.replicas, now)
            await apply_marks(self._cluster, chatmodel.metadata.namespace, marks)
        try:
            return await apply_count(self._cluster, chatmodel, deployment, resolution.replicas), None
        except (InvalidSpecError, ForbiddenError) as error:
            return deployment, Refusal.from_error(error)

    async def _report(
        self,
        snapshot: Snapshot,
        before: ChatModelStatus,
        after: ChatModelStatus,
        events: list[EventDraft],
        now: Moment,
    ) -> float:
        """Write the status if it is due, and post the Events of this pass.

        Returns the seconds until a change that was not written is due.
        """
        meta = snapshot.meta
        memory = self._memories.get(_key(snapshot))
        due_in_s = write_due_in_s(before, after, _since_write_s(memory, before, now), meta.uid)
        if due_in_s == 0:
            await self._write_status(meta, after, memory, now)
        if before.phase != after.phase:
            why = next(c.message for c in after.conditions if c.type == "Ready")
            change = {"from": before.phase, "to": after.phase, "why": why}
            log.info("phase changed", extra={"chatmodel": f"{meta.namespace}/{meta.name}", **change})
        changes = status_events(before, after)
        due = [draft for draft in changes if not (draft.warning and memory) or memory.warning_is_due(draft.reason, now)]
        for event in build_events(names.CHATMODEL, meta, [*events, *due], now.wall):
            await post_event(self._cluster, event)
        return due_in_s or RESYNC_S

    async def _write_status(
        self, meta: ObjectMeta, status: ChatModelStatus, memory: Memory | None, now: Moment
    ) -> None:
        """Write the status. If the API server never accepts it, log a bug and go on without a status for a minute.

        Scaling must continue, and the user's spec is not the cause.
        """
        rejected_at_s = memory.status_rejected_at_s if memory else None
        if rejected_at_s is not None and now.since(rejected_at_s) < STATUS_RETRY_S:
            return
        try:
            await self._cluster.patch_status(CHATMODEL, meta.namespace, meta.name, as_patch(status))
        except RejectedRequestError:
            log.exception("bug: status rejected", extra={"chatmodel": f"{meta.namespace}/{meta.name}"})
            if memory:
                memory.status_rejected_at_s = now.monotonic_s
            return
        if memory:
            memory.status_written_at_s, memory.status_rejected_at_s = now.monotonic_s, None

    def _memory(self, key: ObjectKey, chatmodel: ChatModel, now: Moment) -> Memory:
        memory = self._memories.get(key)
        if memory is None or not memory.is_valid(chatmodel.metadata.uid, now):
            if memory is not None:
                log.info("memory dropped", extra={"chatmodel": chatmodel.key, "why": "new object, or clock was set"})
            memory = self._memories[key] = Memory(chatmodel.metadata.uid, now)
        memory.passed_at = now
        return memory

    def forget_all(self) -> None:
        """Drop the memory of every ChatModel: another process has taken over. The next pass starts from the status."""
        for key in self._memories:
            metrics.forget(key.namespace, key.name)
        self._memories.clear()

    def _forget(self, key: ObjectKey) -> None:
        memory = self._memories.pop(key, None)
        if self._gateways:
            self._gateways.forget(f"{key.namespace}/{key.name}")
        metrics.forget(key.namespace, key.name)
        if memory and memory.update and memory.update.state is not UpdateState.NONE:
            self._turns.wake_next(self._plan_soon)

    async def _drop_if_deleted(self, key: ObjectKey, snapshot: Snapshot) -> None:
        """Remove the ChatModel from the cache if it is deleted, whether or not a watch has reported that."""
        log.info("object not found in a pass", extra={"chatmodel": f"{key.namespace}/{key.name}"})
        try:
            found = await self._cluster.get(CHATMODEL, key.namespace, key.name)
        except NotFoundError:
            found = None
        if found is None or found["metadata"]["uid"] != snapshot.meta.uid:
            self._cache.remove(snapshot.manifest)


def _key(snapshot: Snapshot) -> ObjectKey:
    meta = snapshot.meta
    return ObjectKey(CHATMODEL.name, meta.namespace, meta.name)


def _ours(deployment: Manifest | None, chatmodel: ChatModel) -> Manifest | None:
    """The Deployment unless it is a foreign one, whose count and status say nothing about the ChatModel."""
    return deployment if deployment is not None and is_ours(deployment, chatmodel) else None


def _since_write_s(memory: Memory | None, before: ChatModelStatus, now: Moment) -> float | None:
    """Seconds since the last write of the status; None if unknown.

    After a start the time of the metrics in the status counts. It lies in the future if the wall clock was set back.
    """
    if memory is not None and memory.status_written_at_s is not None:
        return now.since(memory.status_written_at_s)
    read_at = before.autoscaling.last_metric_time
    since_s = None if read_at is None else (now.wall - read_at).total_seconds()
    return since_s if since_s is not None and since_s >= 0 else None


def _result(
    snapshot: Snapshot,
    chatmodel: ChatModel,
    resolution: Resolution,
    seen: Observation,
    scraped: ScrapeResult,
    deployment: Manifest | None,
    refusal: Refusal | None,
    update_waits: str,
    now: datetime,
) -> PassResult:
    ready = seen.in_phase(ReplicaPhase.READY)
    samples = {replica.name: scraped.samples[replica.name] for replica in ready if replica.name in scraped.samples}
    return PassResult(
        chatmodel=chatmodel,
        pods=snapshot.pods,
        deployment=deployment,
        replicas=resolution.replicas,
        writer=resolution.writer,
        scaler=resolution.state,
        conflict=resolution.conflict,
        autoscaler=next((hpa for hpa in snapshot.autoscalers if is_ours(hpa, chatmodel)), None),
        decision=resolution.decision,
        at_zero=resolution.at_zero,
        event=resolution.floor.event if resolution.conflict is None else None,
        samples=samples,
        queue_depth=seen.queue_depth,
        read_failure="; ".join(f"{pod}: {why}" for pod, why in sorted(scraped.failures.items())[:1]),
        source_failure=scraped.source_failure,
        read_whole_at=scraped.taken_at if ready and len(samples) == len(ready) else None,
        scaled=record_change(chatmodel, resolution, now),
        refusal=refusal,
        update_waits=update_waits,
        alias_conflict=find_alias_conflict(chatmodel, snapshot.namesakes),
        fallback_fault=find_fallback_fault(chatmodel, snapshot.namesakes),
        unread_gateways=seen.clients.unread if seen.clients else (),
    )


def _scaling_events(resolution: Resolution, result: PassResult, memory: Memory) -> list[EventDraft]:
    events = scaling_events(result.scaled)
    decision = resolution.decision
    is_dry_run = decision is not None and resolution.writer is Writer.USER
    if decision and is_dry_run and decision.replicas not in (resolution.replicas, memory.dry_run_reported):
        memory.dry_run_reported = decision.replicas
        message = f"Would scale {resolution.replicas} -> {decision.replicas}: {decision.message}"
        events.append(EventDraft("WouldScale", message))
    return events


def _measure(key: ObjectKey, result: PassResult, resolution: Resolution, restores: int) -> None:
    labels = (key.namespace, key.name)
    metrics.DESIRED_REPLICAS.labels(*labels).set(result.replicas)
    metrics.READY_REPLICAS.labels(*labels).set(result.ready)
    if restores:
        metrics.REPLICAS_RESTORED_TOTAL.labels(*labels).inc(restores)
    if result.scaled is None:
        return
    change = {"from": result.scaled.from_, "to": result.scaled.to, "why": result.scaled.reason}
    log.info("scaled", extra={"chatmodel": f"{key.namespace}/{key.name}", **change})
    if resolution.decision is not None and resolution.writer is Writer.OPERATOR:
        direction = "up" if result.scaled.to > result.scaled.from_ else "down"
        metrics.SCALE_DECISIONS_TOTAL.labels(*labels, direction, resolution.decision.reason).inc()
