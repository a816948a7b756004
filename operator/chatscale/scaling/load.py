"""From one observation to the load it shows, and how much of it is known. Missing is never zero.

Numbers come from pods and are not trusted: what is not a finite number counts as not read, what is absurd
is bounded.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from chatscale.api.v1alpha1 import MetricSource, SourceType
from chatscale.scaling.signals import Observation, Replica, ReplicaPhase, ReplicaSample

REFUSED_FOR_S: Final = 5.0
"""How long a refused request would have been in flight; a guess, of the order of one short answer.

It makes refusals a demand in requests that does not depend on how often replicas are read: refusals per
second times this.
"""
MOST_REQUESTS: Final = 1e9
"""Bound on any count of one replica: far above a real one, far below where floats give up."""
_LOST_READINGS: Final = 3
_YOUNGEST_LIMIT: Final = {SourceType.POD_SCRAPE: timedelta(seconds=10), SourceType.PROMETHEUS: timedelta(seconds=60)}
"""Prometheus scrapes on its own clock, 15 to 30 s commonly, and loses a scrape now and then."""


class Coverage(StrEnum):
    """How much of the ready replicas' load is known."""

    WHOLE = "Whole"
    PARTIAL = "Partial"
    NONE = "None"
    """Replicas are ready and none could be read."""
    NOTHING_READY = "NothingReady"
    """No replica takes requests yet, so there is nothing to read."""


@dataclass(frozen=True, slots=True)
class Refusals:
    """The refusal counter of one replica as last seen."""

    taken_at: datetime
    total: float
    per_second: float
    """Between the last two samples; 0 after the first."""


@dataclass(frozen=True, slots=True)
class LoadSummary:
    """Sums over the ready replicas that could be read."""

    active: float
    """Requests running, waiting, or refused for want of room: a full bounded queue hides demand."""
    waiting: float
    """Requests waiting or refused."""
    kv_percent: float
    """Percent of KV cache in use, summed: 2 replicas at 40 % are 80."""
    ready: int
    """Replicas that take requests, read or not."""
    read: int
    unread: tuple[str, ...]
    """Names of ready replicas without a usable sample."""
    refusals: Mapping[str, Refusals]
    counting: tuple[Replica, ...] = ()
    """The replicas that were read, if all of them count their work; else none."""

    @property
    def coverage(self) -> Coverage:
        """How far these sums can be believed."""
        if self.unread:
            return Coverage.PARTIAL if self.read else Coverage.NONE
        return Coverage.WHOLE if self.read else Coverage.NOTHING_READY


def max_sample_age(source: MetricSource) -> timedelta:
    """Samples older than this are as good as missing: three readings, so that one lost scrape is no outage."""
    return max(timedelta(seconds=_LOST_READINGS * source.interval_seconds), _YOUNGEST_LIMIT[source.type])


def summarize_load(seen: Observation, before: Mapping[str, Refusals], now: datetime, max_age: timedelta) -> LoadSummary:
    """Sum up what the ready replicas report.

    A replica that became ready less than `max_age` ago and was not read since is not missing yet. A ready
    replica whose fresh sample says zero is zero.
    """
    ready = seen.in_phase(ReplicaPhase.READY)
    samples = {replica.name: sample for replica in ready if (sample := _usable(replica, now, max_age)) is not None}
    refusals = {name: _refusals(sample, before.get(name)) for name, sample in samples.items()}
    refused = sum(counter.per_second for counter in refusals.values()) * REFUSED_FOR_S
    waiting = sum(_bounded(sample.queue_depth) for sample in samples.values())
    running = sum(_bounded(sample.running) for sample in samples.values())
    return LoadSummary(
        active=running + waiting + refused,
        waiting=waiting + refused,
        kv_percent=100 * sum(min(max(sample.kv_cache_usage_ratio, 0.0), 1.0) for sample in samples.values()),
        ready=len(ready),
        read=len(samples),
        unread=tuple(
            replica.name for replica in ready if replica.name not in samples and not _is_new(replica, now, max_age)
        ),
        counting=_counting([replica for replica in ready if replica.name in samples]),
        refusals={**{replica.name: before[replica.name] for replica in ready if replica.name in before}, **refusals},
    )


def _counting(read: list[Replica]) -> tuple[Replica, ...]:
    works = [replica.sample.work if replica.sample else None for replica in read]
    known = all(work is not None and 0 < work.max_tokens_per_second < MOST_REQUESTS for work in works)
    return tuple(read) if known else ()


def _usable(replica: Replica, now: datetime, max_age: timedelta) -> ReplicaSample | None:
    sample = replica.sample
    if sample is None or now - sample.taken_at > max_age:
        return None
    if sample.work is None and sample.taken_at < replica.since:
        return None  # Scraped while it loaded, before it knew its own speed: not an older server, but not read yet.
    numbers: list[float] = [sample.queue_depth, sample.running, sample.kv_cache_usage_ratio, sample.rejected_total]
    if work := sample.work:
        numbers += [work.max_tokens_per_second, work.prompt_tokens, work.generated_tokens]
        numbers += [work.finished, work.slo_misses]
    return sample if all(math.isfinite(number) for number in numbers) else None


def _is_new(replica: Replica, now: datetime, max_age: timedelta) -> bool:
    return now - replica.since <= max_age


def _refusals(sample: ReplicaSample, before: Refusals | None) -> Refusals:
    if before is None:
        return Refusals(sample.taken_at, sample.rejected_total, 0.0)
    gap_s = (sample.taken_at - before.taken_at).total_seconds()
    if gap_s <= 0:
        return before
    # A counter that fell has started anew with its container, as in Prometheus' increase().
    increase = sample.rejected_total - (before.total if sample.rejected_total >= before.total else 0.0)
    return Refusals(sample.taken_at, sample.rejected_total, _bounded(increase) / gap_s)


def _bounded(count: float) -> float:
    return min(max(float(count), 0.0), MOST_REQUESTS)
