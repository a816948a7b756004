"""What others may rely on: ports, paths, environment names, metric names, exit codes.

The operator imports this module and nothing else of the server: it builds pods from these names and
reads the metrics by them. No string here is written a second time anywhere; `tests/contract` proves
that both ends agree. Nothing here does anything.
"""

from enum import IntEnum, StrEnum
from typing import Final

HTTP_PORT: Final = 8000
"""TCP port of the OpenAI-compatible API, the probes and `/metrics`."""

HTTP_PORT_NAME: Final = "http"

CHAT_COMPLETIONS_PATH: Final = "/v1/chat/completions"
COMPLETIONS_PATH: Final = "/v1/completions"
MODELS_PATH: Final = "/v1/models"
TOKENIZE_PATH: Final = "/tokenize"
DETOKENIZE_PATH: Final = "/detokenize"
METRICS_PATH: Final = "/metrics"
LIVEZ_PATH: Final = "/livez"
"""200 while the event loop answers and the engine steps; a full queue or a draining server is alive."""
READYZ_PATH: Final = "/readyz"
"""200 from the end of warm-up until SIGTERM. A full queue is ready: it answers 429 by itself."""

MODEL_MOUNT_PATH: Final = "/models"
"""Where `pvc://` volumes are mounted and where images carry a model of their own."""

TERMINATION_MESSAGE_PATH: Final = "/dev/termination-log"
"""The server writes one readable sentence here before it exits with a non-zero `ExitCode`."""


class Env(StrEnum):
    """Environment variables that the server reads: bad values stop it, unknown `CHATSCALE_*` names get a WARNING."""

    MODEL_URI = "CHATSCALE_MODEL_URI"
    """`hf://owner/name`, `pvc://claim/path` or `file:///path`."""
    MODEL_REVISION = "CHATSCALE_MODEL_REVISION"
    """Branch, tag or commit of an `hf://` model. Replicas that start at different times run the same weights only
    if it is a commit or a tag."""
    ALLOW_PICKLED_WEIGHTS = "CHATSCALE_ALLOW_PICKLED_WEIGHTS"
    """`true` loads `pytorch_model*.bin` where there are no safetensors; a pickle is a program, read with torch's
    restricted unpickler. Default `false`."""
    TRUST_REMOTE_CODE = "CHATSCALE_TRUST_REMOTE_CODE"
    """`true` runs the Python code that comes with a model. Default `false`."""
    SERVED_NAME = "CHATSCALE_SERVED_NAME"
    """The `model` field of the OpenAI API."""
    CHATMODEL_NAME = "CHATSCALE_CHATMODEL_NAME"
    """Name of the ChatModel that owns this replica; a label on every `inference_*` metric."""
    CHAT_TEMPLATE = "CHATSCALE_CHAT_TEMPLATE"
    """Jinja text that replaces the tokenizer's own template."""
    ENGINE = "CHATSCALE_ENGINE"
    """An `EngineName`."""
    DEVICE = "CHATSCALE_DEVICE"
    """`cpu` or `cuda`."""
    DTYPE = "CHATSCALE_DTYPE"
    """`auto`, `float32`, `bfloat16` or `float16`."""
    MAX_MODEL_LEN = "CHATSCALE_MAX_MODEL_LEN"
    """Tokens of prompt plus answer that one request may use."""
    MAX_CONCURRENCY = "CHATSCALE_MAX_CONCURRENCY"
    """Batch slots."""
    MAX_QUEUE = "CHATSCALE_MAX_QUEUE"
    """Requests that may wait for a slot; one more is refused with 429."""
    MAX_WAITING_PROMPT_TOKENS = "CHATSCALE_MAX_WAITING_PROMPT_TOKENS"
    """Prompt tokens that may wait for a slot; what goes beyond is refused with 429, unless nobody else waits."""
    QUEUE_TIMEOUT_SECONDS = "CHATSCALE_QUEUE_TIMEOUT_SECONDS"
    MAX_BEAMS = "CHATSCALE_MAX_BEAMS"
    """Beams of one beam search; 1 refuses them all."""
    DRAIN_DELAY_SECONDS = "CHATSCALE_DRAIN_DELAY_SECONDS"
    """After SIGTERM, seconds of serving on while endpoints are withdrawn."""
    DRAIN_TIMEOUT_SECONDS = "CHATSCALE_DRAIN_TIMEOUT_SECONDS"
    """Then, seconds for admitted requests to finish."""
    SLO_TTFT_MILLISECONDS = "CHATSCALE_SLO_TTFT_MILLISECONDS"
    """Time to the first token that is promised; a long prompt is allowed more (`SLO_PREFILL_FACTOR`)."""
    SLO_TPOT_MILLISECONDS = "CHATSCALE_SLO_TPOT_MILLISECONDS"
    """Mean time per output token after the first that is promised."""
    CPU_LIMIT = "CHATSCALE_CPU_LIMIT"
    """Cores that the pod may use (resourceFieldRef limits.cpu); sets the thread count."""
    MEMORY_LIMIT_BYTES = "CHATSCALE_MEMORY_LIMIT_BYTES"
    """The pod's memory limit; a model that cannot fit is refused before it is loaded."""
    SIMULATED_PROFILE = "CHATSCALE_SIMULATED_PROFILE"
    """A `SimulatedProfile`; the Simulated engine only."""
    SIMULATED_STARTUP_SECONDS = "CHATSCALE_SIMULATED_STARTUP_SECONDS"
    """Pretended time of loading the model; the Simulated engine only."""
    LOG_LEVEL = "CHATSCALE_LOG_LEVEL"
    OTLP_ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"
    """Where traces go, by OTLP over HTTP; without it there are none. OpenTelemetry's SDK reads it, and its other
    `OTEL_*` variables, by itself."""
    HF_TOKEN = "HF_TOKEN"  # noqa: S105 - the name of a variable, not a secret
    """Read by huggingface_hub itself."""


class EngineName(StrEnum):
    """The two implementations behind the engine protocol."""

    TRANSFORMERS = "Transformers"
    SIMULATED = "Simulated"


class SimulatedProfile(StrEnum):
    """Server profiles of the Simulated engine: a model on a machine, with known step times."""

    LLAMA_8B_A100 = "8b-a100"
    LLAMA_8B_H100 = "8b-h100"
    LLAMA_8B_A10G = "8b-a10g"
    LLAMA_70B_4XH100 = "70b-4xh100"
    SMOLLM2_135M_CPU = "smollm2-135m-cpu"


class ExitCode(IntEnum):
    """Why a server that could not go on has exited; the operator turns these into conditions."""

    BAD_SETTINGS = 64
    MODEL_NOT_FOUND = 66
    """The URI names nothing that can be reached."""
    MODEL_UNSUPPORTED = 65
    """The files are there, and this engine cannot run them."""
    MODEL_TOO_LARGE = 69
    """Weights and KV cache do not fit into the memory limit or the GPU."""
    ENGINE_FAILED = 70
    """The engine raised or got stuck after start; every request was answered with an error first."""


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
