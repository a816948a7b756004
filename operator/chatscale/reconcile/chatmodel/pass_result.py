"""What a pass over a ChatModel observed, decided and did: the input of its status. Data only."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from chatscale.api.v1alpha1 import ChatModel, ScalingRecord
from chatscale.observe.pods import Pod
from chatscale.reconcile.chatmodel.replicas import Conflict, Writer
from chatscale.reconcile.refusal import Refusal
from chatscale.scaling.policy import Decision, Recommendation
from chatscale.scaling.signals import ReplicaPhase, ReplicaSample
from chatscale.scaling.state import ScalerState


@dataclass(frozen=True, slots=True)
class PassResult:
    """Everything that the status is computed from."""

    chatmodel: ChatModel
    """With the status before this pass."""
    pods: tuple[Pod, ...]
    deployment: Mapping[str, Any] | None
    """After this pass applied it."""
    replicas: int
    """The count that the mode's writer set."""
    writer: Writer
    scaler: ScalerState
    """The policy's state after this pass."""
    conflict: Conflict | None = None
    autoscaler: Mapping[str, Any] | None = None
    """Our own HPA, in mode HPA."""
    decision: Decision | None = None
    """The policy's decision, in mode Operator and in a dry run."""
    at_zero: Recommendation | None = None
    """In mode HPA: the operator's change to or from 0 replicas, or why the count stays at 0."""
    event: str | None = None
    """Name of the announced event that sets the least count now."""
    samples: Mapping[str, ReplicaSample] = field(default_factory=dict)
    """The last sample of each ready pod, by name."""
    queue_depth: int | None = None
    read_failure: str = ""
    """Why the first of the failed scrapes failed."""
    source_failure: str = ""
    """Why the source as a whole could not be read; empty if it answered."""
    read_whole_at: datetime | None = None
    """When every ready pod was last scraped; None if that never happened or no pod is ready."""
    scaled: ScalingRecord | None = None
    """The change of the count in this pass."""
    refusal: Refusal | None = None
    update_waits: str = ""
    """Why a template that the operator changed is not rolled out yet; empty if none waits."""
    alias_conflict: str | None = None
    """Which names at the gateway mean two ChatModels; None if none does."""
    fallback_fault: str | None = None
    """Why the fallback of `spec.routing.overload` cannot be used; None if it can, or there is none."""
    unread_gateways: tuple[str, ...] = ()
    """Names of the gateways that could not be read for too long."""

    @property
    def is_asleep(self) -> bool:
        """Whether the model is at 0 replicas and the first request at a gateway starts it."""
        operator_acts = self.writer in (Writer.OPERATOR, Writer.AUTOSCALER) and self.conflict is None
        return operator_acts and self.replicas == 0 and self.chatmodel.spec.autoscaling.scale_to_zero is not None

    @property
    def ready(self) -> int:
        """Number of ready pods."""
        return sum(pod.phase is ReplicaPhase.READY for pod in self.pods)

    @property
    def not_counting(self) -> list[str]:
        """Ready pods whose server does not report its work. Samples from before the pod was ready do not count."""
        ready_since = {pod.name: pod.since for pod in self.pods if pod.phase is ReplicaPhase.READY}
        return [
            name
            for name, sample in sorted(self.samples.items())
            if sample.work is None and name in ready_since and sample.taken_at >= ready_since[name]
        ]

    @property
    def existing(self) -> int:
        """Number of pods that are not terminating."""
        return sum(pod.phase is not ReplicaPhase.TERMINATING for pod in self.pods)

    @property
    def templates(self) -> int:
        """Number of pod templates among pods that are not terminating; more than one during a rollout."""
        return len({pod.template for pod in self.pods if pod.phase is not ReplicaPhase.TERMINATING})

    @property
    def updated(self) -> int:
        """Pods of the current template, as the Deployment controller counts them; 0 until it has observed it."""
        status = (self.deployment or {}).get("status") or {}
        generation = (self.deployment or {}).get("metadata", {}).get("generation", 0)
        return status.get("updatedReplicas", 0) if status.get("observedGeneration", -1) >= generation else 0
