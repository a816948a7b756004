"""All Prometheus metrics of the gateway. Models and pods are the catalog's, so that no client can add series.

Gauges come from the dispatcher when `/metrics` is read; everything else is counted where it happens.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric as MetricFamily
from prometheus_client.registry import Collector
from typing_extensions import override

from chatscale_contract.gateway.demand import GatewayDemand

REGISTRY: Final = CollectorRegistry()
"""Its own registry: the default one would also contain the metrics of every imported library."""
MODEL_LABELS: Final = ("model", "namespace")
MAX_KEYS: Final = 1000
"""Values of the label `key` in one process: each has 3 series for each model that it uses, and one for each status."""
OTHER_KEYS: Final = "other"
_LABELLED_KEYS: Final[set[str]] = set()
TTFT_BUCKETS_S: Final = (0.05, 0.1, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0, 7.5, 10.0, 20.0, 40.0, 80.0, 160.0, 320.0)
HOLD_BUCKETS_S: Final = (0.005, 0.05, 0.25, 1.0, 2.5, 5.0, 10.0, 20.0, 40.0, 60.0, 120.0, 300.0, 600.0)
OVERHEAD_BUCKETS_S: Final = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5)

REQUESTS = Counter(
    "gateway_requests_total", "Requests ended, by HTTP status; 499: the client left before the response. Requests for "
    "an unknown model have empty labels. key: namespace/name of the API key's Secret; empty where keys are off, "
    "`other` beyond 1,000 keys", (*MODEL_LABELS, "key", "code"), registry=REGISTRY,
)  # fmt: skip
OVERLOAD_ANSWERS = Counter(
    "gateway_overload_answers_total", "Requests that spec.routing.overload changed, by mode: capped or fallback. "
    "model: the one that the request named", (*MODEL_LABELS, "mode"), registry=REGISTRY,
)  # fmt: skip
REFUSALS = Counter(
    "gateway_refusals_total", "Requests refused by the gateway itself, by the error's code", (*MODEL_LABELS, "reason"),
    registry=REGISTRY,
)  # fmt: skip
RETRIES = Counter(
    "gateway_retries_total", "Further attempts of requests: not_connected, backpressure, or stale_connection, which "
    "uses the same replica", (*MODEL_LABELS, "reason"), registry=REGISTRY,
)  # fmt: skip
HOLD_SECONDS = Histogram(
    "gateway_hold_seconds", "Time from arrival to a place on a replica, one value per request", MODEL_LABELS,
    buckets=HOLD_BUCKETS_S, registry=REGISTRY,
)  # fmt: skip
TIME_TO_FIRST_TOKEN_SECONDS = Histogram(
    "gateway_time_to_first_token_seconds", "Time from arrival to the first event of a stream, the hold included",
    MODEL_LABELS, buckets=TTFT_BUCKETS_S, registry=REGISTRY,
)  # fmt: skip
OVERHEAD_SECONDS = Histogram(
    "gateway_overhead_seconds", "Time that the gateway itself needed before it sent a request: read, parse, route. "
    "Without the hold", MODEL_LABELS, buckets=OVERHEAD_BUCKETS_S, registry=REGISTRY,
)  # fmt: skip
TOKENS = Counter(
    "gateway_tokens_total", "Tokens as the replicas count them, by direction: prompt, cached (part of prompt), "
    "generated. An answer that ended without the replica's count is estimated. key: as for gateway_requests_total",
    (*MODEL_LABELS, "key", "direction"), registry=REGISTRY,
)  # fmt: skip
CLIENT_DISCONNECTS = Counter(
    "gateway_client_disconnects_total", "Clients that left before the end", MODEL_LABELS, registry=REGISTRY
)
STREAMS_BROKEN = Counter(
    "gateway_streams_broken_total", "Responses that a replica began and did not complete", MODEL_LABELS,
    registry=REGISTRY,
)  # fmt: skip
DISCOVERY_ERRORS = Counter(
    "gateway_discovery_errors_total", "Failed lists, watches and readings: chatmodels, pods, secrets, loads, peers, "
    "events (of malformed keys), oidc (the identity provider's keys), live (counters for the live page). A pod that "
    "does not answer is not counted", ("resource",), registry=REGISTRY,
)  # fmt: skip
TLS_RELOADS = Counter(
    "gateway_tls_reloads_total", "Changed TLS certificates, by result: loaded or failed", ("result",), registry=REGISTRY
)
TLS_RELOAD_FAILING = Gauge(
    "gateway_tls_reload_failing", "1 while the certificate files cannot be loaded and the former certificate is used",
    registry=REGISTRY,
)  # fmt: skip
KEY_ERRORS = Gauge(
    "gateway_key_errors", "Secrets with the label of an API key whose key is off: malformed, or duplicate (another "
    "Secret has the same hash)", ("reason",), registry=REGISTRY,
)  # fmt: skip
EJECTIONS = Counter(
    "gateway_ejections_total", "Replicas that got no requests for a while, by cause", (*MODEL_LABELS, "cause"),
    registry=REGISTRY,
)  # fmt: skip
PREFIX_CHOICES = Counter(
    "gateway_prefix_choices_total", "Replicas chosen by prefix or session: home, spilled or spread",
    (*MODEL_LABELS, "result"), registry=REGISTRY,
)  # fmt: skip
EVENT_LOOP_LAG_SECONDS = Histogram(
    "gateway_event_loop_lag_seconds", "Delay of a timer that fires each second: how busy the process is",
    buckets=OVERHEAD_BUCKETS_S, registry=REGISTRY,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class ModelMetrics:
    """The series of one model that every request touches. To look them up by labels would cost more than to count."""

    hold_s: Histogram
    ttft_s: Histogram
    overhead_s: Histogram


@dataclass(frozen=True, slots=True)
class KeyMetrics:
    """The series of one key and one model that every answer touches."""

    prompt_tokens: Counter
    cached_tokens: Counter
    generated_tokens: Counter
    answered: Counter
    """Requests with status 200."""


@cache
def of_model(name: str, namespace: str) -> ModelMetrics:
    """The series of one model. Call it for models of the catalog only: nothing is forgotten."""
    return ModelMetrics(
        hold_s=HOLD_SECONDS.labels(name, namespace),
        ttft_s=TIME_TO_FIRST_TOKEN_SECONDS.labels(name, namespace),
        overhead_s=OVERHEAD_SECONDS.labels(name, namespace),
    )


def key_label(key: str) -> str:
    """The value of the label `key`: the first `MAX_KEYS` keys have one of their own.

    key: `namespace/name` of a Secret that has authenticated a request; empty for none.
    """
    if not key or key in _LABELLED_KEYS:
        return key
    if len(_LABELLED_KEYS) >= MAX_KEYS:
        return OTHER_KEYS
    _LABELLED_KEYS.add(key)
    return key


@lru_cache(maxsize=8 * MAX_KEYS)
def of_key(name: str, namespace: str, key: str) -> KeyMetrics:
    """The series of one key and one model. key: as for `key_label`."""
    label = key_label(key)
    return KeyMetrics(
        prompt_tokens=TOKENS.labels(name, namespace, label, "prompt"),
        cached_tokens=TOKENS.labels(name, namespace, label, "cached"),
        generated_tokens=TOKENS.labels(name, namespace, label, "generated"),
        answered=REQUESTS.labels(name, namespace, label, "200"),
    )


class DemandCollector(Collector):
    """The dispatcher's report as metric families."""

    def __init__(self, demand: Callable[[], GatewayDemand]) -> None:
        self._demand = demand

    @override
    def collect(self) -> Iterable[MetricFamily]:
        models = self._demand().models
        keys = [(key.partition("/")[2], key.partition("/")[0], found) for key, found in models.items()]
        gauges = (
            ("gateway_requests_held", "Requests that wait in this gateway for a replica", "held"),
            ("gateway_held_prompt_tokens", "Estimated prompt tokens of the held requests", "held_prompt_tokens"),
            ("gateway_oldest_held_seconds", "Age of the oldest held request", "oldest_held_s"),
        )
        for name, text, field in gauges:
            gauge = GaugeMetricFamily(name, text, labels=MODEL_LABELS)
            for model, namespace, found in keys:
                gauge.add_metric((model, namespace), getattr(found, field))
            yield gauge
        in_flight = GaugeMetricFamily(
            "gateway_requests_in_flight", "Requests sent to a replica and not ended, by the pod's UID",
            labels=(*MODEL_LABELS, "pod"),
        )  # fmt: skip
        for model, namespace, found in keys:
            for pod, count in found.in_flight_by_pod.items():
                in_flight.add_metric((model, namespace, pod), count)
        yield in_flight
        counters = (
            ("gateway_slo_misses", "Requests that missed the SLO, counted from arrival", "slo_misses"),
            (
                "gateway_wake_misses",
                "Requests that missed the SLO because they waited for a model without a ready replica",
                "wake_misses",
            ),
        )
        for name, text, field in counters:
            counter = CounterMetricFamily(name, text, labels=MODEL_LABELS)
            for model, namespace, found in keys:
                counter.add_metric((model, namespace), getattr(found, field))
            yield counter
