"""Metric and label names of the inference server."""

from enum import StrEnum
from typing import Final


class Metric(StrEnum):
    """Metric names as they stand in the exposition (counters with `_total`).

    Every `inference_*` series carries the labels `model_name` and `chatmodel`; `vllm:*` twins carry
    `model_name` and `engine`, as in vLLM (`v1/metrics/loggers.py`).
    """

    QUEUE_DEPTH = "inference_queue_depth"
    """Gauge: requests admitted that have no slot yet."""
    REQUESTS_RUNNING = "inference_requests_running"
    """Gauge: requests in a slot."""
    SLOTS = "inference_slots"
    """Gauge: batch slots of this replica."""
    MAX_TOKENS_PER_STEP = "inference_max_tokens_per_step"
    """Gauge: tokens that one engine step computes at most, of prompts and answers together; 0 while loading."""
    MAX_TOKENS_PER_SECOND = "inference_max_tokens_per_second"
    """Gauge: those tokens over the time of such a step, as this replica measured in its warm-up; 0 while loading."""
    QUEUE_CAPACITY = "inference_queue_capacity"
    """Gauge: requests that may wait."""
    OLDEST_WAITING_SECONDS = "inference_oldest_waiting_seconds"
    KV_CACHE_USAGE_RATIO = "inference_kv_cache_usage_ratio"
    """Gauge: 0 to 1."""
    DRAINING = "inference_draining"
    """Gauge: 1 from SIGTERM on."""
    ENGINE_LAST_STEP_TIMESTAMP_SECONDS = "inference_engine_last_step_timestamp_seconds"
    TIME_TO_FIRST_TOKEN_SECONDS = "inference_time_to_first_token_seconds"  # noqa: S105
    INTER_TOKEN_LATENCY_SECONDS = "inference_inter_token_latency_seconds"  # noqa: S105
    TIME_PER_OUTPUT_TOKEN_SECONDS = "inference_time_per_output_token_seconds"  # noqa: S105
    """Histogram: one value per answered request, its mean time between tokens."""
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
    """Counter: prompt tokens that were looked for in the KV cache."""
    PREFIX_CACHE_HITS_TOTAL = "inference_prefix_cache_hits_total"
    """Counter: prompt tokens that were found there and not computed again."""
    GENERATED_TOKENS_TOTAL = "inference_generated_tokens_total"
    REQUESTS_TOTAL = "inference_requests_total"
    """Counter, label `finish_reason`: stop, length, cancelled, error."""
    REQUESTS_REJECTED_TOTAL = "inference_requests_rejected_total"
    """Counter, label `reason`: a `RejectReason`."""
    SLO_MISSES_TOTAL = "inference_slo_misses_total"
    """Counter, label `objective`: a `SloObjective`. Of requests that had a first token; those that were refused or
    waited too long are in `REQUESTS_REJECTED_TOTAL`. A beam search is in neither: it gives its tokens all at once."""
    CLIENT_DISCONNECTS_TOTAL = "inference_client_disconnects_total"
    STARTUP_PHASE_SECONDS = "inference_startup_phase_seconds"
    """Gauge, label `phase`: import, download, load, warm_up. Time of each phase of this start."""


class RejectReason(StrEnum):
    """Why a request was refused at the door (`REQUESTS_REJECTED_TOTAL`)."""

    QUEUE_FULL = "queue_full"
    DRAINING = "draining"
    LOADING = "loading"
    TOO_LONG = "too_long"
    DEADLINE = "deadline"
    """It waited for a slot longer than the queue timeout."""
    UPLOADS = "uploads"
    """Too many bytes of request bodies were on their way already."""


class SloObjective(StrEnum):
    """What a request missed (`SLO_MISSES_TOTAL`)."""

    TTFT = "ttft"
    """The time to its first token, counted when that comes."""
    TPOT = "tpot"
    """The mean time per output token after the first, counted when the request has been answered."""


SLO_PREFILL_FACTOR: Final = 3
"""A first token is due after the promised time or, if that is longer, after so many times what an idle replica needs
to read the prompt (prompt tokens over `MAX_TOKENS_PER_SECOND`): no count of replicas makes one prompt faster."""

MODEL_NAME_LABEL: Final = "model_name"
CHATMODEL_LABEL: Final = "chatmodel"
