"""Environment variables of the inference server, and the closed sets among their values."""

from enum import StrEnum


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
