"""llm-d's workload-variant-autoscaler: saturation per replica (V1), tokens in use against capacity (V2).

Source of both: llm-d/llm-d-workload-variant-autoscaler at b08b1c7, internal/saturation/analyzer.go,
internal/engines/analyzers/saturation_v2/, internal/engines/pipeline/cost_aware_optimizer.go,
internal/collector/registration/saturation.go, docs/saturation-scaling-config.md and
charts/workload-variant-autoscaler/values.yaml. Every 60 s it publishes a count; an HPA (External, AverageValue 1)
applies it. Without series nothing is published, and the HPA holds. Simplified, in both: one variant, hence no costs;
the published count reaches the HPA without a scrape in between; scale to zero.
"""

import math
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from typing_extensions import override

from chatscale_simulator.policies.behavior import HpaBehavior, RateLimit, Stabilizer
from chatscale_simulator.policies.context import PolicyContext
from chatscale_simulator.policies.hpa import replicas_for_average
from chatscale_simulator.policies.windows import INSTANT_S
from chatscale_simulator.simulation.arrays import FloatArray
from chatscale_simulator.simulation.snapshot import Column, MetricsSnapshot

PEAK_S: Final = 60.0
"""`max_over_time(...[1m])`: the worst reading of each replica in the last minute counts."""
LENGTHS_S: Final = 300.0
"""`rate(...[5m])`, for mean lengths."""
K2_READINGS: Final = 10
"""Number of observed capacities in the average."""
SHORT_OUTPUT, MEDIUM_OUTPUT = 100, 500
"""Upper bounds of the buckets of mean output length, in tokens."""


def _chart_behavior() -> HpaBehavior:
    """Return `hpa.behavior` of the chart: slow in both directions, because starts take minutes."""
    return HpaBehavior(
        up_stabilization_s=240.0,
        up=(RateLimit(pods=10, period_s=150.0),),
        down_stabilization_s=240.0,
        down=(RateLimit(pods=10, period_s=150.0),),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class WvaSettings:
    """The saturation ConfigMap, `GLOBAL_OPT_INTERVAL` and the HPA of the chart."""

    kv_threshold: float = 0.80
    queue_threshold: float = 5.0
    kv_spare_trigger: float = 0.10
    queue_spare_trigger: float = 3.0
    scale_up_threshold: float = 0.85
    """V2: scale up to demand over this."""
    scale_down_boundary: float = 0.70
    """V2: scale down to demand over this."""
    interval_s: float = 60.0
    behavior: HpaBehavior = field(default_factory=_chart_behavior)
    tolerance: float = 0.1
    """Of the HPA. At 0.1 a step of one from 11 replicas or more is within the tolerance, and V1 waits forever."""
    period_s: float = 15.0


class Peak(NamedTuple):
    """The worst readings of a ready replica in the last minute."""

    pod: int
    kv_use: float
    waiting: float


class _Wva:
    """Publishes a count every interval and applies it as an HPA."""

    reads_live = False

    def __init__(self, settings: WvaSettings | None = None) -> None:
        self.settings: Final = settings or WvaSettings()
        self.period_s = self.settings.period_s
        self._stabilizer = Stabilizer(self.settings.behavior)
        self._readings: deque[tuple[float, dict[int, tuple[float, float]]]] = deque()
        self._next_s = -math.inf
        self._published: int | None = None

    def decide(self, snapshot: MetricsSnapshot) -> int:
        """Return the recommended replica count."""
        if snapshot.has_no_data:
            return snapshot.desired
        self._read(snapshot)
        if snapshot.now_s >= self._next_s - INSTANT_S:
            self._next_s = snapshot.now_s + self.settings.interval_s
            self._published = max(1, self._optimize(snapshot, list(self._peaks(snapshot))))
        if self._published is None:
            return snapshot.desired
        recommended = replicas_for_average(self._published, 1.0, snapshot.desired, self.settings.tolerance)
        return self._stabilizer.limit(snapshot.now_s, snapshot.desired, recommended)

    def _read(self, snapshot: MetricsSnapshot) -> None:
        use = snapshot.samples[:, Column.KV_TOKENS] / snapshot.kv_capacity_tokens
        rows = zip(
            snapshot.pods.tolist(),
            snapshot.fresh.tolist(),
            use.tolist(),
            snapshot.samples[:, Column.WAITING].tolist(),
            strict=True,
        )
        self._readings.append((snapshot.now_s, {pod: (kv, waiting) for pod, fresh, kv, waiting in rows if fresh}))
        while self._readings[0][0] <= snapshot.now_s - PEAK_S + INSTANT_S:
            self._readings.popleft()

    def _peaks(self, snapshot: MetricsSnapshot) -> Iterator[Peak]:
        for pod in snapshot.pods.tolist():
            seen = [reading[pod] for _, reading in self._readings if pod in reading]
            if seen:
                yield Peak(pod, max(kv for kv, _ in seen), max(waiting for _, waiting in seen))

    def _optimize(self, snapshot: MetricsSnapshot, peaks: list[Peak]) -> int:
        raise NotImplementedError


class WvaV1(_Wva):
    """WVA's default analyzer: spare KV cache and queue of the replicas that are not saturated; one step at a time.

    One more when either spare is below its trigger, one fewer when n - 1 unsaturated replicas could carry the load
    with both spares left (n at least 2). No change while the published count differs from the present one, or a
    replica has no metrics. If every replica is saturated, both spares are 0, which adds one.
    """

    @override
    def _optimize(self, snapshot: MetricsSnapshot, peaks: list[Peak]) -> int:
        current = snapshot.ready + snapshot.starting
        published = self._published if self._published is not None else current
        if published != current:
            return published
        if not peaks or len(peaks) != current:
            return current
        kv_spare, queue_spare, calm = self._spares(peaks)
        settings = self.settings
        if kv_spare < settings.kv_spare_trigger or queue_spare < settings.queue_spare_trigger:
            return current + 1
        return current - 1 if self._can_lose_one(kv_spare, queue_spare, calm) else current

    def _spares(self, peaks: list[Peak]) -> tuple[float, float, int]:
        settings = self.settings
        calm = [
            peak for peak in peaks if peak.kv_use < settings.kv_threshold and peak.waiting < settings.queue_threshold
        ]
        if not calm:
            return 0.0, 0.0, 0
        kv_spare = sum(settings.kv_threshold - peak.kv_use for peak in calm) / len(calm)
        queue_spare = sum(settings.queue_threshold - peak.waiting for peak in calm) / len(calm)
        return kv_spare, queue_spare, len(calm)

    def _can_lose_one(self, kv_spare: float, queue_spare: float, calm: int) -> bool:
        settings = self.settings
        if calm < 2:
            return False
        more = calm / (calm - 1)
        kv_left = settings.kv_threshold - (settings.kv_threshold - kv_spare) * more
        queue_left = settings.queue_threshold - (settings.queue_threshold - queue_spare) * more
        return kv_left >= settings.kv_spare_trigger and queue_left >= settings.queue_spare_trigger


class WvaV2(_Wva):
    """WVA's token-based analyzer: demand in tokens against a capacity that is learned when replicas saturate.

    Demand of a replica: tokens in use plus waiting requests times the mean input. Capacity: the smaller of 80 % of
    the KV cache and k2: the tokens in use when its queue was last full (mean of the last 10, by output-length bucket),
    or else the steady state that token budget and mean lengths allow. Replicas missing at 85 % of the supply, starting
    ones included, are added at once; replicas spare at 70 % of the ready supply are removed at once.
    Simplified: no scheduler queue in front of the replicas; lengths from our counters (prompt tokens per request
    started, generated tokens per request finished).
    """

    def __init__(self, context: PolicyContext, settings: WvaSettings | None = None) -> None:
        super().__init__(settings)
        self._context: Final = context
        self._k2: dict[str, deque[float]] = {}
        self._lengths = _Lengths()

    @override
    def _optimize(self, snapshot: MetricsSnapshot, peaks: list[Peak]) -> int:
        self._lengths.read(snapshot)
        current = snapshot.ready + snapshot.starting
        if not peaks:
            return current
        demand, capacities = 0.0, []
        for peak in peaks:
            mean_input, mean_output = self._lengths.of(peak.pod)
            in_use = int(peak.kv_use * snapshot.kv_capacity_tokens)
            demand += in_use + int(peak.waiting) * int(mean_input)
            k1 = int(snapshot.kv_capacity_tokens * self.settings.kv_threshold)
            capacities.append(min(k1, self._compute_bound(peak.waiting, in_use, mean_input, mean_output, k1)))
        return self._fitted(snapshot, demand, _median(capacities))

    def _fitted(self, snapshot: MetricsSnapshot, demand: float, capacity: int) -> int:
        current = snapshot.ready + snapshot.starting
        if capacity <= 0:
            return current
        missing = demand / self.settings.scale_up_threshold - current * capacity
        if missing > 0:
            return current + math.ceil(missing / capacity)
        spare = snapshot.ready * capacity - demand / self.settings.scale_down_boundary
        return max(1, current - max(0, math.floor(spare / capacity)))

    def _compute_bound(self, waiting: float, in_use: int, mean_input: float, mean_output: float, k1: int) -> int:
        seen = self._k2.setdefault(_bucket(mean_output), deque(maxlen=K2_READINGS))
        if waiting >= self.settings.queue_threshold and in_use > 0:
            seen.append(in_use)
            return in_use
        if seen:
            return int(sum(seen) / len(seen))
        return self._steady_state(mean_input, mean_output) or k1

    def _steady_state(self, mean_input: float, mean_output: float) -> int:
        if mean_output <= 0:
            return 0
        admitted = self._context.tokens_per_step * mean_output / (mean_input + mean_output)
        return int(min(admitted, self._context.max_sequences) * (mean_input + mean_output / 2))


class _Lengths:
    """Mean input and output of each replica's requests over the last five minutes."""

    _COLUMNS: Final = [Column.PROMPT_TOKENS, Column.STARTED, Column.GENERATED_TOKENS, Column.FINISHED]

    def __init__(self) -> None:
        self._kept: deque[tuple[float, dict[int, FloatArray]]] = deque()
        self._means: dict[int, tuple[float, float]] = {}

    def read(self, snapshot: MetricsSnapshot) -> None:
        """Add one snapshot. Call it once per optimization."""
        newest = dict(zip(snapshot.pods.tolist(), snapshot.samples[:, self._COLUMNS], strict=True))
        self._kept.append((snapshot.now_s, newest))
        while self._kept[0][0] < snapshot.now_s - LENGTHS_S - INSTANT_S:
            self._kept.popleft()
        self._means = {pod: self._mean(pod, counters) for pod, counters in newest.items()}

    def of(self, pod: int) -> tuple[float, float]:
        """Mean (input, output) tokens of a request; 0 where no request started or finished."""
        return self._means.get(pod, (0.0, 0.0))

    def _mean(self, pod: int, counters: FloatArray) -> tuple[float, float]:
        oldest = next(reading[pod] for _, reading in self._kept if pod in reading)
        base = oldest if oldest is not counters else 0.0 * counters
        prompt, started, generated, finished = (counters - base).tolist()
        return prompt / started if started > 0 else 0.0, generated / finished if finished > 0 else 0.0


def _bucket(mean_output: float) -> str:
    if mean_output < SHORT_OUTPUT:
        return "short"
    return "medium" if mean_output < MEDIUM_OUTPUT else "long"


def _median(values: list[int]) -> int:
    ordered, middle = sorted(values), len(values) // 2
    return ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) // 2
