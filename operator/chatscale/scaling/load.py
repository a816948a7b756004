"""The load that one observation shows, and how much of it is known. A missing sample never counts as zero load.

Numbers come from pods and are not trusted: a sample with a number that is not finite counts as not read, and counts
are bounded.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from chatscale.api.v1alpha1 import AutoscalingSpec, MetricSource, SourceType
from chatscale.scaling.saturation import is_full
from chatscale.scaling.signals import Observation, Replica, ReplicaPhase, ReplicaSample

REFUSED_FOR_S: Final = 5.0
"""Seconds that a refused request would have been in flight. A guess: about one short answer.

Refusals per second times this is a number of requests that does not depend on the scrape interval.
"""
HELD_SLOT_SHARE: Final = 0.5
"""Share of the slots in use from which on held requests are evidence that the replicas have no room."""
MOST_REQUESTS: Final = 1e9
"""Upper bound of any count of one replica: far above real values, and still exact as a float."""
_LOST_READINGS: Final = 3
_SHORTEST_MAX_AGE: Final = {SourceType.POD_SCRAPE: timedelta(seconds=10), SourceType.PROMETHEUS: timedelta(seconds=60)}
"""Prometheus scrapes on its own interval, commonly 15 to 30 s, and loses a scrape at times."""


class Coverage(StrEnum):
    """How much of the ready replicas' load is known."""

    COMPLETE = "Complete"
    PARTIAL = "Partial"
    NONE = "None"
    """Replicas are Ready and none could be read."""
    NOTHING_READY = "NothingReady"
    """No replica is Ready, or none has been read since it became Ready: there is nothing to read."""


@dataclass(frozen=True, slots=True)
class Refusals:
    """The refusal counter of one replica in its last sample."""

    taken_at: datetime
    total: float
    per_second: float
    """Between the last two samples; 0 after the first."""


@dataclass(frozen=True, slots=True)
class LoadSummary:
    """Sums over the ready replicas that could be read."""

    active: float
    """Requests running, waiting, held by gateways, or refused because the queue was full: it hides demand."""
    waiting: float
    """Requests waiting, held or refused."""
    kv_percent: float
    """Percent of KV cache in use, summed: 2 replicas at 40 % are 80."""
    ready: int
    """Ready replicas, read or not."""
    read: int
    unread: tuple[str, ...]
    """Names of ready replicas without a usable sample."""
    refusals: Mapping[str, Refusals]
    refused_per_s: float = 0.0
    """Requests refused because no replica had room, per second."""
    is_full: bool = False
    """Whether every replica that was read has no room."""
    held: float = 0.0
    """Requests that gateways hold while at least half of the slots is in use."""
    counting: tuple[Replica, ...] = ()
    """The replicas that were read if all of them count their work, otherwise empty."""

    @property
    def coverage(self) -> Coverage:
        """How much of the load these sums cover."""
        if self.unread:
            return Coverage.PARTIAL if self.read else Coverage.NONE
        return Coverage.COMPLETE if self.read else Coverage.NOTHING_READY

    def follows_targets(self, spec: AutoscalingSpec) -> bool:
        """Whether metric targets decide, and not the SLO: the spec names some, or replicas do not count their work."""
        return self.read > 0 and (bool(spec.metrics) or not self.counting)


def read_load(seen: Observation, before: Mapping[str, Refusals], source: MetricSource, now: datetime) -> LoadSummary:
    """Sum up what the ready replicas report: the read stage of `policy.decide`.

    before: the refusal counters of the previous observation, by replica.

    A replica that became ready within the sample age of `source` and was not read since is not missing yet. A ready
    replica whose fresh sample says zero is zero.
    """
    max_age = max_sample_age(source)
    ready = seen.in_phase(ReplicaPhase.READY)
    samples = {replica.name: sample for replica in ready if (sample := _usable(replica, now, max_age)) is not None}
    refusals = {name: _refusals(sample, before.get(name)) for name, sample in samples.items()}
    refused_per_s = sum(counter.per_second for counter in refusals.values())
    refused = refused_per_s * REFUSED_FOR_S
    waiting = sum(_bounded(sample.queue_depth) for sample in samples.values())
    running = sum(_bounded(sample.running) for sample in samples.values())
    held = _bounded(seen.clients.held) if seen.clients is not None else 0.0
    # One of two gateways has a share of half the slots. It may hold requests while the share of the other is free.
    has_no_room = running + waiting >= HELD_SLOT_SHARE * sum(_bounded(sample.slots) for sample in samples.values())
    return LoadSummary(
        active=running + waiting + held + refused,
        waiting=waiting + held + refused,
        held=held if has_no_room else 0.0,
        kv_percent=100 * sum(min(max(sample.kv_cache_usage_ratio, 0.0), 1.0) for sample in samples.values()),
        ready=len(ready),
        read=len(samples),
        unread=tuple(
            replica.name for replica in ready if replica.name not in samples and not _is_new(replica, now, max_age)
        ),
        refused_per_s=refused_per_s,
        is_full=bool(samples) and (all(map(is_full, samples.values())) or (held > 0 and has_no_room)),
        counting=_counting([replica for replica in ready if replica.name in samples]),
        refusals={**{replica.name: before[replica.name] for replica in ready if replica.name in before}, **refusals},
    )


def max_sample_age(source: MetricSource) -> timedelta:
    """Older samples count as missing. Three intervals, so that one lost scrape is no outage."""
    return max(timedelta(seconds=_LOST_READINGS * source.interval_seconds), _SHORTEST_MAX_AGE[source.type])


def _counting(read: list[Replica]) -> tuple[Replica, ...]:
    works = [replica.sample.work if replica.sample else None for replica in read]
    all_count = all(work is not None and 0 < work.max_tokens_per_second < MOST_REQUESTS for work in works)
    return tuple(read) if all_count else ()


def _usable(replica: Replica, now: datetime, max_age: timedelta) -> ReplicaSample | None:
    sample = replica.sample
    if sample is None or now - sample.taken_at > max_age:
        return None
    if sample.work is None and sample.taken_at < replica.since:
        return None  # Scraped during start-up, before the server measured its speed: not read yet.
    numbers: list[float] = [sample.queue_depth, sample.running, sample.kv_cache_usage_ratio, sample.rejected_total]
    if work := sample.work:
        numbers += [work.max_tokens_per_second, work.prompt_tokens, work.generated_tokens]
        numbers += [work.finished, work.slo_misses, work.max_tokens_per_step or 0.0, work.decode_step_s or 0.0]
    return sample if all(math.isfinite(number) for number in numbers) else None


def _is_new(replica: Replica, now: datetime, max_age: timedelta) -> bool:
    return now - replica.since <= max_age


def _refusals(sample: ReplicaSample, before: Refusals | None) -> Refusals:
    if before is None:
        return Refusals(sample.taken_at, sample.rejected_total, 0.0)
    gap_s = (sample.taken_at - before.taken_at).total_seconds()
    if gap_s <= 0:
        return before
    # A counter that went down was reset by a container restart, as in Prometheus' increase().
    increase = sample.rejected_total - (before.total if sample.rejected_total >= before.total else 0.0)
    return Refusals(sample.taken_at, sample.rejected_total, _bounded(increase) / gap_s)


def _bounded(count: float) -> float:
    return min(max(float(count), 0.0), MOST_REQUESTS)
