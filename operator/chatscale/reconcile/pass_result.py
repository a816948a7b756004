"""What a pass over a ChatModel found and decided: the input of its status. Data only."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from chatscale.api.v1alpha1 import ChatModel, ScalingRecord
from chatscale.observe.pods import Pod
from chatscale.reconcile.replicas import Conflict, Writer
from chatscale.scaling.policy import Decision
from chatscale.scaling.signals import ReplicaPhase, ReplicaSample
from chatscale.scaling.state import ScalerState


@dataclass(frozen=True, slots=True)
class Refusal:
    """The API server did not take what the spec asks for; what ran before goes on running, and is scaled."""

    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class PassResult:
    """Everything that a status is made from."""

    chatmodel: ChatModel
    """With the status as it was read."""
    pods: tuple[Pod, ...]
    deployment: Mapping[str, Any] | None
    """As it is after this pass applied it."""
    replicas: int
    """What the mode's writer wants."""
    writer: Writer
    remembered: ScalerState
    """What the next pass will know."""
    conflict: Conflict | None = None
    autoscaler: Mapping[str, Any] | None = None
    """Our own HPA, in mode HPA."""
    decision: Decision | None = None
    """The policy's, in mode Operator."""
    event: str | None = None
    """Name of the announced event whose count is the least now."""
    samples: Mapping[str, ReplicaSample] = field(default_factory=dict)
    """What each ready pod said in the last reading, by name."""
    queue_depth: int | None = None
    read_failure: str = ""
    """What kept the first of the unread pods from being read."""
    read_whole_at: datetime | None = None
    """When every ready pod was last read; None if that never happened or nothing is ready."""
    scaled: ScalingRecord | None = None
    """The change of the count that this pass made."""
    refusal: Refusal | None = None

    @property
    def ready(self) -> int:
        """Pods that answer."""
        return sum(pod.phase is ReplicaPhase.READY for pod in self.pods)

    @property
    def not_counting(self) -> list[str]:
        """Ready pods that do not tell of their work; what Prometheus scraped while they still loaded does not count."""
        ready_since = {pod.name: pod.since for pod in self.pods if pod.phase is ReplicaPhase.READY}
        return [
            name
            for name, sample in sorted(self.samples.items())
            if sample.work is None and name in ready_since and sample.taken_at >= ready_since[name]
        ]

    @property
    def existing(self) -> int:
        """Pods that are not on their way out."""
        return sum(pod.phase is not ReplicaPhase.TERMINATING for pod in self.pods)

    @property
    def updated(self) -> int:
        """Pods made from the current template, as the Deployment controller counts them once it has seen it."""
        status = (self.deployment or {}).get("status") or {}
        generation = (self.deployment or {}).get("metadata", {}).get("generation", 0)
        return status.get("updatedReplicas", 0) if status.get("observedGeneration", -1) >= generation else 0
