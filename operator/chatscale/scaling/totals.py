"""The counters of one replica, and their growth. Pure. Numbers come from pods and are bounded."""

from dataclasses import dataclass
from typing import Final

from chatscale.scaling.signals import ReplicaSample

MAX_COUNTER_GROWTH: Final = 1e12
"""Upper bound of one counter's growth between two samples: far above any machine."""


@dataclass(frozen=True, slots=True)
class Totals:
    """Counters of one replica, or their growth."""

    requests: float = 0.0
    """Requests that arrived: finished, running, waiting or refused."""
    started: float = 0.0
    """Requests that got a slot."""
    finished: float = 0.0
    prompt_tokens: float = 0.0
    generated_tokens: float = 0.0
    misses: float = 0.0
    """SLO misses, refused requests included."""

    @classmethod
    def of(cls, sample: ReplicaSample) -> "Totals":
        """The counters in a sample, which must have work counters."""
        assert sample.work is not None  # noqa: S101 - for the type checker
        work, refused = sample.work, _bounded(sample.rejected_total)
        started = work.finished + sample.running
        return cls(
            requests=_bounded(started + sample.queue_depth + refused),
            started=_bounded(started),
            finished=_bounded(work.finished),
            prompt_tokens=_bounded(work.prompt_tokens),
            generated_tokens=_bounded(work.generated_tokens),
            misses=_bounded(work.slo_misses + refused),
        )

    def since(self, before: "Totals") -> "Totals":
        """The growth. Answers or tokens that went down were reset by a container restart."""
        was_reset = self.finished < before.finished or self.generated_tokens < before.generated_tokens
        start = Totals() if was_reset else before
        return Totals(
            # These include gauges, which are read a moment apart from the counters: the difference can be negative.
            requests=max(self.requests - start.requests, 0.0),
            started=max(self.started - start.started, 0.0),
            finished=self.finished - start.finished,
            prompt_tokens=max(self.prompt_tokens - start.prompt_tokens, 0.0),
            generated_tokens=self.generated_tokens - start.generated_tokens,
            misses=max(self.misses - start.misses, 0.0),
        )

    def plus(self, other: "Totals", kept: float = 1.0) -> "Totals":
        """The sum. This one is multiplied by `kept` (0 to 1) first."""
        return Totals(
            requests=self.requests * kept + other.requests,
            started=self.started * kept + other.started,
            finished=self.finished * kept + other.finished,
            prompt_tokens=self.prompt_tokens * kept + other.prompt_tokens,
            generated_tokens=self.generated_tokens * kept + other.generated_tokens,
            misses=self.misses * kept + other.misses,
        )


def _bounded(count: float) -> float:
    return min(max(count, 0.0), MAX_COUNTER_GROWTH)
