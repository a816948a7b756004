"""Metric and label names of the inference server."""

from enum import StrEnum
from typing import Final


class Metric(StrEnum):
    """Metric names as in the exposition (counters with `_total`).

    All `inference_*` series have the labels `model_name` and `chatmodel`. Their `vllm:*` twins have `model_name` and
    `engine`, as in vLLM (`v1/metrics/loggers.py`).
    """

    QUEUE_DEPTH = "inference_queue_depth"
    """Gauge: admitted requests that wait for a slot."""
    REQUESTS_RUNNING = "inference_requests_running"
    """Gauge: requests in a slot."""
    SLOTS = "inference_slots"
    """Gauge: batch slots of this replica."""
    MAX_TOKENS_PER_STEP = "inference_max_tokens_per_step"
    """Gauge: maximum tokens of one engine step, prompts and output together; 0 while loading."""
    MAX_TOKENS_PER_SECOND = "inference_max_tokens_per_second"
    """Gauge: prompt tokens per second of a full step, i.e. the prefill rate, as measured in this replica's warm-up; 0
    while loading."""
    DECODE_STEP_SECONDS = "inference_decode_step_seconds"
    """Gauge, label `batch_size`: duration of one decode step with this many running sequences and a short context, as
    measured in the warm-up. The sizes are those of `decode_batch_sizes`. No series while loading."""
    QUEUE_CAPACITY = "inference_queue_capacity"
    """Gauge: maximum number of waiting requests."""
    OLDEST_WAITING_SECONDS = "inference_oldest_waiting_seconds"
    KV_CACHE_USAGE_RATIO = "inference_kv_cache_usage_ratio"
    """Gauge: 0 to 1."""
    DRAINING = "inference_draining"
    """Gauge: 1 from SIGTERM on."""
    ENGINE_LAST_STEP_TIMESTAMP_SECONDS = "inference_engine_last_step_timestamp_seconds"
    TIME_TO_FIRST_TOKEN_SECONDS = "inference_time_to_first_token_seconds"  # noqa: S105
    INTER_TOKEN_LATENCY_SECONDS = "inference_inter_token_latency_seconds"  # noqa: S105
    TIME_PER_OUTPUT_TOKEN_SECONDS = "inference_time_per_output_token_seconds"  # noqa: S105
    """Histogram: mean time between tokens, one value per completed request."""
    QUEUE_TIME_SECONDS = "inference_queue_time_seconds"
    PREFILL_TIME_SECONDS = "inference_prefill_time_seconds"
    DECODE_TIME_SECONDS = "inference_decode_time_seconds"
    REQUEST_DURATION_SECONDS = "inference_request_duration_seconds"
    STEP_DURATION_SECONDS = "inference_step_duration_seconds"
    BATCH_SIZE = "inference_batch_size"
    REQUEST_PROMPT_TOKENS = "inference_request_prompt_tokens"
    REQUEST_GENERATED_TOKENS = "inference_request_generated_tokens"
    PROMPT_TOKENS_TOTAL = "inference_prompt_tokens_total"
    PREFIX_CACHE_QUERIES_TOTAL = "inference_prefix_cache_queries_total"
    """Counter: prompt tokens that were looked up in the KV cache."""
    PREFIX_CACHE_HITS_TOTAL = "inference_prefix_cache_hits_total"
    """Counter: prompt tokens that were found there and not computed again."""
    GENERATED_TOKENS_TOTAL = "inference_generated_tokens_total"
    REQUESTS_TOTAL = "inference_requests_total"
    """Counter, label `finish_reason`: stop, length, cancelled, error."""
    REQUESTS_REJECTED_TOTAL = "inference_requests_rejected_total"
    """Counter, label `reason`: a `RejectReason`."""
    SLO_MISSES_TOTAL = "inference_slo_misses_total"
    """Counter, label `objective`: a `SloObjective`. Counts requests that got a first token. Rejected and expired
    requests are in `REQUESTS_REJECTED_TOTAL`. Beam searches are not counted: they return all tokens at once."""
    CLIENT_DISCONNECTS_TOTAL = "inference_client_disconnects_total"
    STARTUP_PHASE_SECONDS = "inference_startup_phase_seconds"
    """Gauge, label `phase`: import, download, load, warm_up. Duration of each startup phase."""


class RejectReason(StrEnum):
    """Why a request was rejected (`REQUESTS_REJECTED_TOTAL`)."""

    QUEUE_FULL = "queue_full"
    DRAINING = "draining"
    LOADING = "loading"
    TOO_LONG = "too_long"
    DEADLINE = "deadline"
    """It waited for a slot longer than the queue timeout."""
    UPLOADS = "uploads"
    """Too many bytes of request bodies were being received."""


class SloObjective(StrEnum):
    """A latency objective (`SLO_MISSES_TOTAL`)."""

    TTFT = "ttft"
    """Time to first token. A miss is counted with the first token."""
    TPOT = "tpot"
    """Mean time per output token after the first. A miss is counted when the request completes."""


SLO_PREFILL_FACTOR: Final = 3
"""The limit for the first token is the objective or, if longer, this multiple of the prefill time on an idle replica
(prompt tokens / `MAX_TOKENS_PER_SECOND`), because more replicas do not make one prompt faster."""

MODEL_NAME_LABEL: Final = "model_name"
CHATMODEL_LABEL: Final = "chatmodel"
BATCH_SIZE_LABEL: Final = "batch_size"


def decode_batch_sizes(slots: int) -> tuple[int, ...]:
    """The batch sizes of `DECODE_STEP_SECONDS`, ascending: one, half of the slots (rounded up), all slots."""
    return tuple(sorted({1, (slots + 1) // 2, slots}))
