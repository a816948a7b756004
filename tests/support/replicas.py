"""Builders of what the scaling policy sees and remembers; times are seconds after NOON."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from chatscale.api.v1alpha1 import AutoscalingMode, AutoscalingSpec
from chatscale.scaling.policy import Decision, decide
from chatscale.scaling.signals import Observation, Replica, ReplicaPhase, ReplicaSample
from chatscale.scaling.state import ScalerState

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
SLOTS = 8


def at(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def a_spec(**fields: Any) -> AutoscalingSpec:
    """Mode Operator, 1 to 20 replicas, QueueDepth 4; `fields` in camelCase replace its own."""
    spec = {"mode": AutoscalingMode.OPERATOR, "minReplicas": 1, "maxReplicas": 20, **fields}
    return AutoscalingSpec.model_validate(spec)


def a_sample(
    seconds: float, waiting: int = 0, running: int = 0, kv: float = 0.0, rejected: float = 0.0
) -> ReplicaSample:
    return ReplicaSample(at(seconds), waiting, running, SLOTS, kv, rejected)


def ready(name: str, sample: ReplicaSample | None, since: float = -3600) -> Replica:
    return Replica(name, ReplicaPhase.READY, at(since), sample)


def in_phase(name: str, phase: ReplicaPhase, since: float = 0, detail: str = "", reason: str = "") -> Replica:
    return Replica(name, phase, at(since), None, detail, reason=reason)


def seen(seconds: float, *replicas: Replica) -> Observation:
    return Observation(at(seconds), replicas)


def under_load(seconds: float, active: int, count: int, kv: float = 0.0) -> Observation:
    """`active` requests spread over `count` ready replicas; what has no slot waits."""
    shares = [active // count + (1 if index < active % count else 0) for index in range(count)]
    return seen(
        seconds,
        *(
            ready(f"r{index}", a_sample(seconds, waiting=max(share - SLOTS, 0), running=min(share, SLOTS), kv=kv))
            for index, share in enumerate(shares)
        ),
    )


@dataclass
class Operator:
    """Calls `decide` tick after tick and does what it says, as the operator does."""

    replicas: int = 1
    spec: AutoscalingSpec = field(default_factory=a_spec)
    started_at: float = 0
    state: ScalerState = field(init=False)

    def __post_init__(self) -> None:
        self.state = ScalerState.rebuilt(self.replicas, at(self.started_at))

    def sees(self, observation: Observation, now: datetime | None = None) -> Decision:
        decision = decide(self.spec, SLOTS, self.replicas, observation, self.state, now or observation.taken_at)
        self.state, self.replicas = decision.next_state, decision.replicas
        return decision

    def sees_load(self, seconds: float, active: int, count: int | None = None, kv: float = 0.0) -> Decision:
        return self.sees(under_load(seconds, active, count or self.replicas, kv))

    def watches(self, start: float, end: float, active: int, count: int | None = None) -> list[Decision]:
        """One decision each 5 s under steady load, from `start` up to but not at `end`."""
        ticks = range(int(start), int(end), 5)
        return [self.sees_load(tick, active, count) for tick in ticks]
