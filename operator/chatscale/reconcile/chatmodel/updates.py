"""Which ChatModels may roll out a template that only a new operator or a new default image changed. Pure; 0016.

At most `limit` ChatModels do so at a time, in the order of namespace and name. Everything is read from the watch cache:
a restarted operator continues where the last one stopped. A change of a ChatModel's own spec never waits.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, Self

from chatscale.api.v1alpha1 import ChatModel
from chatscale.cluster.cache import WatchCache
from chatscale.cluster.interface import CHATMODEL, DEPLOYMENT
from chatscale.desired.manifest import ObjectKey
from chatscale.desired.provenance import has_spec_of, is_current, is_from_build, is_updating
from chatscale.observe.pending import condition_of
from chatscale.reconcile.refusal import FORBIDDEN, INVALID_SPEC

_DEADLINE_EXCEEDED: Final = "ProgressDeadlineExceeded"
"""Reason of a Deployment's condition Progressing."""


class UpdateState(StrEnum):
    """How far one ChatModel is."""

    NONE = "none"
    """Nothing to update, or the spec changed too."""
    WAITING = "waiting"
    """The existing template stays for now."""
    RUNNING = "running"


@dataclass(frozen=True, slots=True)
class Update:
    """The decision for one ChatModel."""

    state: UpdateState
    message: str = ""
    """Why it waits; empty in every other state."""


@dataclass(frozen=True, slots=True)
class Fleet:
    """The ChatModels of this operator whose templates an operator changed or can change."""

    running: tuple[ObjectKey, ...] = ()
    """Their update has begun and is not finished."""
    waiting: tuple[ObjectKey, ...] = ()
    """Their Deployment is from another operator build, in the order of their turns."""
    stuck: tuple[ObjectKey, ...] = ()
    """Those of `running` whose Deployment exceeded its progress deadline."""

    @classmethod
    def read(cls, cache: WatchCache, build: str) -> Self:
        """build: the `operator_build` of this operator.

        A ChatModel whose spec or Deployment is refused comes last: it must not keep the others from their turn.
        """
        running, stuck = [], []
        waiting: list[tuple[bool, ObjectKey]] = []
        for key in sorted(cache.keys(CHATMODEL.name)):
            chatmodel, deployment = cache.get(key), cache.get(key._replace(kind=DEPLOYMENT.name))
            if chatmodel is None or deployment is None or not _is_alive(chatmodel, deployment):
                continue
            if is_updating(deployment):
                running.append(key)
                if condition_of(deployment, "Progressing").get("reason") == _DEADLINE_EXCEEDED:
                    stuck.append(key)
            elif not is_from_build(deployment, build):
                phase = (chatmodel.get("status") or {}).get("phase")
                waiting.append((phase in (INVALID_SPEC, FORBIDDEN), key))
        return cls(tuple(running), tuple(key for _, key in sorted(waiting)), tuple(stuck))

    def next_turns(self, limit: int) -> tuple[ObjectKey, ...]:
        """The waiting ChatModels that may begin now."""
        return self.waiting[: max(0, limit - len(self.running))]

    def may_update(self, key: ObjectKey, limit: int) -> bool:
        """Whether this ChatModel may change its template now.

        An update that has begun may change again, so that a corrected image or a rollback reaches it.
        """
        if key in self.running or key in self.next_turns(limit):
            return True
        return key not in self.waiting and len(self.running) + len(self.waiting) < limit

    def describe_wait(self, limit: int) -> str:
        """Why a waiting ChatModel waits. It names no ChatModel in progress: the status would change with each one."""
        few = "1 ChatModel updates" if limit == 1 else f"{limit} ChatModels update"
        text = (
            "the operator changed the pod template, for example the default image; the pods keep the earlier one until "
            f"it is this ChatModel's turn (at most {few} at a time)"
        )
        if not self.stuck:
            return text
        stuck = ", ".join(f"{key.namespace}/{key.name}" for key in self.stuck)
        return (
            f"{text}; ChatModel {stuck} exceeded its progress deadline and keeps its turn: "
            "correct it, set its spec.server.image, or roll the operator back"
        )


def decide_update(
    chatmodel: ChatModel,
    desired: Mapping[str, Any],
    existing: Mapping[str, Any] | None,
    fleet: Callable[[], Fleet],
    limit: int,
    unschedulable: int,
) -> Update:
    """Whether to apply the desired Deployment now.

    existing: our Deployment; None if there is none. fleet: called only if the answer depends on it. unschedulable: pods
    that no node can run.
    """
    if existing is None:
        return Update(UpdateState.NONE)
    if is_current(existing, desired):
        finished = not is_updating(existing) or is_rolled_out(existing, unschedulable)
        return Update(UpdateState.NONE if finished else UpdateState.RUNNING)
    if not has_spec_of(existing, chatmodel):
        return Update(UpdateState.NONE)
    meta = chatmodel.metadata
    others = fleet()
    if others.may_update(ObjectKey(CHATMODEL.name, meta.namespace, meta.name), limit):
        return Update(UpdateState.RUNNING)
    return Update(UpdateState.WAITING, others.describe_wait(limit))


def is_rolled_out(deployment: Mapping[str, Any], unschedulable: int) -> bool:
    """Whether no pod of an earlier template is left, and every pod that a node can run is available.

    Pods that wait for a node say nothing about the template, and a full cluster must not stop all updates.
    """
    status, wanted = deployment.get("status") or {}, deployment["spec"].get("replicas", 1)
    if status.get("observedGeneration", -1) < deployment["metadata"].get("generation", 0):
        return False
    updated, available = status.get("updatedReplicas", 0), status.get("availableReplicas", 0)
    if updated < wanted or status.get("replicas", 0) > updated:
        return False
    return bool(available >= min(wanted, max(1, wanted - unschedulable)))


def _is_alive(chatmodel: Mapping[str, Any], deployment: Mapping[str, Any]) -> bool:
    """Whether the Deployment belongs to this ChatModel, and the ChatModel is not being deleted."""
    meta = chatmodel["metadata"]
    owners = deployment["metadata"].get("ownerReferences") or ()
    return not meta.get("deletionTimestamp") and any(owner.get("uid") == meta["uid"] for owner in owners)
