"""One pass over one ChatModel. Level-triggered: it knows no events, only what is; a second pass writes nothing.

read -> validate -> observe -> decide -> build -> plan -> apply -> one status patch -> Events.
"""

import logging
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import Final

from chatscale import metrics, names
from chatscale.api.v1alpha1 import ChatModel, ChatModelStatus, parse_chatmodel
from chatscale.cluster.interface import CHATMODEL, Cluster, Manifest
from chatscale.desired.autoscaler import build_hpa
from chatscale.desired.manifest import key_of
from chatscale.desired.service import build_service
from chatscale.desired.workload import ServerImages, build_deployment
from chatscale.errors import ClusterUnavailableError, ConflictError, ForbiddenError, InvalidSpecError, NotFoundError
from chatscale.observe.aggregate import observe
from chatscale.observe.reader import MetricsReader, ScrapeResult
from chatscale.reconcile.children import apply_children, delete_leftovers, plan_children
from chatscale.reconcile.conditions import FORBIDDEN, INVALID_SPEC
from chatscale.reconcile.events import Note, build_events, scaling_notes, status_notes
from chatscale.reconcile.memory import Memory
from chatscale.reconcile.pass_result import PassResult, Refusal
from chatscale.reconcile.replicas import Writer, is_ours
from chatscale.reconcile.resolution import Resolution, count_to_write, record_change, resolve_replicas
from chatscale.reconcile.snapshot import Key, Snapshot, take_snapshot
from chatscale.reconcile.status import as_patch, compute_status, invalid_status, is_worth_writing
from chatscale.scaling.signals import Observation, ReplicaPhase

INVALID_RETRY_S: Final = 60.0
"""An invalid spec waits for its change; once a minute something outside may have changed instead (a name freed)."""
GONE_RETRY_S: Final = 1.0
"""Something vanished in the middle of a pass: most likely the ChatModel itself, which the next pass will see."""

LEAST_UNTIL_TURN_S: Final = 1.0
"""Passes are not closer than this, however near the turn of an event is."""

log = logging.getLogger(__name__)


class ChatModelReconciler:
    """Passes over ChatModels, and the memory between them."""

    def __init__(
        self, cluster: Cluster, reader: MetricsReader, images: ServerImages, clock: Callable[[], datetime]
    ) -> None:
        self._cluster = cluster
        self._reader = reader
        self._images = images
        self._clock = clock
        self._memories: dict[Key, Memory] = {}

    async def reconcile(self, key: Key) -> float | None:
        """Run one pass. Returns the seconds until the next one is due, None if the ChatModel is gone.

        Raises ClusterUnavailableError (try later) and ConflictError (read again); anything else is a bug.
        """
        snapshot = await take_snapshot(self._cluster, key)
        if snapshot is None:
            self.forget(key)
            return None
        now = self._clock().replace(microsecond=0)
        try:
            chatmodel = parse_chatmodel(snapshot.manifest)
            return await self._pass(key, snapshot, chatmodel, now)
        except InvalidSpecError as error:
            before = snapshot.status
            await self._report(
                snapshot, before, invalid_status(before, snapshot.meta.generation, str(error), now), [], now
            )
            return INVALID_RETRY_S
        except NotFoundError:
            log.info("gone during a pass", extra={"chatmodel": str(key)})
            return GONE_RETRY_S

    def forget(self, key: Key) -> None:
        """Drop what is remembered of a ChatModel that is gone."""
        self._memories.pop(key, None)
        metrics.forget(key.namespace, key.name)

    async def _pass(self, key: Key, snapshot: Snapshot, chatmodel: ChatModel, now: datetime) -> float:
        memory = self._memory(key, chatmodel)
        reading = await memory.refresh(self._reader, chatmodel, snapshot.pods, now)
        seen = observe(snapshot.pods, memory.samples, reading.taken_at)
        resolution = resolve_replicas(snapshot, chatmodel, memory, seen, now)

        desired = self._build(chatmodel, resolution)
        plan = plan_children(chatmodel, desired, _existing(snapshot, chatmodel, desired), memory.applied)

        await delete_leftovers(self._cluster, plan)
        if (count := count_to_write(chatmodel, resolution)) is not None:
            await self._cluster.write_scale(snapshot.manifest, count, names.SCALER_FIELD_MANAGER)
        deployment, refusal = snapshot.deployment, None
        try:
            deployment = await apply_children(
                self._cluster, chatmodel, plan, deployment, resolution.replicas, memory.applied
            )
        except (InvalidSpecError, ForbiddenError) as error:
            refusal = Refusal(FORBIDDEN if isinstance(error, ForbiddenError) else INVALID_SPEC, str(error))

        facts = replace(_facts(snapshot, chatmodel, resolution, seen, reading, deployment, now), refusal=refusal)
        notes = _notes(chatmodel, resolution, facts, memory)
        _measure(key, facts, resolution)
        await self._report(snapshot, chatmodel.status, compute_status(facts, now), notes, now)
        if refusal and refusal.reason == INVALID_SPEC and snapshot.deployment is None:
            return INVALID_RETRY_S
        return _due_in_s(chatmodel, resolution)

    def _memory(self, key: Key, chatmodel: ChatModel) -> Memory:
        memory = self._memories.get(key)
        if memory is None or memory.uid != chatmodel.metadata.uid:
            memory = self._memories[key] = Memory(chatmodel.metadata.uid)
        return memory

    def _build(self, chatmodel: ChatModel, resolution: Resolution) -> list[Manifest]:
        # Beside a foreign HPA ours would make both stop (AmbiguousSelector), so it gives way.
        autoscaler = build_hpa(chatmodel, resolution.floor.replicas) if resolution.conflict is None else None
        children = [build_deployment(chatmodel, self._images), build_service(chatmodel), autoscaler]
        return [child for child in children if child is not None]

    async def _report(
        self, snapshot: Snapshot, before: ChatModelStatus, after: ChatModelStatus, notes: list[Note], now: datetime
    ) -> None:
        meta = snapshot.meta
        memory = self._memories.get(Key(meta.namespace, meta.name))
        if is_worth_writing(before, after, now, memory.status_written_at if memory else None):
            await self._cluster.patch_status(CHATMODEL, meta.namespace, meta.name, as_patch(after))
            if memory:
                memory.status_written_at = now
        if before.phase != after.phase:
            why = next(c.message for c in after.conditions if c.type == "Ready")
            change = {"from": before.phase, "to": after.phase, "why": why}
            log.info("phase changed", extra={"chatmodel": f"{meta.namespace}/{meta.name}", **change})
        told = [*notes, *status_notes(before, after)]
        due = [note for note in told if not (note.warning and memory) or memory.may_tell(note.reason, now)]
        for event in build_events(meta, due, now):
            await self._post(event)

    async def _post(self, event: Manifest) -> None:
        """Events inform; a lost one is counted, and never holds up what they are about."""
        try:
            await self._cluster.create(event)
        except ConflictError:
            log.debug("event already posted", extra={"reason": event["reason"]})
        except (ClusterUnavailableError, InvalidSpecError, NotFoundError) as error:
            metrics.EVENTS_LOST_TOTAL.inc()
            log.warning("event lost", extra={"reason": event["reason"], "why": str(error)})


def _due_in_s(chatmodel: ChatModel, resolution: Resolution) -> float:
    """Until the next reading, or before it when an announced event begins or ends to count."""
    interval_s = float(chatmodel.spec.autoscaling.source.interval_seconds)
    if resolution.floor.due_in is None:
        return interval_s
    return min(interval_s, max(resolution.floor.due_in.total_seconds(), LEAST_UNTIL_TURN_S))


def _existing(snapshot: Snapshot, chatmodel: ChatModel, desired: list[Manifest]) -> list[Manifest]:
    """Our children, and whatever else has the name of one that is wanted."""
    wanted = {key_of(child) for child in desired}
    autoscalers = [hpa for hpa in snapshot.autoscalers if is_ours(hpa, chatmodel) or key_of(hpa) in wanted]
    return [child for child in (snapshot.deployment, snapshot.service, *autoscalers) if child is not None]


def _facts(
    snapshot: Snapshot,
    chatmodel: ChatModel,
    resolution: Resolution,
    seen: Observation,
    reading: ScrapeResult,
    deployment: Manifest | None,
    now: datetime,
) -> PassResult:
    ready = seen.in_phase(ReplicaPhase.READY)
    samples = {replica.name: reading.samples[replica.name] for replica in ready if replica.name in reading.samples}
    return PassResult(
        chatmodel=chatmodel,
        pods=snapshot.pods,
        deployment=deployment,
        replicas=resolution.replicas,
        writer=resolution.writer,
        conflict=resolution.conflict,
        autoscaler=next((hpa for hpa in snapshot.autoscalers if is_ours(hpa, chatmodel)), None),
        decision=resolution.decision,
        event=resolution.floor.event if resolution.conflict is None else None,
        remembered=resolution.state,
        samples=samples,
        queue_depth=seen.queue_depth,
        read_failure="; ".join(f"{pod}: {why}" for pod, why in sorted(reading.failures.items())[:1]),
        read_whole_at=reading.taken_at if ready and len(samples) == len(ready) else None,
        scaled=record_change(chatmodel, resolution, now),
    )


def _notes(chatmodel: ChatModel, resolution: Resolution, facts: PassResult, memory: Memory) -> list[Note]:
    notes = scaling_notes(facts.scaled, chatmodel, resolution.current.overruled, resolution.replicas)
    decision = resolution.decision
    if (
        decision
        and resolution.writer is Writer.USER
        and decision.replicas not in (resolution.replicas, memory.dry_run_told)
    ):
        memory.dry_run_told = decision.replicas
        notes.append(
            Note("WouldScale", f"Would scale {resolution.replicas} -> {decision.replicas}: {decision.message}")
        )
    return notes


def _measure(key: Key, facts: PassResult, resolution: Resolution) -> None:
    metrics.DESIRED_REPLICAS.labels(*key).set(facts.replicas)
    metrics.READY_REPLICAS.labels(*key).set(facts.ready)
    if resolution.current.overruled is not None:
        metrics.REPLICAS_RESTORED_TOTAL.labels(*key).inc()
    if facts.scaled is None:
        return
    change = {"from": facts.scaled.from_, "to": facts.scaled.to, "why": facts.scaled.reason}
    log.info("scaled", extra={"chatmodel": str(key), **change})
    if resolution.decision is not None and resolution.writer is Writer.OPERATOR:
        direction = "up" if facts.scaled.to > facts.scaled.from_ else "down"
        metrics.SCALE_DECISIONS_TOTAL.labels(*key, direction, resolution.decision.reason).inc()
