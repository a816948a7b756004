"""What the operator remembers of a ChatModel between two passes. It is safe to lose: the status holds the count."""

import math
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from chatscale.api.v1alpha1 import ChatModel, MetricSource
from chatscale.desired.manifest import ObjectKey
from chatscale.metrics import METRIC_READ_FAILURES_TOTAL
from chatscale.observe.aggregate import merge_samples
from chatscale.observe.pods import Pod
from chatscale.observe.reader import MetricsReader, ScrapeResult
from chatscale.reconcile.chatmodel.events import REPLICAS_RESTORED
from chatscale.reconcile.chatmodel.updates import Update
from chatscale.reconcile.moment import Moment
from chatscale.reconcile.refusal import Refusal
from chatscale.scaling.signals import ReplicaSample
from chatscale.scaling.state import ScalerState

WARN_AGAIN_AFTER_S: Final = 60.0
"""Minimum time between two Warnings with the same reason, such as metrics that fail and recover repeatedly."""
LONGEST_STEP_S: Final = 5.0
"""If the wall clock was set by more than this, times of earlier samples and decisions say nothing any more."""
_EARLY_TICK: Final = 0.9
"""Share of the interval after which a tick scrapes again: timers can fire a little early."""


class ChildrenInput(NamedTuple):
    """Everything that the plan for the children depends on; an equal input gives an equal plan."""

    uid: str
    generation: int
    versions: tuple[str | None, ...]
    """Resource versions of the children as they are."""
    min_replicas: int
    """Least count that an HPA gets."""
    has_conflict: bool


@dataclass(slots=True)
class Memory:
    """Of one ChatModel, by uid: a new object of the same name starts with an empty memory.

    Ages and intervals are measured on the monotonic clock, in seconds.
    """

    uid: str
    passed_at: Moment
    """When the last pass began."""
    scaler: ScalerState | None = None
    """None before the first pass."""
    source: MetricSource | None = None
    """Where `scraped` and `samples` come from."""
    scraped: ScrapeResult | None = None
    """The last scrape."""
    scraped_at_s: float = 0.0
    """When `scraped` was begun."""
    samples: dict[str, ReplicaSample] = field(default_factory=dict)
    """The newest sample of each pod, by name."""
    applied: dict[ObjectKey, str] = field(default_factory=dict)
    """A fingerprint of each child after this process last applied it."""
    planned: ChildrenInput | None = None
    """The input of the last completed plan for the children; None before the first."""
    plan_again_at_s: float | None = None
    """When to plan again even if the input stays the same."""
    refusal: Refusal | None = None
    """What the API server refused in the last plan."""
    update: Update | None = None
    """How far the last plan found the operator's own change of the template; None before the first plan."""
    leaves_queue: bool = False
    """Whether the last plan changed that, so that another ChatModel may have its turn."""
    deployment_replicas: int | None = None
    """The Deployment's count after the last pass; None if unknown."""
    restores: list[str] = field(default_factory=list)
    """What each restored count was, since the last Event about them."""
    dry_run_reported: int | None = None
    """The count in the last WouldScale Event."""
    warned_at_s: dict[str, float] = field(default_factory=dict)
    """When the last Warning was posted, by reason."""
    status_written_at_s: float | None = None
    """When this process last wrote the status; None if it has not."""
    status_rejected_at_s: float | None = None
    """When the API server last rejected the status; None if it accepted the last one."""

    def is_valid(self, uid: str, now: Moment) -> bool:
        """Whether it is about this object, and the wall clock was not set since the last pass."""
        return self.uid == uid and abs(now.stepped_since(self.passed_at)) <= LONGEST_STEP_S

    async def refresh(
        self, reader: MetricsReader, chatmodel: ChatModel, pods: tuple[Pod, ...], now: Moment
    ) -> ScrapeResult:
        """Scrape if the interval has passed, otherwise return the last result: events must not add scrapes."""
        source = chatmodel.spec.autoscaling.source
        if source != self.source:
            # Samples of the earlier source must not hide that the new one has no data.
            self.source, self.scraped, self.samples = source, None, {}
        if self.scraped is None or now.since(self.scraped_at_s) >= source.interval_seconds * _EARLY_TICK:
            self.scraped, self.scraped_at_s = await reader.read(chatmodel, pods, now.wall), now.monotonic_s
            self.samples = merge_samples(self.samples, self.scraped, pods)
            if self.scraped.failures:
                meta = chatmodel.metadata
                METRIC_READ_FAILURES_TOTAL.labels(meta.namespace, meta.name).inc(len(self.scraped.failures))
        return self.scraped

    def needs_plan(self, children: ChildrenInput, now: Moment) -> bool:
        """Whether a pass must compare the children with the spec; a pure scaling tick must not."""
        return self.planned != children or self.plan_again_at_s is None or now.monotonic_s >= self.plan_again_at_s

    def take_restores(self, now: Moment) -> list[str]:
        """The restored counts that are due for one Event, if any; they are forgotten then."""
        if not self.restores or not self.warning_is_due(REPLICAS_RESTORED, now):
            return []
        taken, self.restores = self.restores, []
        return taken

    def restores_due_in_s(self, now: Moment) -> float:
        """Seconds until the Event about restored counts that are not reported yet; infinite if there are none."""
        if not self.restores:
            return math.inf
        return max(0.0, WARN_AGAIN_AFTER_S - now.since(self.warned_at_s.get(REPLICAS_RESTORED, now.monotonic_s)))

    def warning_is_due(self, reason: str, now: Moment) -> bool:
        """Whether to post a Warning with this reason now; if so, remembers the time."""
        warned_at_s = self.warned_at_s.get(reason)
        if warned_at_s is not None and now.since(warned_at_s) < WARN_AGAIN_AFTER_S:
            return False
        self.warned_at_s[reason] = now.monotonic_s
        return True
