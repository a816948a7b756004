"""All Prometheus metrics of the server: names, labels, units, buckets, and the `vllm:` twins.

The event loop is the only writer and reader, so a scrape sees a consistent state. Labels are bounded: model and
ChatModel are fixed per process, reasons are closed sets. This module makes no decisions.

The values are kept here and not in prometheus_client's own types: those cannot count n equal values at once, nor show
one histogram under two names with different buckets (docs/design/0010).
"""

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Final

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric as MetricFamily
from prometheus_client.registry import Collector
from typing_extensions import override

from chatscale_contract.server.metrics import (
    BATCH_SIZE_LABEL,
    CHATMODEL_LABEL,
    MODEL_NAME_LABEL,
    Metric,
    RejectReason,
    SloObjective,
)

VLLM_TTFT_BUCKETS_S: Final = (
    0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0, 20.0, 40.0, 80.0,
    160.0, 640.0, 2560.0,
)  # fmt: skip
"""As in vLLM's `v1/metrics/loggers.py`, so that dashboards and recording rules work unchanged."""
TTFT_BUCKETS_S: Final = tuple(sorted({*VLLM_TTFT_BUCKETS_S, 2.0, 3.0}))
"""With typical TTFT objectives as bounds, so that the share that met one needs no interpolation."""
ITL_BUCKETS_S: Final = (
    0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0, 20.0, 40.0, 80.0,
)  # fmt: skip
VLLM_LATENCY_BUCKETS_S: Final = (
    0.3, 0.5, 0.8, 1.0, 1.5, 2.0, 2.5, 5.0, 10.0, 15.0, 20.0, 30.0, 40.0, 50.0, 60.0, 120.0, 240.0, 480.0, 960.0,
    1920.0, 7680.0,
)  # fmt: skip
LATENCY_BUCKETS_S: Final = (0.05, 0.1, 0.2, *VLLM_LATENCY_BUCKETS_S)
"""With bounds for models that respond within 0.3 s."""
STEP_BUCKETS_S: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
TOKEN_BUCKETS: Final = tuple(float(mantissa * 10**power) for power in range(6) for mantissa in (1, 2, 5))
"""As in vLLM, up to 500,000."""
BATCH_BUCKETS: Final = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0)

FINISH_REASONS: Final = ("stop", "length", "cancelled", "error")
STARTUP_PHASES: Final = ("import", "download", "load", "warm_up")
_ENDED: Final = "Requests ended, each choice of `n` counting, without those that were refused or got no token"
_VLLM_FINISH_REASONS: Final = {"stop": "stop", "length": "length", "cancelled": "abort", "error": "error"}


@dataclass(slots=True)
class Histogram:
    """Counts per bucket. `bounds` are the ascending upper bounds without +Inf."""

    bounds: tuple[float, ...]
    counts: list[int] = field(init=False)
    total: float = 0.0

    def __post_init__(self) -> None:
        self.counts = [0] * (len(self.bounds) + 1)

    def observe(self, value: float, times: int = 1) -> None:
        """Count `value` `times` times."""
        self.counts[bisect_left(self.bounds, value)] += times
        self.total += value * times

    def cumulative(self, bounds: tuple[float, ...] | None = None) -> list[tuple[str, float]]:
        """Cumulative buckets as in the exposition: (upper bound, number of values up to it).

        bounds: a subset of the histogram's bounds; None means all.
        """
        below = dict(zip(self.bounds, accumulate(self.counts), strict=False))
        rows = [(str(bound), float(below[bound])) for bound in bounds or self.bounds]
        return [*rows, ("+Inf", float(sum(self.counts)))]


@dataclass(slots=True)
class Counts:
    """Counters and histograms since the process started."""

    time_to_first_token_s: Histogram = field(default_factory=lambda: Histogram(TTFT_BUCKETS_S))
    inter_token_s: Histogram = field(default_factory=lambda: Histogram(ITL_BUCKETS_S))
    time_per_output_token_s: Histogram = field(default_factory=lambda: Histogram(ITL_BUCKETS_S))
    queue_time_s: Histogram = field(default_factory=lambda: Histogram(LATENCY_BUCKETS_S))
    prefill_time_s: Histogram = field(default_factory=lambda: Histogram(LATENCY_BUCKETS_S))
    decode_time_s: Histogram = field(default_factory=lambda: Histogram(LATENCY_BUCKETS_S))
    request_duration_s: Histogram = field(default_factory=lambda: Histogram(LATENCY_BUCKETS_S))
    step_duration_s: Histogram = field(default_factory=lambda: Histogram(STEP_BUCKETS_S))
    batch_size: Histogram = field(default_factory=lambda: Histogram(BATCH_BUCKETS))
    request_prompt_tokens: Histogram = field(default_factory=lambda: Histogram(TOKEN_BUCKETS))
    request_generated_tokens: Histogram = field(default_factory=lambda: Histogram(TOKEN_BUCKETS))
    prompt_tokens: int = 0
    prefix_queries: int = 0
    prefix_hits: int = 0
    generated_tokens: int = 0
    client_disconnects: int = 0
    finished: dict[str, int] = field(default_factory=lambda: dict.fromkeys(FINISH_REASONS, 0))
    slo_misses: dict[SloObjective, int] = field(default_factory=lambda: dict.fromkeys(SloObjective, 0))
    rejected: dict[RejectReason, int] = field(default_factory=lambda: dict.fromkeys(RejectReason, 0))
    startup_phase_s: dict[str, float] = field(default_factory=lambda: dict.fromkeys(STARTUP_PHASES, 0.0))

    @property
    def aborted(self) -> int:
        """All admitted requests that were cancelled, as vLLM counts them: with and without a first token."""
        left = self.rejected[RejectReason.ABANDONED] + self.rejected[RejectReason.CANCELLED]
        return self.finished["cancelled"] + left


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """Current gauge values. The defaults apply while the model is loading."""

    queue_depth: int = 0
    requests_running: int = 0
    slots: int = 0
    queue_capacity: int = 0
    max_tokens_per_step: int = 0
    max_tokens_per_second: float = 0.0
    decode_step_s: Mapping[int, float] = field(default_factory=dict)
    """By batch size."""
    oldest_waiting_s: float = 0.0
    kv_cache_usage_ratio: float = 0.0
    draining: bool = False
    last_step_timestamp_s: float = 0.0
    """Unix time; 0 before the first step."""


class ServerCollector(Collector):
    """Converts `Counts` and the current `State` to metric families."""

    def __init__(self, counts: Counts, state: Callable[[], State], *, model_name: str, chatmodel: str) -> None:
        self._counts = counts
        self._state = state
        self._own = {MODEL_NAME_LABEL: model_name, CHATMODEL_LABEL: chatmodel}
        self._vllm = {MODEL_NAME_LABEL: model_name, "engine": "0"}

    @override
    def collect(self) -> Iterable[MetricFamily]:
        state = self._state()
        yield from self._gauges(state)
        yield from self._counters()
        yield from self._histograms()

    def _gauges(self, state: State) -> Iterator[MetricFamily]:
        rows: tuple[tuple[Metric, str, float, str | None], ...] = (
            (Metric.QUEUE_DEPTH, "Requests admitted that have no slot yet, each choice of `n` counting",
             state.queue_depth, "vllm:num_requests_waiting"),
            (Metric.REQUESTS_RUNNING, "Requests in a slot", state.requests_running, "vllm:num_requests_running"),
            (Metric.SLOTS, "Batch slots of this replica", state.slots, None),
            (Metric.QUEUE_CAPACITY, "Requests that may wait for a slot", state.queue_capacity, None),
            (Metric.MAX_TOKENS_PER_STEP, ("Tokens of prompts and answers that one engine step computes at most, "
             "unless a crowd of prompts waits beside few streams"),
             state.max_tokens_per_step, None),
            (Metric.MAX_TOKENS_PER_SECOND, "Tokens of a full step over its time, measured in the warm-up",
             state.max_tokens_per_second, None),
            (Metric.OLDEST_WAITING_SECONDS, "Time the oldest waiting request has waited", state.oldest_waiting_s, None),
            (Metric.KV_CACHE_USAGE_RATIO, "Share of the KV cache that holds tokens, 0 to 1",
             state.kv_cache_usage_ratio, "vllm:kv_cache_usage_perc"),
            (Metric.DRAINING, "1 from SIGTERM on", float(state.draining), None),
            (Metric.ENGINE_LAST_STEP_TIMESTAMP_SECONDS, "Unix time of the engine's last step",
             state.last_step_timestamp_s, None),
        )  # fmt: skip
        for name, description, value, twin in rows:
            yield _sampled(GaugeMetricFamily(name, description, labels=list(self._own)), [(self._own, value)])
            if twin:
                yield _sampled(GaugeMetricFamily(twin, description, labels=list(self._vllm)), [(self._vllm, value)])
        yield _sampled(
            GaugeMetricFamily(
                Metric.DECODE_STEP_SECONDS,
                "Time of one decode step with this many sequences and a short context, measured in the warm-up",
                labels=[*self._own, BATCH_SIZE_LABEL],
            ),
            [({**self._own, BATCH_SIZE_LABEL: str(size)}, step_s) for size, step_s in state.decode_step_s.items()],
        )
        phases = GaugeMetricFamily(
            Metric.STARTUP_PHASE_SECONDS, "Time of each phase of this start", labels=[*self._own, "phase"]
        )
        yield _sampled(
            phases, [({**self._own, "phase": phase}, value) for phase, value in self._counts.startup_phase_s.items()]
        )

    def _counters(self) -> Iterator[MetricFamily]:
        counts = self._counts
        for name, description, value, twin in (
            (
                Metric.PROMPT_TOKENS_TOTAL,
                "Prompt tokens computed or found in the KV cache",
                counts.prompt_tokens,
                "vllm:prompt_tokens",
            ),
            (
                Metric.PREFIX_CACHE_QUERIES_TOTAL,
                "Prompt tokens looked for in the KV cache",
                counts.prefix_queries,
                "vllm:prefix_cache_queries",
            ),
            (
                Metric.PREFIX_CACHE_HITS_TOTAL,
                "Prompt tokens found in the KV cache and not computed again",
                counts.prefix_hits,
                "vllm:prefix_cache_hits",
            ),
            (Metric.GENERATED_TOKENS_TOTAL, "Tokens generated", counts.generated_tokens, "vllm:generation_tokens"),
            (Metric.CLIENT_DISCONNECTS_TOTAL, "Clients that left before the end", counts.client_disconnects, None),
        ):
            yield _sampled(CounterMetricFamily(name, description, labels=list(self._own)), [(self._own, value)])
            if twin:
                yield _sampled(CounterMetricFamily(twin, description, labels=list(self._vllm)), [(self._vllm, value)])
        yield _sampled(
            CounterMetricFamily(
                Metric.REQUESTS_TOTAL,
                _ENDED,
                labels=[*self._own, "finish_reason"],
            ),
            [({**self._own, "finish_reason": reason}, value) for reason, value in counts.finished.items()],
        )
        yield _sampled(
            CounterMetricFamily(
                "vllm:request_success",
                _ENDED,
                labels=[*self._vllm, "finished_reason"],
            ),
            [
                ({**self._vllm, "finished_reason": _VLLM_FINISH_REASONS[reason]}, value)
                for reason, value in {**counts.finished, "cancelled": counts.aborted}.items()
            ],
        )
        yield _sampled(
            CounterMetricFamily(
                Metric.REQUESTS_REJECTED_TOTAL,
                "Requests that were refused, or whose client left before the first token",
                labels=[*self._own, "reason"],
            ),
            [({**self._own, "reason": reason}, value) for reason, value in counts.rejected.items()],
        )
        yield _sampled(
            CounterMetricFamily(
                Metric.SLO_MISSES_TOTAL,
                "Requests whose first token (`ttft`) or mean time per output token (`tpot`) came later than their "
                "prompt allows; a request counts once, by the objective that it missed first",
                labels=[*self._own, "objective"],
            ),
            [({**self._own, "objective": objective}, value) for objective, value in counts.slo_misses.items()],
        )

    def _histograms(self) -> Iterator[MetricFamily]:
        counts = self._counts
        for name, description, values, twin, twin_bounds in (
            (Metric.TIME_TO_FIRST_TOKEN_SECONDS, "From arrival to the first token", counts.time_to_first_token_s,
             "vllm:time_to_first_token_seconds", VLLM_TTFT_BUCKETS_S),
            (Metric.INTER_TOKEN_LATENCY_SECONDS, "Between two tokens of one request", counts.inter_token_s,
             "vllm:inter_token_latency_seconds", ITL_BUCKETS_S),
            (Metric.TIME_PER_OUTPUT_TOKEN_SECONDS,
             "Mean time between the tokens of a request that was answered, 0 for a single token",
             counts.time_per_output_token_s, "vllm:request_time_per_output_token_seconds", ITL_BUCKETS_S),
            (Metric.QUEUE_TIME_SECONDS, "From admission to a slot", counts.queue_time_s,
             "vllm:request_queue_time_seconds", VLLM_LATENCY_BUCKETS_S),
            (Metric.PREFILL_TIME_SECONDS, "From a slot to the first token", counts.prefill_time_s,
             "vllm:request_prefill_time_seconds", VLLM_LATENCY_BUCKETS_S),
            (Metric.DECODE_TIME_SECONDS, "From the first token to the last, of requests that were answered",
             counts.decode_time_s, "vllm:request_decode_time_seconds", VLLM_LATENCY_BUCKETS_S),
            (Metric.REQUEST_DURATION_SECONDS, "From arrival to the last token, of requests that were answered",
             counts.request_duration_s, "vllm:e2e_request_latency_seconds", VLLM_LATENCY_BUCKETS_S),
            (Metric.REQUEST_PROMPT_TOKENS, "Prompt tokens of requests that were answered",
             counts.request_prompt_tokens, "vllm:request_prompt_tokens", TOKEN_BUCKETS),
            (Metric.REQUEST_GENERATED_TOKENS, "Generated tokens of requests that were answered",
             counts.request_generated_tokens, "vllm:request_generation_tokens", TOKEN_BUCKETS),
            (Metric.STEP_DURATION_SECONDS, "Time of one engine step", counts.step_duration_s, None, None),
            (Metric.BATCH_SIZE, "Requests in one engine step", counts.batch_size, None, None),
        ):  # fmt: skip
            yield _histogram(name, description, self._own, values)
            if twin:
                yield _histogram(twin, description, self._vllm, values, twin_bounds)


def _sampled(
    family: GaugeMetricFamily | CounterMetricFamily, rows: Iterable[tuple[dict[str, str], float]]
) -> MetricFamily:
    for labels, value in rows:
        family.add_metric(list(labels.values()), value)
    return family


def _histogram(
    name: str, description: str, labels: dict[str, str], values: Histogram, bounds: tuple[float, ...] | None = None
) -> MetricFamily:
    family = HistogramMetricFamily(name, description, labels=list(labels))
    family.add_metric(list(labels.values()), buckets=values.cumulative(bounds), sum_value=values.total)
    return family


def build_registry(counts: Counts, state: Callable[[], State], *, model_name: str, chatmodel: str) -> CollectorRegistry:
    """A registry of this server, so that several servers can run in one test process."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(ServerCollector(counts, state, model_name=model_name, chatmodel=chatmodel))
    return registry


def render(registry: CollectorRegistry) -> bytes:
    """The Prometheus text exposition."""
    return generate_latest(registry)
