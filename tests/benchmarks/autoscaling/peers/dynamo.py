"""NVIDIA Dynamo's planner for aggregated engines: a forecast of throughput, a reaction to load, or both."""

import math
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, NamedTuple

from chatscale_simulator.policies.context import PolicyContext
from chatscale_simulator.policies.windows import INSTANT_S
from chatscale_simulator.simulation.snapshot import Column, MetricsSnapshot
from tests.benchmarks.autoscaling.peers.counters import Increase
from tests.benchmarks.autoscaling.peers.dynamo_engine import Engine
from tests.benchmarks.autoscaling.peers.dynamo_forecast import Arima, Kalman, Predictor


class OptimizationTarget(StrEnum):
    """The criterion of load scaling."""

    SLA = "sla"
    """Predicted latencies compared with the targets."""
    THROUGHPUT = "throughput"
    """Fixed bounds of KV use; Dynamo's default, which needs no targets."""


class Forecast(StrEnum):
    """The predictors that are reimplemented here."""

    KALMAN = "kalman"
    ARIMA = "arima"


@dataclass(frozen=True, slots=True, kw_only=True)
class DynamoSettings:
    """The planner's configuration. Defaults as shipped, except for the targets, which the user sets."""

    throughput: bool = True
    """`enable_throughput_scaling`."""
    load: bool = False
    """`enable_load_scaling`; with both, throughput sets the floor."""
    forecast: Forecast = Forecast.ARIMA
    reselect: bool = False
    """See `Arima`."""
    optimization_target: OptimizationTarget = OptimizationTarget.SLA
    itl_step_share: float | None = None
    """Sets the target `itl` to the time of a step with this share of its tokens and cache in use, if that is less.

    None: `itl` is the TPOT of the SLO, and `ttft` its TTFT; the defaults of 50 and 500 ms are placeholders. Step times
    are nearly flat, so a target in milliseconds cannot be tuned: on four H100 they are 52 ms at a quarter of the load
    and 61 ms at full load.
    """
    throughput_interval_s: float = 180.0
    down_sensitivity: float = 0.8
    period_s: float = 5.0
    """`load_adjustment_interval`."""


KV_UP, KV_DOWN = 1.0, 0.6
"""KV cache use with queued prompts: one replica more if it is above on any engine, one fewer if below on all."""
AVERAGED: Final = 64
"""Number of readings in its moving averages: `max_num_fpm_samples`."""
_COLUMNS: Final = (
    Column.ARRIVED,
    Column.PROMPT_TOKENS,
    Column.STARTED,
    Column.GENERATED_TOKENS,
    Column.FINISHED,
    Column.STEP_COUNT,
)


class Load(NamedTuple):
    """The load of one engine."""

    queued_tokens: float
    """Prompt tokens of waiting requests."""
    decoding: float
    kv_tokens: float

    def times(self, factor: float) -> "Load":
        """Return the load of an engine after others were removed."""
        return Load(self.queued_tokens * factor, self.decoding * factor, self.kv_tokens * factor)


class Dynamo:
    """Dynamo's planner, mode `agg`.

    Source: ai-dynamo/dynamo, components/src/dynamo/planner/core/{throughput_scaling,load_scaling,state_machine}.py
    at 0c9050c and 0c6da1e, config/defaults.py at 1ca6015; predictors and performance model in the files beside this.
    Throughput, every 180 s: requests and mean lengths of the next interval are forecast; replicas = forecast rate /
    best rate of one engine within the targets. Load, every 5 s: one more when the predicted TTFT (or ITL) of every
    engine is above its target, one fewer when all would stay within 80 % of the margin with the load of one engine
    moved to the others; only while the desired number of engines is ready and all report.
    Without targets (`optimization_target` throughput, which load scaling alone ships): one more when any engine's KV
    use, queued prompts included, is above KV_UP, one fewer when all are below KV_DOWN.
    Simplified: queued prompt tokens are waiting requests times the mean input; no prefix-cache discount, no GPU
    budget (the bounds of the comparison), no preempted KV; a counter gap counts as no traffic.
    """

    def __init__(self, context: PolicyContext, settings: DynamoSettings | None = None) -> None:
        self.settings: Final = settings or DynamoSettings()
        self.period_s = self.settings.period_s
        self.reads_live = self.settings.load
        """Load scaling uses metrics that the engines push; throughput scaling alone queries Prometheus."""
        self._context: Final = context
        self._engine: Final = Engine(context)
        self._ttft_ms: Final = 1000 * context.ttft_slo_s
        self._itl_ms: Final = self._itl_target_ms()
        self._traffic = _Traffic()
        self._forecast = _TrafficForecast(self._predictor)
        self._tick_s: float | None = None
        self._floor = 1

    def decide(self, snapshot: MetricsSnapshot) -> int:
        """Return the recommended replica count."""
        if snapshot.has_no_data:
            return snapshot.desired
        self._traffic.read(snapshot)
        forecast = self._throughput(snapshot.now_s) if self.settings.throughput else None
        if not self.settings.load:
            return snapshot.desired if forecast is None else forecast
        if forecast is not None:
            self._floor = forecast
        return self._react(snapshot)

    def _itl_target_ms(self) -> float:
        slo_ms, share = 1000 * self._context.tpot_slo_s, self.settings.itl_step_share
        if share is None:
            return slo_ms
        tokens, kv_tokens = self._context.tokens_per_step * share, self._context.kv_capacity_tokens * share
        return min(slo_ms, self._engine.step_ms(tokens, 0, kv_tokens))

    def _predictor(self) -> Predictor:
        if self.settings.forecast is Forecast.KALMAN:
            return Kalman()
        return Arima(reselect=self.settings.reselect)

    def _throughput(self, now_s: float) -> int | None:
        """Return the replicas for the next interval; None between its decisions."""
        if self._tick_s is None:
            self._tick_s = now_s
            self._traffic.take()
        elapsed_s = now_s - self._tick_s
        if elapsed_s < self.settings.throughput_interval_s - INSTANT_S:
            return None
        self._tick_s = now_s
        requests, mean_input, mean_output = self._forecast.after(self._traffic.take())
        best = self._engine.best_rate(mean_input, mean_output, self._ttft_ms, self._itl_ms)
        return max(1, math.ceil(requests / elapsed_s / best)) if best > 0 else None

    def _react(self, snapshot: MetricsSnapshot) -> int:
        if snapshot.ready != snapshot.desired or snapshot.starting or not snapshot.fresh.all():
            return snapshot.desired
        mean_input = self._traffic.mean_input.value
        waiting = snapshot.samples[:, Column.WAITING].tolist()
        running = snapshot.samples[:, Column.RUNNING].tolist()
        held = snapshot.samples[:, Column.KV_TOKENS].tolist()
        rows = zip(waiting, running, held, strict=True)
        loads = [Load(queued * mean_input, decoding, kv) for queued, decoding, kv in rows]
        match self.settings.optimization_target:
            case OptimizationTarget.SLA:
                step = self._by_latency(loads, mean_input)
            case OptimizationTarget.THROUGHPUT:
                step = self._by_cache(loads)
        return max(snapshot.desired + step, self._floor, 1)

    def _by_cache(self, loads: list[Load]) -> int:
        uses = [(load.kv_tokens + load.queued_tokens) / self._context.kv_capacity_tokens for load in loads]
        if max(uses) > KV_UP:
            return 1
        return -1 if len(loads) > 1 and max(uses) < KV_DOWN else 0

    def _by_latency(self, loads: list[Load], mean_input: float) -> int:
        if mean_input <= 0:
            return 0
        ttft_over = all(self._ttft_of(load, mean_input) > self._ttft_ms for load in loads)
        if ttft_over or all(self._itl_of(load) > self._itl_ms for load in loads):
            return 1
        if len(loads) == 1:
            return 0
        return -1 if self._can_remove_one(loads, mean_input) else 0

    def _can_remove_one(self, loads: list[Load], mean_input: float) -> bool:
        """Whether every engine meets the targets with the load of one engine moved to the others.

        Latency grows with each part of a load: if an engine with the largest of each part meets them, all do.
        """
        more = len(loads) / (len(loads) - 1)
        worst = Load(*(max(part) for part in zip(*loads, strict=True)))
        if self._meets_targets(worst.times(more), mean_input):
            return True
        fullest_first = sorted(loads, key=lambda load: load.kv_tokens + load.queued_tokens, reverse=True)
        return all(self._meets_targets(load.times(more), mean_input) for load in fullest_first)

    def _ttft_of(self, load: Load, mean_input: float) -> float:
        return self._engine.ttft_ms(load.queued_tokens, mean_input, load.decoding, load.kv_tokens)

    def _itl_of(self, load: Load) -> float:
        kv_tokens = load.kv_tokens + self._traffic.mean_context.value
        return self._engine.itl_ms(self._traffic.mean_prefill.value, load.decoding, kv_tokens)

    def _meets_targets(self, load: Load, mean_input: float) -> bool:
        sensitivity = self.settings.down_sensitivity
        all_kv = load.kv_tokens + load.queued_tokens
        if all_kv >= self._context.kv_capacity_tokens:
            return False
        if self._itl_of(load._replace(kv_tokens=all_kv)) >= self._itl_ms * sensitivity:
            return False
        own_ms = self._ttft_of(load._replace(queued_tokens=0.0), mean_input)
        room_ms = (self._ttft_ms - own_ms) * sensitivity
        return room_ms > 0 and self._ttft_of(load, mean_input) - own_ms < room_ms


class Interval(NamedTuple):
    """Traffic of one throughput interval."""

    requests: float
    mean_input: float
    mean_output: float


class _Traffic:
    """Adds up arrivals, and keeps moving averages of request and step sizes."""

    def __init__(self) -> None:
        self._increase = Increase(_COLUMNS)
        self._sums = [0.0] * len(_COLUMNS)
        self.mean_input = _MovingAverage()
        """Prompt tokens per request."""
        self.mean_prefill = _MovingAverage()
        """Prompt tokens per step."""
        self.mean_context = _MovingAverage()
        """KV tokens per sequence in decode."""

    def read(self, snapshot: MetricsSnapshot) -> None:
        grown = self._increase.since_last(snapshot)
        self._sums = [before + more for before, more in zip(self._sums, grown, strict=True)]
        _, prompt, started, _, _, steps = grown
        if started > 0:
            self.mean_input.add(prompt / started)
        if steps > 0:
            self.mean_prefill.add(prompt / steps)
        running = snapshot.total(Column.RUNNING)
        if running > 0:
            self.mean_context.add(snapshot.total(Column.KV_TOKENS) / running)

    def take(self) -> Interval:
        """Return the sums since the last call and reset them."""
        arrived, prompt, started, generated, finished, _ = self._sums
        self._sums = [0.0] * len(_COLUMNS)
        return Interval(arrived, prompt / started if started else 0.0, generated / finished if finished else 0.0)


class _TrafficForecast:
    """One predictor each for requests, input and output."""

    def __init__(self, make: Callable[[], Predictor]) -> None:
        self._predictors = (make(), make(), make())

    def after(self, interval: Interval) -> Interval:
        return Interval(*self._ahead(interval))

    def _ahead(self, interval: Interval) -> Iterator[float]:
        for predictor, value in zip(self._predictors, interval, strict=True):
            predictor.add(value)
            yield predictor.next()


class _MovingAverage:
    """Mean of the last readings; 0 before the first."""

    def __init__(self) -> None:
        self._kept: deque[float] = deque(maxlen=AVERAGED)
        self._sum = 0.0

    def add(self, value: float) -> None:
        if len(self._kept) == AVERAGED:
            self._sum -= self._kept[0]
        self._kept.append(value)
        self._sum += value

    @property
    def value(self) -> float:
        return max(0.0, self._sum / len(self._kept)) if self._kept else 0.0
