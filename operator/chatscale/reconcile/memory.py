"""What the operator remembers of a ChatModel between two passes. Losing it is harmless: status has the count."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from chatscale.api.v1alpha1 import ChatModel, MetricSource
from chatscale.desired.manifest import ObjectKey
from chatscale.metrics import METRIC_READ_FAILURES_TOTAL
from chatscale.observe.aggregate import merge_samples
from chatscale.observe.pods import Pod
from chatscale.observe.reader import MetricsReader, ScrapeResult
from chatscale.scaling.signals import ReplicaSample
from chatscale.scaling.state import ScalerState

TELL_AGAIN_AFTER: Final = timedelta(minutes=1)
"""Between two Warnings with one reason: a quarrel over spec.replicas, or metrics that come and go."""
_SLACK: Final = 0.9
"""A tick that comes a little early still reads."""


@dataclass(slots=True)
class Memory:
    """Of one ChatModel, by uid: a new object of the same name starts anew."""

    uid: str
    scaler: ScalerState | None = None
    """None before the first pass."""
    source: MetricSource | None = None
    """Where `reading` and `samples` come from."""
    reading: ScrapeResult | None = None
    samples: dict[str, ReplicaSample] = field(default_factory=dict)
    applied: dict[ObjectKey, str] = field(default_factory=dict)
    dry_run_told: int | None = None
    told_at: dict[str, datetime] = field(default_factory=dict)
    """When a Warning was last told, by reason."""
    status_written_at: datetime | None = None

    async def refresh(
        self, reader: MetricsReader, chatmodel: ChatModel, pods: tuple[Pod, ...], now: datetime
    ) -> ScrapeResult:
        """Read the load if a reading is due, else give the last one again: events must not speed up sampling."""
        source = chatmodel.spec.autoscaling.source
        if source != self.source:
            # What another source said must not hide that this one says nothing.
            self.source, self.reading, self.samples = source, None, {}
        interval = timedelta(seconds=source.interval_seconds)
        if self.reading is None or now - self.reading.taken_at >= interval * _SLACK:
            self.reading = await reader.read(chatmodel, pods, now)
            self.samples = merge_samples(self.samples, self.reading, pods)
            if self.reading.failures:
                meta = chatmodel.metadata
                METRIC_READ_FAILURES_TOTAL.labels(meta.namespace, meta.name).inc(len(self.reading.failures))
        return self.reading

    def may_tell(self, reason: str, now: datetime) -> bool:
        """Whether a Warning with this reason is due; remembers that it was."""
        told_at = self.told_at.get(reason)
        if told_at is not None and now - told_at < TELL_AGAIN_AFTER:
            return False
        self.told_at[reason] = now
        return True
