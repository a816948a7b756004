"""What the operator remembers of a ShopAssistant between two passes. It is safe to lose."""

from dataclasses import dataclass, field
from typing import Final, NamedTuple

from chatscale.desired.manifest import ObjectKey
from chatscale.observe.assistants import StateReading
from chatscale.observe.pods import Pod
from chatscale.reconcile.moment import Moment
from chatscale.reconcile.refusal import Refusal

WARN_AGAIN_AFTER_S: Final = 60.0
"""Minimum time between two Warnings with the same reason."""


class ChildrenInput(NamedTuple):
    """Everything that the plan for the children depends on; an equal input gives an equal plan."""

    generation: int
    versions: tuple[tuple[str, str], ...]
    """Resource versions of the children as they are, by kind."""
    pins: tuple[tuple[str, str], ...]


@dataclass(slots=True)
class Memory:
    """Of one ShopAssistant, by uid. Ages and intervals are seconds on the monotonic clock."""

    uid: str
    applied: dict[ObjectKey, str] = field(default_factory=dict)
    """A fingerprint of each child after this process last applied it."""
    planned: ChildrenInput | None = None
    """The input of the last completed plan for the children; None before the first."""
    plan_again_at_s: float = 0.0
    """When to plan again even if the input stays the same."""
    refusal: Refusal | None = None
    """What the API server refused in the last plan."""
    reading: StateReading = field(default_factory=StateReading)
    read_at_s: float | None = None
    read_pods: frozenset[tuple[str, str]] = frozenset()
    """Names and phases of the pods at that time."""
    missing_config_maps: frozenset[str] = frozenset()
    checked_at_s: float | None = None
    """When `missing_config_maps` was read."""
    signing_refusal: Refusal | None = None
    """Why the API server refused the Secret with the signing key."""
    signing_key_tried_at_s: float | None = None
    """When this process last tried to create the Secret with the signing key."""
    warned_at_s: dict[str, float] = field(default_factory=dict)
    """When the last Warning was posted, by reason."""
    status_written_at_s: float | None = None
    """When this process last wrote the status; None if it has not."""

    def needs_plan(self, children: ChildrenInput, now: Moment) -> bool:
        """Whether a pass must compare the children with the spec."""
        return self.planned != children or now.monotonic_s >= self.plan_again_at_s

    def needs_reading(self, pods: tuple[Pod, ...], now: Moment, interval_s: float) -> bool:
        """Whether the states are too old, or are those of other pods."""
        return self.read_at_s is None or _phases(pods) != self.read_pods or now.since(self.read_at_s) >= interval_s

    def keep_reading(self, reading: StateReading, pods: tuple[Pod, ...], now: Moment) -> None:
        """Remember the states."""
        self.reading, self.read_pods, self.read_at_s = reading, _phases(pods), now.monotonic_s

    def warning_is_due(self, reason: str, now: Moment) -> bool:
        """Whether to post a Warning with this reason now; if so, remembers the time."""
        warned_at_s = self.warned_at_s.get(reason)
        if warned_at_s is not None and now.since(warned_at_s) < WARN_AGAIN_AFTER_S:
            return False
        self.warned_at_s[reason] = now.monotonic_s
        return True


def _phases(pods: tuple[Pod, ...]) -> frozenset[tuple[str, str]]:
    return frozenset((pod.name, pod.phase.value) for pod in pods)
