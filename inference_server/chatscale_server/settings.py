"""The server's settings: read from the environment once and validated before anything starts.

Nothing else in the server reads the environment. A bad value stops the process with one readable line. An unknown
`CHATSCALE_*` variable only gets a WARNING: it may come from an operator that is newer than this server, and an image
that a ChatModel pins must survive an upgrade of the operator.
"""

import logging
import math
import os
import re
from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Any, Final

from annotated_types import Ge, Le
from pydantic import AfterValidator, BeforeValidator, Field, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails, PydanticCustomError
from pydantic_settings import BaseSettings, EnvSettingsSource, NoDecode, PydanticBaseSettingsSource, SettingsConfigDict
from typing_extensions import override

from chatscale_contract.server.environment import EngineName, Env, ReasoningFormat, SimulatedProfile, ToolFormat
from chatscale_contract.server.exit_codes import ExitCode
from chatscale_server.errors import StartupError

log = logging.getLogger(__name__)

MODEL_URI_FORMS: Final = "hf://owner/name, pvc://claim/path or file:///path"
_PREFIX: Final = "CHATSCALE_"
_SERVICE_LINK: Final = re.compile(r"_(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT|PORT_\d+_(TCP|UDP|SCTP)(_\w+)?)$")
"""Variables that the kubelet sets for each Service of the namespace. Those of `chatscale-*` Services are not ours."""


_TEXTS: Final[Mapping[str, str]] = {
    Env.MODEL_URI: MODEL_URI_FORMS,
    Env.MODEL_REVISION: "branch, tag or commit of an hf:// model",
    Env.ALLOW_PICKLED_WEIGHTS: "true or false",
    Env.TRUST_REMOTE_CODE: "true or false",
    Env.SERVED_NAME: "the model's name in the API",
    Env.CHATMODEL_NAME: "a label of all metrics",
    Env.CHAT_TEMPLATE: "Jinja text that replaces the model's own template",
    Env.LOG_LEVEL: "DEBUG, INFO, WARNING or ERROR",
    Env.CORS_ORIGINS: "comma-separated origins whose pages may call the API, or *",
    Env.OTLP_ENDPOINT: "OTLP/HTTP endpoint for traces",
    Env.HF_TOKEN: "token of huggingface.co, for private models",
}
"""Accepted values of the variables whose types do not describe them, for `--help`."""


class Device(StrEnum):
    """The device that runs the model."""

    CPU = "cpu"
    CUDA = "cuda"


class Dtype(StrEnum):
    """Number format of weights and activations. `auto` is resolved when the model is loaded."""

    AUTO = "auto"
    FLOAT32 = "float32"
    BFLOAT16 = "bfloat16"
    FLOAT16 = "float16"


class LogLevel(StrEnum):
    """Lowest level of the lines that are logged."""

    DEBUG = "DEBUG"
    INFO = "INFO"
    WARNING = "WARNING"
    ERROR = "ERROR"


def _check_model_uri(text: str) -> str:
    if text.startswith("s3://"):
        # A CSI volume streams the files and has the credentials. Downloading here would need space for the whole
        # model in each pod, and a second client library with credentials of its own.
        expected = "hf://, pvc:// or file://; mount the bucket as a volume and name it as pvc://claim/path"
        raise PydanticCustomError("model_uri", "{expected}", {"expected": expected})
    if text and not re.match(r"(hf|pvc|file)://.+", text):
        raise PydanticCustomError("model_uri", "{expected}", {"expected": MODEL_URI_FORMS})
    return text


def _parse_flag(value: object) -> object:
    """Pydantic also accepts `yes`, `1` and `on`."""
    if isinstance(value, str) and value not in {"true", "false"}:
        raise PydanticCustomError("flag", "true or false")
    return value


def _parse_origins(value: object) -> object:
    if not isinstance(value, str):
        return value
    origins = tuple(origin.strip() for origin in value.split(","))
    if not all(re.fullmatch(r"\*|https?://[A-Za-z0-9.:\[\]-]{1,255}", origin) for origin in origins):
        raise PydanticCustomError("origins", "comma-separated origins such as https://shop.example, or *")
    return origins


Flag = Annotated[bool, BeforeValidator(_parse_flag)]


class Settings(BaseSettings):
    """All settings of a replica. `Env` names and describes the variables."""

    model_config = SettingsConfigDict(
        frozen=True, extra="forbid", case_sensitive=True, validate_by_name=True, validate_by_alias=True,
        allow_inf_nan=False, protected_namespaces=(),
    )  # fmt: skip

    model_uri: Annotated[str, AfterValidator(_check_model_uri)] = Field("", validation_alias=Env.MODEL_URI)
    """Empty only with the Simulated engine, which loads no model."""
    model_revision: str | None = Field(None, validation_alias=Env.MODEL_REVISION)
    allow_pickled_weights: Flag = Field(default=False, validation_alias=Env.ALLOW_PICKLED_WEIGHTS)
    trust_remote_code: Flag = Field(default=False, validation_alias=Env.TRUST_REMOTE_CODE)
    served_name: str = Field(
        default_factory=lambda found: _default_served_name(found["model_uri"]), validation_alias=Env.SERVED_NAME
    )
    chatmodel_name: str = Field("", validation_alias=Env.CHATMODEL_NAME)
    chat_template: str | None = Field(None, validation_alias=Env.CHAT_TEMPLATE)
    tool_format: ToolFormat = Field(ToolFormat.AUTO, validation_alias=Env.TOOL_FORMAT)
    reasoning_format: ReasoningFormat = Field(ReasoningFormat.AUTO, validation_alias=Env.REASONING_FORMAT)
    engine: EngineName = Field(EngineName.TRANSFORMERS, validation_alias=Env.ENGINE)
    device: Device = Field(Device.CPU, validation_alias=Env.DEVICE)
    dtype: Dtype = Field(Dtype.AUTO, validation_alias=Env.DTYPE)
    max_model_len: int | None = Field(None, ge=16, le=1_048_576, validation_alias=Env.MAX_MODEL_LEN)
    """Tokens of prompt plus output; None means the model's limit."""
    max_concurrency: int | None = Field(None, ge=1, le=512, validation_alias=Env.MAX_CONCURRENCY)
    """Batch slots; None means as many as memory and the objective for the time per output token allow."""
    max_queue: int = Field(64, ge=0, le=100_000, validation_alias=Env.MAX_QUEUE)
    max_waiting_prompt_tokens: int | None = Field(None, ge=1, le=10**9, validation_alias=Env.MAX_WAITING_PROMPT_TOKENS)
    """None means as many as the engine can prefill within the queue timeout."""
    queue_timeout_s: float = Field(60.0, ge=0.001, le=3600, validation_alias=Env.QUEUE_TIMEOUT_SECONDS)
    max_beams: int = Field(4, ge=1, le=64, validation_alias=Env.MAX_BEAMS)
    """Beams of one beam search; 1 rejects all beam searches."""
    slo_ttft_milliseconds: int = Field(2000, ge=1, le=600_000, validation_alias=Env.SLO_TTFT_MILLISECONDS)
    slo_tpot_milliseconds: int = Field(100, ge=1, le=60_000, validation_alias=Env.SLO_TPOT_MILLISECONDS)
    drain_delay_s: float = Field(5.0, ge=0, le=3600, validation_alias=Env.DRAIN_DELAY_SECONDS)
    drain_timeout_s: float = Field(60.0, ge=0, le=86_400, validation_alias=Env.DRAIN_TIMEOUT_SECONDS)
    cpu_limit: float | None = Field(None, ge=0.001, le=4096, validation_alias=Env.CPU_LIMIT)
    """Cores; None means all cores of the machine."""
    memory_limit_bytes: int | None = Field(None, ge=1, le=2**63, validation_alias=Env.MEMORY_LIMIT_BYTES)
    simulated_profile: SimulatedProfile = Field(SimulatedProfile.LLAMA_8B_A100, validation_alias=Env.SIMULATED_PROFILE)
    simulated_startup_s: float = Field(0.0, ge=0, le=3600, validation_alias=Env.SIMULATED_STARTUP_SECONDS)
    cors_origins: Annotated[tuple[str, ...], NoDecode, BeforeValidator(_parse_origins)] = Field(
        (), validation_alias=Env.CORS_ORIGINS
    )
    """Origins whose pages may call the API; empty means none."""
    otlp_endpoint: str | None = Field(None, validation_alias=Env.OTLP_ENDPOINT)
    """None means no traces."""
    log_level: Annotated[LogLevel, BeforeValidator(str.upper)] = Field(LogLevel.INFO, validation_alias=Env.LOG_LEVEL)

    @property
    def cpu_threads(self) -> int:
        """Compute threads, at most the CPU limit: under CFS throttling more threads are much slower."""
        available = len(os.sched_getaffinity(0))
        return max(1, min(available, math.floor(self.cpu_limit))) if self.cpu_limit else available

    @classmethod
    @override
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Only the constructor's arguments: `read_settings` gets the environment as a value."""
        return (init_settings,)


def read_settings(environment: Mapping[str, str]) -> Settings:
    """Read and validate all settings, and log unknown `CHATSCALE_*` variables with one WARNING.

    Raises StartupError(BAD_SETTINGS) that names the variable, the expected and the found value. An empty value counts
    as unset, because an unset chart value renders to it.
    """
    if unknown := _unknown(environment):
        why = "set by an operator newer than this server, or misspelt"
        log.warning("unknown settings", extra={"settings": unknown, "why": why})
    source = EnvSettingsSource(Settings)
    source.env_vars = {name: value for name in Env if (value := environment.get(name))}
    try:
        settings = Settings(**source())
    except ValidationError as error:
        raise _bad_setting(error.errors()[0], environment) from error
    if settings.engine is EngineName.TRANSFORMERS and not settings.model_uri:
        raise StartupError(ExitCode.BAD_SETTINGS, f'{Env.MODEL_URI} must be {MODEL_URI_FORMS}, found ""')
    return settings


def describe_variables() -> str:
    """One line for each environment variable: name, accepted values, default. For `--help`."""
    lines = ["environment variables:"]
    for field in Settings.model_fields.values():
        variable = str(field.validation_alias)
        accepted = _expectation(field) or _TEXTS.get(variable, "text")
        lines.append(f"  {variable}\n      {accepted}; {_shown_default(field)}")
    lines.append(f"  {Env.HF_TOKEN}\n      {_TEXTS[Env.HF_TOKEN]}; not set by default")
    return "\n".join(lines)


def _shown_default(field: FieldInfo) -> str:
    if field.default_factory is not None:
        return "default: the last part of the model's URI"
    if field.default in (None, "", ()):
        return "not set by default"
    found = str(field.default).lower() if isinstance(field.default, bool) else field.default
    return f"default {found:g}" if isinstance(found, float) else f"default {found}"


def _unknown(environment: Mapping[str, str]) -> list[str]:
    ours = {name for name in environment if name.startswith(_PREFIX) and not _SERVICE_LINK.search(name)}
    return sorted(ours - {str(name) for name in Env})


def _default_served_name(model_uri: str) -> str:
    return model_uri.rstrip("/").rsplit("/", 1)[-1] or "simulated"


def _bad_setting(error: ErrorDetails, environment: Mapping[str, str]) -> StartupError:
    variable = str(error["loc"][0])
    fields = {str(field.validation_alias): field for field in Settings.model_fields.values()}
    expected = _expectation(fields[variable]) or error["msg"]
    return StartupError(ExitCode.BAD_SETTINGS, f'{variable} must be {expected}, found "{environment[variable]}"')


def _expectation(field: FieldInfo) -> str:
    """The values that a field accepts, from its type and bounds; empty if its validator describes them."""
    kind: Any = field.annotation
    if isinstance(kind, type) and issubclass(kind, StrEnum):
        return "one of " + ", ".join(kind)
    low = next((bound.ge for bound in field.metadata if isinstance(bound, Ge)), None)
    high = next((bound.le for bound in field.metadata if isinstance(bound, Le)), None)
    if low is None or high is None:
        return ""
    whole = kind in {int, int | None}
    return f"a whole number from {low} to {high}" if whole else f"a number from {low:g} to {high:g}"
