"""The work that clients request, in replicas, from the counters of the replicas. Pure.

The load is the request rate times the seconds of one replica that a mean request takes (`speed.py`). So it does not
depend on the number of replicas, and requests of any length add up. Requests are counted when they arrive, not when
they finish: an overload shows its full size, and a long answer counts before its tokens are generated.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from statistics import fmean
from types import MappingProxyType
from typing import Final

from chatscale.api.v1alpha1 import BindingLimit
from chatscale.scaling.client_work import CountedClients, count_clients
from chatscale.scaling.jump import ArrivalNoise, Jump, find_jump, span_since
from chatscale.scaling.saturation import Saturation, is_full
from chatscale.scaling.signals import ClientDemand, Replica, ReplicaSample
from chatscale.scaling.speed import Speed, mean_speed
from chatscale.scaling.totals import Totals
from chatscale.scaling.tuning import (
    JUMP_WINDOW,
    LOAD_WINDOW,
    OVERLOAD_THRESHOLD,
    REQUEST_RATE_MEMORY,
    REQUEST_SIZE_MEMORY,
    SHORT_WINDOW,
)
from chatscale.scaling.windows import Window

_READINESS_DELAY_S: Final = 30.0
"""A Service sends requests as soon as a pod is Ready; its conditions may show that up to this much later."""
_MIN_ANSWERS: Final = 20.0
"""Before this many answers the mean length is an underestimate."""
_MIN_REQUEST_S: Final = 1e-6


@dataclass(frozen=True, slots=True)
class CountedReplica:
    """The last counted sample of one replica."""

    taken_at: datetime
    totals: Totals
    is_full: bool = False
    """Whether it had no room, see `is_full`."""


@dataclass(frozen=True, slots=True)
class Work:
    """The work of one ChatModel that has been counted so far."""

    replicas: Mapping[str, CountedReplica] = field(default_factory=lambda: MappingProxyType({}))
    sizes: Totals = field(default_factory=Totals)
    """Exponentially weighted sums; their ratios are mean request lengths."""
    growth: Totals = field(default_factory=Totals)
    """Between the last two counted observations, over all replicas."""
    counted_at: datetime | None = None
    """Time of the last observation with a new sample."""
    arrivals: Window = field(default_factory=Window)
    """Requests that arrived between two observations; after an outage, scaled to SHORT_WINDOW."""
    spans_s: Window = field(default_factory=Window)
    """Seconds that each of these counts covers. The sum of arrivals over the sum of seconds is the request rate: each
    request counts once, whichever replica took it and whenever it was scraped. Rates of single replicas do not add up,
    because a new replica takes all requests for a moment."""
    kv_use: Window = field(default_factory=Window)
    """KV cache in use, summed over replicas, in replicas."""
    slot_use: Window = field(default_factory=Window)
    """Batch slots in use, summed over replicas, in replicas."""
    resource_sums: tuple[float, float, float] = (0.0, 0.0, 0.0)
    """Exponentially weighted sums of the modelled load, KV cache and slots in replicas: what the model leaves out."""
    speed: Speed = field(default_factory=Speed)
    """What the replicas measured of themselves in warm-up."""
    requests_per_s: float | None = None
    """Smoothed over REQUEST_RATE_MEMORY."""
    backlog_s: float = 0.0
    """Seconds that one replica needs for the requests in the queues."""
    waiting: float = 0.0
    """Requests in the queues."""
    waiting_before: float = 0.0
    """The same in the reading before."""
    noise: ArrivalNoise = field(default_factory=ArrivalNoise)
    jump: Jump | None = None
    """The last jump of the arrival rate; None if the load is averaged over LOAD_WINDOW."""
    jumped_at: datetime | None = None
    """When the last jump was seen, however long ago; None if there was none."""
    saturation: Saturation = field(default_factory=Saturation)
    clients: CountedClients | None = None
    """The last reading of the gateways; None without a readable one."""
    held_at: datetime | None = None
    """The last reading in which gateways held requests; None if none did."""

    @property
    def prompt_tokens(self) -> float:
        """Mean of a request."""
        return self.sizes.prompt_tokens / max(self.sizes.started, 1.0)

    @property
    def generated_tokens(self) -> float:
        """Mean of an answer. Answers in progress count as half: on average they have half of their tokens."""
        answers = (self.sizes.started + self.sizes.finished) / 2
        return self.sizes.generated_tokens / max(answers, _MIN_ANSWERS)

    @property
    def request_s(self) -> float:
        """Seconds of one replica that a mean request takes when the replica is full. The work must be known."""
        return self.speed.request_s(self.prompt_tokens, self.generated_tokens)

    @property
    def has_sizes(self) -> bool:
        """Whether enough answers have finished to know their mean length."""
        return self.sizes.finished >= _MIN_ANSWERS / 2

    @property
    def replica_rps(self) -> float:
        """Mean requests per second that one full replica serves. The work must be known."""
        return 1 / max(self.request_s * self.bottleneck_factor, _MIN_REQUEST_S)

    @property
    def capacity(self) -> tuple[BindingLimit, float] | None:
        """What limits one full replica, and the requests per second that it serves; None before both are known."""
        if not (self.is_known and self.has_sizes and self.request_s > 0):
            return None
        modelled, kv, slots = self.resource_sums
        binding = self.speed.binding_limit(self.prompt_tokens, self.generated_tokens)
        if max(kv, slots) > modelled:
            binding = BindingLimit.KV_CACHE if kv > slots else BindingLimit.SLOTS
        return binding, self.replica_rps

    @property
    def is_known(self) -> bool:
        """Whether a request rate is known."""
        return self.speed.tokens_per_s > 0 and bool(self.spans_s.buckets)

    def modelled_load(self, now: datetime, span: timedelta) -> float:
        """Replicas that the requests of the last `span` would use completely. The work must be known."""
        return self._rps(self._as_of(now), span) * self.request_s

    def _rps(self, as_of: datetime, span: timedelta) -> float:
        return self.arrivals.mean(as_of, span) / self.spans_s.mean(as_of, span)

    def _as_of(self, now: datetime) -> datetime:
        """Not after the last new sample: without new samples a window would shrink to its last value."""
        return now if self.counted_at is None else min(now, self.counted_at)

    @property
    def bottleneck_factor(self) -> float:
        """Use of the scarcest resource relative to the modelled load; at least 1."""
        modelled, kv, slots = self.resource_sums
        learned = max(kv / modelled, slots / modelled) if modelled > 0 else 1.0
        return max(learned, self.saturation.slowdown)

    def load(self, now: datetime, *, recent: bool = False) -> float:
        """Replicas that the present load would use completely. The work must be known.

        recent: the replicas are full, so a higher rate in JUMP_WINDOW counts.

        Arrivals show a change before KV cache and slots fill, so the modelled load is scaled to the bottleneck.
        """
        as_of = self._as_of(now)
        arriving = self.arrival_rps(now, recent=recent) * self.request_s
        in_use = max(self.kv_use.mean(as_of, SHORT_WINDOW), self.slot_use.mean(as_of, SHORT_WINDOW))
        return max(arriving * self.bottleneck_factor, in_use)

    def arrival_rps(self, now: datetime, *, recent: bool = False) -> float:
        """Requests per second over LOAD_WINDOW, or since the last jump. The work must be known.

        recent: a higher rate in JUMP_WINDOW counts.
        """
        as_of, jump = self._as_of(now), self.jump
        spans = [span_since(jump, as_of)]
        if jump is not None and jump.seen_at < as_of and spans[0] < LOAD_WINDOW:
            # The first reading may cover only a part of the time since the jump.
            spans.append(as_of - jump.seen_at)
        if recent:
            spans.append(JUMP_WINDOW)
        return max(self._rps(as_of, span) for span in spans)

    def short_load(self, now: datetime) -> float:
        """The load over SHORT_WINDOW, from arrivals alone."""
        return self.modelled_load(now, SHORT_WINDOW) * self.bottleneck_factor


def sizes_of(prompt_tokens: float, generated_tokens: float) -> Totals:
    """Initial `Work.sizes` for known mean lengths, with the smallest weight that counts."""
    return Totals(
        started=_MIN_ANSWERS,
        finished=_MIN_ANSWERS,
        prompt_tokens=prompt_tokens * _MIN_ANSWERS,
        generated_tokens=generated_tokens * _MIN_ANSWERS,
    )


def count_work(
    before: Work,
    replicas: Sequence[Replica],
    at: datetime,
    unread: Iterable[str] = (),
    not_ready: Iterable[str] = (),
    clients: ClientDemand | None = None,
) -> Work:
    """Add one observation. replicas: Ready and read; all of them must have work counters.

    unread: names of Ready replicas that could not be read. not_ready: names of all other replicas. Both are counted
    from their last sample once they are read again. clients: what the gateways report; their arrivals and SLO misses
    replace those of the replicas. If no sample is newer than before (Prometheus lost the scrapes),
    the work stays as it is, and the next new samples cover the whole time.
    """
    by_name = {replica.name: replica for replica in replicas}
    samples = {name: replica.sample for name, replica in by_name.items() if replica.sample is not None}
    unread = tuple(unread)
    covered_s = _covered_s(before, by_name, unread, at)
    if covered_s <= 0 and before.counted_at is not None:
        return before
    counted = {name: before.replicas[name] for name in (*unread, *not_ready) if name in before.replicas}
    growth = Totals()
    speed = mean_speed(list(samples.values())) if samples else before.speed
    saturation = before.saturation.decayed(_decay(covered_s, REQUEST_SIZE_MEMORY))
    for name, sample in samples.items():
        counted[name], grown = _count_replica(before, by_name[name], sample)
        growth = growth.plus(grown)
        last = before.replicas.get(name)
        if last is not None and last.is_full and counted[name].is_full:
            elapsed_s = (sample.taken_at - last.taken_at).total_seconds()
            saturation = saturation.with_work(speed, grown.prompt_tokens, grown.generated_tokens, elapsed_s)
    counted_clients, from_clients = count_clients(before.clients, clients, growth.requests)
    span_s = covered_s
    if from_clients is not None:
        span_s = from_clients.seconds
        misses = growth.misses if from_clients.misses is None else from_clients.misses
        growth = replace(growth, requests=from_clients.requests, misses=misses)
    work = replace(
        before,
        clients=counted_clients,
        replicas=MappingProxyType(counted),
        sizes=before.sizes.plus(growth, _kept_sizes(before.sizes, covered_s)),
        growth=growth,
        counted_at=at,
        speed=speed,
        saturation=saturation,
        requests_per_s=_smoothed_rate(before, growth, span_s),
    )
    return _with_load(work, list(samples.values()), span_s, clients, is_complete=not unread)


def _covered_s(before: Work, by_name: Mapping[str, Replica], unread: Iterable[str], at: datetime) -> float:
    """Seconds of arrivals that the new samples cover, by the clocks of the samples; 0 if no sample is new.

    The mean over the replicas that were counted before: each has its own scrape time, and took no requests before it
    was Ready. An unread replica covers 0 s, so the arrivals of the others stand for the whole, and each second of each
    replica counts once. If none of the replicas was counted before: the time between the observations.
    """
    gaps_s = [
        max((replica.sample.taken_at - max(before.replicas[name].taken_at, replica.since)).total_seconds(), 0.0)
        for name, replica in by_name.items()
        if replica.sample is not None and name in before.replicas
    ]
    if gaps_s:
        return fmean([*gaps_s, *(0.0 for name in unread if name in before.replicas)])
    return (at - before.counted_at).total_seconds() if before.counted_at else 0.0


def _with_load(
    work: Work, samples: list[ReplicaSample], covered_s: float, clients: ClientDemand | None, *, is_complete: bool
) -> Work:
    at = work.counted_at
    if at is None or covered_s <= 0:
        return work  # The first observation: when its requests arrived is unknown.
    queued = sum(sample.queue_depth for sample in samples)
    held = clients.held if clients is not None else 0
    kv_use = sum(min(max(sample.kv_cache_usage_ratio, 0.0), 1.0) for sample in samples)
    slot_use = sum(min(sample.running / max(sample.slots, 1), 1.0) for sample in samples)
    # After an outage one observation covers minutes, at their mean rate. It must not outweigh the next ones.
    weight = min(1.0, SHORT_WINDOW.total_seconds() / covered_s)
    work = replace(
        work,
        arrivals=work.arrivals.with_value(at, work.growth.requests * weight, LOAD_WINDOW),
        spans_s=work.spans_s.with_value(at, covered_s * weight, LOAD_WINDOW),
        waiting=queued + held,
        waiting_before=work.waiting,
        held_at=at if held else work.held_at,
        backlog_s=_backlog_s(work, queued, clients),
    )
    work = _with_jump(work, work.growth.requests * weight, covered_s * weight, at)
    is_overloaded = (
        held > 0
        or (work.is_known and work.modelled_load(at, SHORT_WINDOW) > OVERLOAD_THRESHOLD * len(samples))
        or any(sample.queue_depth > 0 and sample.running >= sample.slots for sample in samples)
    )
    if not is_complete or not work.is_known or is_overloaded:
        # An overload fills KV cache and slots whatever the bottleneck is, and would recommend too many replicas.
        # Unread replicas hold a part of both, while the tokens of all replicas are known.
        return work
    work = replace(
        work,
        kv_use=work.kv_use.with_value(at, kv_use, SHORT_WINDOW),
        slot_use=work.slot_use.with_value(at, slot_use, SHORT_WINDOW),
    )
    if not work.has_sizes:
        return work  # Answers in progress are too short, and so is the modelled load.
    if work.held_at is not None and at - work.held_at < LOAD_WINDOW:
        return work  # The slots are in use by requests that arrived long before they got one: the model counts too few.
    means = (
        work.arrival_rps(at) * work.request_s,
        work.kv_use.mean(at, SHORT_WINDOW),
        work.slot_use.mean(at, SHORT_WINDOW),
    )
    kept = _decay(covered_s, REQUEST_SIZE_MEMORY)
    modelled, kv, slots = (sum_ * kept + mean for sum_, mean in zip(work.resource_sums, means, strict=True))
    return replace(work, resource_sums=(modelled, kv, slots))


def _backlog_s(work: Work, queued: int, clients: ClientDemand | None) -> float:
    """Seconds that one replica needs for the requests in the queues and in the gateways.

    The prompts of held requests are known; their answers, and all of the queued requests, are taken as mean ones.
    """
    if work.speed.tokens_per_s <= 0:
        return 0.0
    backlog_s = queued * work.request_s
    if clients is not None and clients.held:
        backlog_s += clients.held * work.speed.request_s(
            clients.held_prompt_tokens / clients.held, work.generated_tokens
        )
    return backlog_s * work.bottleneck_factor


def _with_jump(work: Work, requests: float, seconds: float, at: datetime) -> Work:
    """Compare the newest reading with those before."""
    jump = find_jump(work.arrivals, work.spans_s, work.noise, work.jump, at)
    if jump is not None:
        return replace(work, jump=jump, jumped_at=jump.seen_at)
    mean_rps = work.arrivals.mean(at, LOAD_WINDOW) / work.spans_s.mean(at, LOAD_WINDOW)
    return replace(work, jump=None, noise=work.noise.with_reading(requests, seconds, mean_rps))


def _count_replica(before: Work, replica: Replica, sample: ReplicaSample) -> tuple[CountedReplica, Totals]:
    """The new sample of one replica, and its growth since the last counted one."""
    totals, last = Totals.of(sample), before.replicas.get(replica.name)
    if last is not None and sample.taken_at <= last.taken_at:
        return last, Totals()
    counted = CountedReplica(sample.taken_at, totals, is_full(sample))
    if last is not None:
        return counted, totals.since(last.totals)
    # All work of a replica that became Ready since the last observations is new. The age of other work is unknown.
    is_new = before.counted_at is not None and replica.since >= before.counted_at - LOAD_WINDOW
    return counted, totals if is_new and _work_fits_readiness(replica, sample) else Totals()


def _work_fits_readiness(replica: Replica, sample: ReplicaSample) -> bool:
    """True if all tokens could have been generated since the pod last became Ready.

    Otherwise its counters include older work.
    """
    assert sample.work is not None  # noqa: S101 - for the type checker
    ready_s = (sample.taken_at - replica.since).total_seconds()
    most_tokens = sample.work.max_tokens_per_second * (ready_s + _READINESS_DELAY_S)
    return ready_s >= 0 and sample.work.generated_tokens <= most_tokens


def _smoothed_rate(before: Work, growth: Totals, covered_s: float) -> float | None:
    if covered_s <= 0:
        return before.requests_per_s
    rate = growth.requests / covered_s
    if before.requests_per_s is None:
        return rate
    return before.requests_per_s + (rate - before.requests_per_s) * (1 - _decay(covered_s, REQUEST_RATE_MEMORY))


def _kept_sizes(sizes: Totals, covered_s: float) -> float:
    """The share of the sizes that is kept: idle time does not forget the mean lengths of the last answers."""
    least = min(_MIN_ANSWERS / sizes.finished, 1.0) if sizes.finished > 0 else 0.0
    return max(_decay(covered_s, REQUEST_SIZE_MEMORY), least)


def _decay(elapsed_s: float, time_constant: timedelta) -> float:
    """The share (0 to 1) of an exponentially weighted sum that is left after `elapsed_s`."""
    return math.exp(-elapsed_s / time_constant.total_seconds())
