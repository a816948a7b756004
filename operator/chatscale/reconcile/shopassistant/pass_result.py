"""What a pass over a ShopAssistant observed and did: the input of its status. Data only."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from chatscale.api.v1alpha1 import ShopAssistant
from chatscale.observe.assistants import StateReading
from chatscale.observe.pods import Pod
from chatscale.reconcile.refusal import Refusal
from chatscale.scaling.signals import ReplicaPhase
from chatscale_contract.assistant.state import AssistantState


@dataclass(frozen=True, slots=True)
class PassResult:
    """Everything that the status is computed from."""

    assistant: ShopAssistant
    """With the status before this pass."""
    now: datetime
    """When the pass began; aware."""
    pods: tuple[Pod, ...] = ()
    current: frozenset[str] = frozenset()
    """Names of the pods that were started with the present spec."""
    volume_waits: Mapping[str, datetime] = field(default_factory=dict)
    """Since when a pod on a node waits for its volumes or its network, by pod name."""
    deployment: Mapping[str, Any] | None = None
    """After this pass applied it."""
    replicas: int = 0
    """The count that `spec.replicas.min` or the HPA sets."""
    reading: StateReading = field(default_factory=StateReading)
    chat_model: Mapping[str, Any] | None = None
    """The ChatModel in `spec.model.chatModel`; None if it does not exist."""
    namesake: bool = False
    """Whether a ChatModel has the same name."""
    missing_config_maps: frozenset[str] = frozenset()
    """ConfigMaps of `spec.knowledge` that do not exist."""
    refusal: Refusal | None = None

    @property
    def ready_pods(self) -> list[Pod]:
        """Pods that answer, oldest first."""
        return [pod for pod in self.pods if pod.phase is ReplicaPhase.READY]

    @property
    def existing(self) -> int:
        """Number of pods that are not terminating."""
        return sum(pod.phase is not ReplicaPhase.TERMINATING for pod in self.pods)

    @property
    def ready_states(self) -> dict[str, AssistantState]:
        """The states of Ready pods that were read, by pod name, oldest pod first."""
        states = self.reading.states
        return {pod.name: states[pod.name] for pod in self.ready_pods if pod.name in states}

    @property
    def known_states(self) -> dict[str, AssistantState]:
        """The states to explain the assistant with: of Ready pods, or of starting pods while none is Ready."""
        return self.ready_states or dict(self.reading.states)

    @property
    def is_read_whole(self) -> bool:
        """Whether there are Ready pods, and all of them were read."""
        return bool(self.ready_pods) and len(self.ready_states) == len(self.ready_pods)
