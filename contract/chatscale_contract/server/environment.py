"""Environment variables of the inference server, and the enumerations among their values."""

from enum import StrEnum


class Env(StrEnum):
    """Environment variables of the server. Bad values stop it; unknown `CHATSCALE_*` variables get a WARNING."""

    MODEL_URI = "CHATSCALE_MODEL_URI"
    """`hf://owner/name`, `pvc://claim/path` or `file:///path`."""
    MODEL_REVISION = "CHATSCALE_MODEL_REVISION"
    """Branch, tag or commit of an `hf://` model. With a branch, replicas that start at different times may run
    different weights."""
    ALLOW_PICKLED_WEIGHTS = "CHATSCALE_ALLOW_PICKLED_WEIGHTS"
    """`true` loads `pytorch_model*.bin` if there are no safetensors. A pickle can execute code; torch's restricted
    unpickler reads it. Default `false`."""
    TRUST_REMOTE_CODE = "CHATSCALE_TRUST_REMOTE_CODE"
    """`true` runs Python code of the model repository. Default `false`."""
    SERVED_NAME = "CHATSCALE_SERVED_NAME"
    """The `model` field of the OpenAI API."""
    CHATMODEL_NAME = "CHATSCALE_CHATMODEL_NAME"
    """Name of the ChatModel that owns this replica; a label on every `inference_*` metric."""
    CHAT_TEMPLATE = "CHATSCALE_CHAT_TEMPLATE"
    """Jinja text that replaces the tokenizer's own template."""
    TOOL_FORMAT = "CHATSCALE_TOOL_FORMAT"
    """A `ToolFormat`: how the model writes function calls. Default `auto`."""
    REASONING_FORMAT = "CHATSCALE_REASONING_FORMAT"
    """A `ReasoningFormat`: how the model marks its reasoning. Default `auto`."""
    ENGINE = "CHATSCALE_ENGINE"
    """An `EngineName`."""
    DEVICE = "CHATSCALE_DEVICE"
    """`cpu` or `cuda`."""
    DTYPE = "CHATSCALE_DTYPE"
    """`auto`, `float32`, `bfloat16` or `float16`."""
    MAX_MODEL_LEN = "CHATSCALE_MAX_MODEL_LEN"
    """Limit of prompt plus output tokens of one request."""
    MAX_CONCURRENCY = "CHATSCALE_MAX_CONCURRENCY"
    """Batch slots."""
    MAX_QUEUE = "CHATSCALE_MAX_QUEUE"
    """Requests that may wait for a slot. More are rejected with 429."""
    MAX_WAITING_PROMPT_TOKENS = "CHATSCALE_MAX_WAITING_PROMPT_TOKENS"
    """Prompt tokens that may wait for a slot. More are rejected with 429, except into an empty queue."""
    QUEUE_TIMEOUT_SECONDS = "CHATSCALE_QUEUE_TIMEOUT_SECONDS"
    MAX_BEAMS = "CHATSCALE_MAX_BEAMS"
    """Maximum beams of one beam search; 1 disables beam search."""
    DRAIN_DELAY_SECONDS = "CHATSCALE_DRAIN_DELAY_SECONDS"
    """Seconds of serving after SIGTERM, while the endpoint is removed from the Service."""
    DRAIN_TIMEOUT_SECONDS = "CHATSCALE_DRAIN_TIMEOUT_SECONDS"
    """Seconds after the drain delay for in-flight requests to finish."""
    SLO_TTFT_MILLISECONDS = "CHATSCALE_SLO_TTFT_MILLISECONDS"
    """Objective for the time to first token. Long prompts may take longer (`SLO_PREFILL_FACTOR`).

    For a server that is started by hand. The file `endpoints.SLO_FILE_PATH` replaces both objectives where it exists,
    and the operator sets only that file: a change of the environment would restart the pods."""
    SLO_TPOT_MILLISECONDS = "CHATSCALE_SLO_TPOT_MILLISECONDS"
    """Objective for the mean time per output token after the first. As above."""
    CPU_LIMIT = "CHATSCALE_CPU_LIMIT"
    """Cores that the pod may use (resourceFieldRef limits.cpu); sets the thread count."""
    MEMORY_LIMIT_BYTES = "CHATSCALE_MEMORY_LIMIT_BYTES"
    """The pod's memory limit. A model that does not fit is rejected before loading."""
    SIMULATED_PROFILE = "CHATSCALE_SIMULATED_PROFILE"
    """A `SimulatedProfile`. Simulated engine only."""
    SIMULATED_STARTUP_SECONDS = "CHATSCALE_SIMULATED_STARTUP_SECONDS"
    """Simulated load time of the model. Simulated engine only."""
    LOG_LEVEL = "CHATSCALE_LOG_LEVEL"
    CORS_ORIGINS = "CHATSCALE_CORS_ORIGINS"
    """Comma-separated origins whose pages may call the API from a browser; `*` allows all. Default none."""
    OTLP_ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"
    """OTLP/HTTP endpoint for traces; unset means no traces. OpenTelemetry's SDK itself reads it, and the other
    `OTEL_*` variables."""
    HF_TOKEN = "HF_TOKEN"  # noqa: S105 - the name of a variable, not a secret
    """Read by huggingface_hub."""


class EngineName(StrEnum):
    """The implementations of the engine protocol."""

    TRANSFORMERS = "Transformers"
    SIMULATED = "Simulated"


class ToolFormat(StrEnum):
    """Formats of function calls in generated text."""

    AUTO = "auto"
    """Chosen by the chat template."""
    NONE = "none"
    """Requests with tools are rejected."""
    HERMES = "hermes"
    """`<tool_call>{"name": …, "arguments": {…}}</tool_call>`: Hermes, Qwen2.5, Qwen3."""
    LLAMA3 = "llama3"
    """`{"name": …, "parameters": {…}}`, also after `<|python_tag|>`: Llama 3.1 to 3.3."""
    MISTRAL = "mistral"
    """`[TOOL_CALLS]` and a list of calls, or `[TOOL_CALLS]name[ARGS]{…}`."""
    QWEN3_CODER = "qwen3-coder"
    """`<tool_call><function=name><parameter=name>value</parameter></function></tool_call>`."""
    HARMONY = "harmony"
    """Channels of GPT-OSS."""


class ReasoningFormat(StrEnum):
    """Formats of reasoning in generated text."""

    AUTO = "auto"
    """Chosen by the chat template."""
    NONE = "none"
    """All text is content."""
    THINK = "think"
    """`<think>…</think>`: Qwen3, QwQ, DeepSeek-R1 and others."""
    MISTRAL = "mistral"
    """`[THINK]…[/THINK]`: Magistral."""
    HARMONY = "harmony"
    """The analysis channel of GPT-OSS."""


class SimulatedProfile(StrEnum):
    """Profiles of the Simulated engine: a model on a machine, with known step times."""

    LLAMA_8B_A100 = "8b-a100"
    LLAMA_8B_H100 = "8b-h100"
    LLAMA_8B_A10G = "8b-a10g"
    LLAMA_70B_4XH100 = "70b-4xh100"
    SMOLLM2_135M_CPU = "smollm2-135m-cpu"
