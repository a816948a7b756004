"""Keeps a Deployment out of the plan while a change by the operator waits for its turn, and wakes the next ChatModel.

`updates.py` decides; this module connects the decision with the watch cache and the plan.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from chatscale.api.v1alpha1 import ChatModel
from chatscale.cluster.cache import WatchCache
from chatscale.cluster.interface import DEPLOYMENT, Manifest
from chatscale.desired.manifest import ObjectKey
from chatscale.desired.provenance import is_from_build, is_updating, operator_build, with_provenance
from chatscale.desired.workload import ServerImages
from chatscale.observe.pods import Pod
from chatscale.reconcile.chatmodel.updates import Fleet, Update, UpdateState, decide_update
from chatscale.reconcile.ownership import is_ours
from chatscale.scaling.signals import ReplicaPhase


class Held(NamedTuple):
    """What the plan compares."""

    update: Update
    desired: list[Manifest]
    """Without the Deployment while its update waits, so that it is not applied."""
    existing: list[Manifest]
    """Likewise, so that it is not deleted."""
    was_queued: bool
    """Whether other ChatModels could wait for this one."""


class UpdateTurns:
    """The turns of all ChatModels of this operator."""

    def __init__(self, cache: WatchCache, images: ServerImages, limit: int) -> None:
        """limit: ChatModels that roll out a change by the operator at a time."""
        self._cache = cache
        self._limit = limit
        self._build = operator_build(images)

    def hold(
        self, chatmodel: ChatModel, desired: Sequence[Manifest], existing: Sequence[Manifest], pods: Sequence[Pod]
    ) -> Held:
        """Decide, and put the provenance on the desired Deployment or leave it out."""
        built = next(child for child in desired if child["kind"] == DEPLOYMENT.name)
        found = next((c for c in existing if c["kind"] == DEPLOYMENT.name and is_ours(c, chatmodel)), None)
        unschedulable = sum(pod.phase is ReplicaPhase.UNSCHEDULABLE for pod in pods)
        update = decide_update(chatmodel, built, found, self._fleet, self._limit, unschedulable)
        was_queued = found is not None and (is_updating(found) or not is_from_build(found, self._build))
        if update.state is UpdateState.WAITING:
            others = [child for child in desired if child is not built]
            return Held(update, others, [child for child in existing if child is not found], was_queued)
        is_update = update.state is UpdateState.RUNNING
        marked = with_provenance(built, chatmodel, self._build, is_update=is_update)
        return Held(update, [marked if child is built else child for child in desired], [*existing], was_queued)

    def wake_next(self, wake: Callable[[ObjectKey], None]) -> None:
        """Wake the ChatModels whose turn it is: another one has just begun, finished or disappeared."""
        for key in self._fleet().next_turns(self._limit):
            wake(key)

    def _fleet(self) -> Fleet:
        return Fleet.read(self._cache, self._build)
