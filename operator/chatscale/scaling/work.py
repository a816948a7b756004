"""From replicas' counters to the work that customers ask for, in replicas. Pure.

Work is counted in tokens, prompt and output alike, and divided by the rate that a replica measured of itself: so it
does not depend on how many replicas share it, and requests of any length add up. Arrivals are counted where they come
in, not where they are served: an overload shows its full size, and long answers before their tokens are made.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from statistics import fmean
from types import MappingProxyType
from typing import Final

from chatscale.scaling.signals import Replica, ReplicaSample
from chatscale.scaling.tuning import CROWDED, LEVEL, RATE_MEMORY, SHORT, SIZE_MEMORY
from chatscale.scaling.windows import Window

_LATE_S: Final = 30.0
"""A Service sends requests as soon as a pod is ready, which its conditions may tell that much later."""
_FEWEST_ANSWERS: Final = 20.0
"""Before so many answers were begun, their mean length is a guess from below."""
MOST_TOKENS: Final = 1e12
"""Bound on what one counter may grow by between two samples: far above any machine."""


@dataclass(frozen=True, slots=True)
class Totals:
    """Counters of one replica, or how much they grew."""

    requests: float = 0.0
    """That came in: ended, running, waiting or refused."""
    started: float = 0.0
    """That got a slot."""
    finished: float = 0.0
    prompt_tokens: float = 0.0
    generated_tokens: float = 0.0
    misses: float = 0.0
    """Of the SLO, refusals among them."""

    @classmethod
    def of(cls, sample: ReplicaSample) -> "Totals":
        """As the replica tells them; it must count its work."""
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
        """The growth. A replica whose answers or tokens fell has started anew with its container."""
        anew = self.finished < before.finished or self.generated_tokens < before.generated_tokens
        start = Totals() if anew else before
        return Totals(
            # Gauges are a part of these, read an instant apart from the counters: never less than nothing.
            requests=max(self.requests - start.requests, 0.0),
            started=max(self.started - start.started, 0.0),
            finished=self.finished - start.finished,
            prompt_tokens=max(self.prompt_tokens - start.prompt_tokens, 0.0),
            generated_tokens=self.generated_tokens - start.generated_tokens,
            misses=max(self.misses - start.misses, 0.0),
        )

    def plus(self, other: "Totals", kept: float = 1.0) -> "Totals":
        """The sum, after this one has faded to `kept` (0 to 1) of itself."""
        return Totals(
            requests=self.requests * kept + other.requests,
            started=self.started * kept + other.started,
            finished=self.finished * kept + other.finished,
            prompt_tokens=self.prompt_tokens * kept + other.prompt_tokens,
            generated_tokens=self.generated_tokens * kept + other.generated_tokens,
            misses=self.misses * kept + other.misses,
        )


@dataclass(frozen=True, slots=True)
class CountedReplica:
    """One replica at its last sample."""

    taken_at: datetime
    totals: Totals


@dataclass(frozen=True, slots=True)
class Work:
    """The work of one ChatModel as counted so far."""

    readings: Mapping[str, CountedReplica] = field(default_factory=lambda: MappingProxyType({}))
    sizes: Totals = field(default_factory=Totals)
    """Sums that fade: ratios of them are mean lengths."""
    grown: Totals = field(default_factory=Totals)
    """Between the last counted observation and the one before."""
    counted_at: datetime | None = None
    """The last observation in which a sample was new."""
    arrivals: Window = field(default_factory=Window)
    """Requests that came in between two observations; after an outage, as many as in SHORT."""
    spans_s: Window = field(default_factory=Window)
    """Seconds of arrivals that they tell of. A sum over a sum is the rate: each request counts once, whichever replica
    took it and whenever that was read. Rates of single replicas do not add up: a new one takes all requests for a
    moment."""
    caches: Window = field(default_factory=Window)
    """Replicas whose KV cache is full, if what is in use were put together."""
    slots: Window = field(default_factory=Window)
    """Likewise of slots."""
    bound: tuple[float, float, float] = (0.0, 0.0, 0.0)
    """Fading sums of tokens, caches and slots: which of them binds, and by how much more than tokens."""
    tokens_per_s: float = 0.0
    """That one replica computes at most; 0 before any told."""
    requests_per_s: float | None = None
    """Over RATE_MEMORY."""
    backlog_s: float = 0.0
    """Seconds that one replica would need for the requests that wait."""

    @property
    def prompt_tokens(self) -> float:
        """Mean of a request."""
        return self.sizes.prompt_tokens / max(self.sizes.started, 1.0)

    @property
    def generated_tokens(self) -> float:
        """Mean of an answer. Those under way have made half of theirs: more of them are not longer ones."""
        answers = (self.sizes.started + self.sizes.finished) / 2
        return self.sizes.generated_tokens / max(answers, _FEWEST_ANSWERS)

    @property
    def request_s(self) -> float:
        """Seconds of one replica that a mean request takes at full steps; the work must be known."""
        return (self.prompt_tokens + self.generated_tokens) / self.tokens_per_s

    @property
    def is_known(self) -> bool:
        """Whether there is a rate to go by."""
        return self.tokens_per_s > 0 and bool(self.spans_s.buckets)

    def tokens(self, now: datetime, span: timedelta) -> float:
        """Replicas that the tokens asked for in the last `span` would fill; the work must be known."""
        as_of = self._as_of(now)
        return self.arrivals.mean(as_of, span) / self.spans_s.mean(as_of, span) * self.request_s

    def _as_of(self, now: datetime) -> datetime:
        """When anything was last known: while samples stand still, windows do not shrink to their last value."""
        return now if self.counted_at is None else min(now, self.counted_at)

    @property
    def binding(self) -> float:
        """How much more than its tokens the scarcest resource is asked for; at least 1."""
        tokens, caches, slots = self.bound
        return max(1.0, caches / tokens, slots / tokens) if tokens > 0 else 1.0

    def level(self, now: datetime) -> float:
        """Replicas that the present load would fill to the brim.

        Tokens asked for show a change before caches and slots fill, so they are scaled to what binds.
        """
        as_of = self._as_of(now)
        held = max(self.caches.mean(as_of, SHORT), self.slots.mean(as_of, SHORT))
        return max(self.tokens(now, LEVEL) * self.binding, held)

    def short(self, now: datetime) -> float:
        """Likewise over SHORT, by tokens alone."""
        return self.tokens(now, SHORT) * self.binding


def typical(prompt_tokens: float, generated_tokens: float) -> Totals:
    """Sums of as many requests of one size as are needed to be believed, and no more."""
    many = _FEWEST_ANSWERS
    return Totals(
        started=many,
        finished=many,
        prompt_tokens=prompt_tokens * many,
        generated_tokens=generated_tokens * many,
    )


def count_work(
    before: Work, replicas: Sequence[Replica], at: datetime, unread: Iterable[str] = (), others: Iterable[str] = ()
) -> Work:
    """Add one observation. replicas: ready and read; all of them must count their work.

    unread: names of those that are ready and could not be read; others: of those that are not ready. They are counted
    from where they were once they are read again. Where no sample is newer than it was (Prometheus lost the scrapes),
    nothing is known of the time since: the work stays as it is, and the next new samples tell of all of it.
    """
    there = {replica.name: replica for replica in replicas}
    samples = {name: replica.sample for name, replica in there.items() if replica.sample is not None}
    unread = tuple(unread)
    told_s = _told_s(before, there, unread, at)
    if told_s <= 0 and before.counted_at is not None:
        return before
    readings = {name: before.readings[name] for name in (*unread, *others) if name in before.readings}
    grown = Totals()
    for name, sample in samples.items():
        readings[name], growth = _read(before, there[name], sample)
        grown = grown.plus(growth)
    speeds = [sample.work.max_tokens_per_second for sample in samples.values() if sample.work]
    counted = replace(
        before,
        readings=MappingProxyType(readings),
        sizes=before.sizes.plus(grown, _kept(told_s, SIZE_MEMORY)),
        grown=grown,
        counted_at=at,
        tokens_per_s=sum(speeds) / len(speeds) if speeds else before.tokens_per_s,
        requests_per_s=_smoothed(before, grown, told_s),
    )
    return _with_load(counted, list(samples.values()), told_s, whole=not unread)


def _told_s(before: Work, there: Mapping[str, Replica], unread: Iterable[str], at: datetime) -> float:
    """Seconds of arrivals that the samples tell of, by their own clocks: 0 if none is new.

    The mean over the replicas that were read before, for each has its own scrapes, and took nothing before it was
    ready; one that is unread now tells of no second. So what the others took stands for the whole, and each second of
    each replica counts once. Where none of those read now was read before, the time between observations.
    """
    gaps_s = [
        max((replica.sample.taken_at - max(before.readings[name].taken_at, replica.since)).total_seconds(), 0.0)
        for name, replica in there.items()
        if replica.sample is not None and name in before.readings
    ]
    if gaps_s:
        return fmean([*gaps_s, *(0.0 for name in unread if name in before.readings)])
    return (at - before.counted_at).total_seconds() if before.counted_at else 0.0


def _with_load(work: Work, samples: list[ReplicaSample], told_s: float, *, whole: bool) -> Work:
    at = work.counted_at
    if at is None or told_s <= 0:
        return work  # The first observation: what came in before it, nobody knows when.
    waiting = sum(sample.queue_depth for sample in samples)
    caches = sum(min(max(sample.kv_cache_usage_ratio, 0.0), 1.0) for sample in samples)
    slots = sum(min(sample.running / max(sample.slots, 1), 1.0) for sample in samples)
    # After an outage one observation tells of minutes, at their mean rate: it is not to outweigh what comes now.
    weight = min(1.0, SHORT.total_seconds() / told_s)
    work = replace(
        work,
        arrivals=work.arrivals.with_value(at, work.grown.requests * weight, LEVEL),
        spans_s=work.spans_s.with_value(at, told_s * weight, LEVEL),
        backlog_s=waiting * work.request_s * work.binding if work.tokens_per_s > 0 else 0.0,
    )
    if not whole or not work.is_known or work.tokens(at, SHORT) > CROWDED * len(samples):
        # An overload fills caches and slots by itself, whatever binds: that teaches nothing, and asks for too much.
        # What is unread holds some of them, which are not to be missed beside everybody's tokens.
        return work
    work = replace(
        work, caches=work.caches.with_value(at, caches, SHORT), slots=work.slots.with_value(at, slots, SHORT)
    )
    means = (work.tokens(at, LEVEL), work.caches.mean(at, SHORT), work.slots.mean(at, SHORT))
    kept = _kept(told_s, SIZE_MEMORY)
    bound = tuple(sum_ * kept + mean for sum_, mean in zip(work.bound, means, strict=True))
    return replace(work, bound=(bound[0], bound[1], bound[2]))


def _read(before: Work, replica: Replica, sample: ReplicaSample) -> tuple[CountedReplica, Totals]:
    """One replica as it is, and what it did since it was last counted."""
    totals, earlier = Totals.of(sample), before.readings.get(replica.name)
    if earlier is not None and sample.taken_at <= earlier.taken_at:
        return earlier, Totals()
    reading = CountedReplica(sample.taken_at, totals)
    if earlier is not None:
        return reading, totals.since(earlier.totals)
    # One that became ready under our eyes: all that it has done is new. Of others nobody knows when they did it.
    is_new = before.counted_at is not None and replica.since >= before.counted_at - LEVEL
    return reading, totals if is_new and _may_have_done(replica, sample) else Totals()


def _may_have_done(replica: Replica, sample: ReplicaSample) -> bool:
    """Whether its answers can all be of this readiness; a pod that was ready before brings a life's."""
    assert sample.work is not None  # noqa: S101 - for the type checker
    ready_s = (sample.taken_at - replica.since).total_seconds()
    return ready_s >= 0 and sample.work.generated_tokens <= sample.work.max_tokens_per_second * (ready_s + _LATE_S)


def _smoothed(before: Work, grown: Totals, told_s: float) -> float | None:
    if told_s <= 0:
        return before.requests_per_s
    rate = grown.requests / told_s
    if before.requests_per_s is None:
        return rate
    return before.requests_per_s + (rate - before.requests_per_s) * (1 - _kept(told_s, RATE_MEMORY))


def _kept(elapsed_s: float, memory: timedelta) -> float:
    return math.exp(-elapsed_s / memory.total_seconds())


def _bounded(count: float) -> float:
    return min(max(count, 0.0), MOST_TOKENS)
