"""The server's settings: read from the environment once, checked before anything starts.

An impossible value stops the process with one readable line; nothing else of the server reads the
environment. A name that is not known most likely comes from an operator newer than this server, so it is
told and passed over: an image that a ChatModel pins must outlive an upgrade of the operator.
"""

import logging
import math
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final, TypeVar

from chatscale_contract.server.endpoints import TERMINATION_MESSAGE_PATH
from chatscale_contract.server.environment import EngineName, Env, SimulatedProfile
from chatscale_contract.server.exit_codes import ExitCode
from chatscale_server.errors import StartupError

log = logging.getLogger(__name__)

T = TypeVar("T")

_PREFIX: Final = "CHATSCALE_"
_SERVICE_LINK: Final = re.compile(r"_(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT|PORT_\d+_(TCP|UDP|SCTP)(_\w+)?)$")
"""What kubelet injects for a Service named `chatscale-...` in the pod's namespace; not ours."""


class Device(StrEnum):
    """What the model runs on."""

    CPU = "cpu"
    CUDA = "cuda"


class Dtype(StrEnum):
    """Number format of weights and activations; `auto` is resolved when the model is loaded."""

    AUTO = "auto"
    FLOAT32 = "float32"
    BFLOAT16 = "bfloat16"
    FLOAT16 = "float16"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Everything a replica can be told. Field by field as `Env` has it."""

    model_uri: str = ""
    """Empty only with the Simulated engine, which reads no model."""
    model_revision: str | None = None
    allow_pickled_weights: bool = False
    trust_remote_code: bool = False
    served_name: str
    chatmodel_name: str = ""
    chat_template: str | None = None
    engine: EngineName = EngineName.TRANSFORMERS
    device: Device = Device.CPU
    dtype: Dtype = Dtype.AUTO
    max_model_len: int | None = None
    """Tokens of prompt plus answer; None takes the model's own limit."""
    max_concurrency: int = 8
    max_queue: int = 64
    max_waiting_prompt_tokens: int | None = None
    """None takes what the engine can prefill within the queue timeout."""
    queue_timeout_s: float = 60.0
    max_beams: int = 4
    """Of one beam search; 1 refuses them all."""
    slo_ttft_s: float = 2.0
    slo_tpot_s: float = 0.1
    drain_delay_s: float = 5.0
    drain_timeout_s: float = 60.0
    cpu_limit: float | None = None
    """Cores; None takes what the machine has."""
    memory_limit_bytes: int | None = None
    simulated_profile: SimulatedProfile = SimulatedProfile.LLAMA_8B_A100
    simulated_startup_s: float = 0.0
    otlp_endpoint: str | None = None
    """None means no traces."""
    log_level: str = "INFO"
    termination_message_path: Path = Path(TERMINATION_MESSAGE_PATH)

    @property
    def cpu_threads(self) -> int:
        """Compute threads: never more than the limit allows, since more is ruinous under CFS throttling."""
        available = len(os.sched_getaffinity(0))
        return max(1, min(available, math.floor(self.cpu_limit))) if self.cpu_limit else available


def read_settings(environment: Mapping[str, str]) -> Settings:
    """Read and check every `CHATSCALE_*` variable; those that are not known are named in one WARNING.

    Raises StartupError(BAD_SETTINGS) that names the variable, the expectation and the value found.
    An empty value counts as not given, since that is what an unset chart value renders to.
    """
    if unknown := _unknown(environment):
        why = "set by an operator newer than this server, or misspelt in spec.server.envFrom"
        log.warning("unknown settings", extra={"settings": unknown, "why": why})
    read = _Reader(environment)
    engine = read.value(Env.ENGINE, _one_of(EngineName), EngineName.TRANSFORMERS)
    uri = read.value(Env.MODEL_URI, _model_uri, "")
    if engine is EngineName.TRANSFORMERS and not uri:
        raise _bad(Env.MODEL_URI, "hf://owner/name, pvc://claim/path or file:///path", "")
    return Settings(
        model_uri=uri,
        model_revision=read.value(Env.MODEL_REVISION, str, None),
        allow_pickled_weights=read.value(Env.ALLOW_PICKLED_WEIGHTS, _yes_or_no, default=False),
        trust_remote_code=read.value(Env.TRUST_REMOTE_CODE, _yes_or_no, default=False),
        served_name=read.value(Env.SERVED_NAME, str, "") or uri.rstrip("/").rsplit("/", 1)[-1] or "simulated",
        chatmodel_name=read.value(Env.CHATMODEL_NAME, str, ""),
        chat_template=read.value(Env.CHAT_TEMPLATE, str, None),
        engine=engine,
        device=read.value(Env.DEVICE, _one_of(Device), Device.CPU),
        dtype=read.value(Env.DTYPE, _one_of(Dtype), Dtype.AUTO),
        max_model_len=read.value(Env.MAX_MODEL_LEN, _integer(16, 1_048_576), None),
        max_concurrency=read.value(Env.MAX_CONCURRENCY, _integer(1, 512), 8),
        max_queue=read.value(Env.MAX_QUEUE, _integer(0, 100_000), 64),
        max_waiting_prompt_tokens=read.value(Env.MAX_WAITING_PROMPT_TOKENS, _integer(1, 10**9), None),
        queue_timeout_s=read.value(Env.QUEUE_TIMEOUT_SECONDS, _number(0.001, 3600), 60.0),
        max_beams=read.value(Env.MAX_BEAMS, _integer(1, 64), 4),
        slo_ttft_s=read.value(Env.SLO_TTFT_MILLISECONDS, _milliseconds(600_000), 2.0),
        slo_tpot_s=read.value(Env.SLO_TPOT_MILLISECONDS, _milliseconds(60_000), 0.1),
        drain_delay_s=read.value(Env.DRAIN_DELAY_SECONDS, _number(0, 3600), 5.0),
        drain_timeout_s=read.value(Env.DRAIN_TIMEOUT_SECONDS, _number(0, 86_400), 60.0),
        cpu_limit=read.value(Env.CPU_LIMIT, _number(0.001, 4096), None),
        memory_limit_bytes=read.value(Env.MEMORY_LIMIT_BYTES, _integer(1, 2**63), None),
        simulated_profile=read.value(Env.SIMULATED_PROFILE, _one_of(SimulatedProfile), SimulatedProfile.LLAMA_8B_A100),
        simulated_startup_s=read.value(Env.SIMULATED_STARTUP_SECONDS, _number(0, 3600), 0.0),
        otlp_endpoint=read.value(Env.OTLP_ENDPOINT, str, None),
        log_level=read.value(Env.LOG_LEVEL, _log_level, "INFO"),
    )


def _unknown(environment: Mapping[str, str]) -> list[str]:
    ours = {name for name in environment if name.startswith(_PREFIX) and not _SERVICE_LINK.search(name)}
    return sorted(ours - {str(name) for name in Env})


def _bad(name: Env, expected: str, found: str) -> StartupError:
    return StartupError(ExitCode.BAD_SETTINGS, f'{name} must be {expected}, found "{found}"')


@dataclass(frozen=True, slots=True)
class _Reader:
    environment: Mapping[str, str]

    def value(self, name: Env, parse: Callable[[str], T], default: T) -> T:
        found = self.environment.get(name, "")
        if found == "":
            return default
        try:
            return parse(found)
        except _ExpectedError as error:
            raise _bad(name, str(error), found) from error


class _ExpectedError(Exception):
    """The message says what was expected."""


def _one_of(choices: type[T]) -> Callable[[str], T]:
    def parse(text: str) -> T:
        for choice in choices:  # type: ignore[attr-defined]  # T is always an enum here
            if str(choice) == text:
                return choice  # type: ignore[no-any-return]
        raise _ExpectedError("one of " + ", ".join(str(choice) for choice in choices))  # type: ignore[attr-defined]

    return parse


def _integer(low: int, high: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        try:
            number = int(text)
        except ValueError:
            number = low - 1
        if not low <= number <= high:
            raise _ExpectedError(f"a whole number from {low} to {high}")
        return number

    return parse


def _number(low: float, high: float) -> Callable[[str], float]:
    def parse(text: str) -> float:
        try:
            number = float(text)
        except ValueError:
            number = math.nan
        if not low <= number <= high:
            raise _ExpectedError(f"a number from {low:g} to {high:g}")
        return number

    return parse


def _milliseconds(high: int) -> Callable[[str], float]:
    """Whole milliseconds, 1 or more, as seconds."""
    parse = _integer(1, high)
    return lambda text: parse(text) / 1000


def _yes_or_no(text: str) -> bool:
    if text not in {"true", "false"}:
        raise _ExpectedError("true or false")
    return text == "true"


def _model_uri(text: str) -> str:
    if text.startswith("s3://"):
        # A volume streams the files as they are read, and its driver has the credentials; a copy of ours would need
        # room for the whole model in each pod, and a second library with a second set of keys.
        raise _ExpectedError("hf://, pvc:// or file://; mount the bucket as a volume and name it as pvc://claim/path")
    if not re.match(r"(hf|pvc|file)://.+", text):
        raise _ExpectedError("hf://owner/name, pvc://claim/path or file:///path")
    return text


def _log_level(text: str) -> str:
    if text.upper() not in {"DEBUG", "INFO", "WARNING", "ERROR"}:
        raise _ExpectedError("DEBUG, INFO, WARNING or ERROR")
    return text.upper()
