"""The assistant's settings: read from the environment once and validated before anything starts.

What a shop configures is in the ShopAssistant, which the operator mounts as a file. These settings are those of the
process. A bad value or an unknown `CHATSCALE_ASSISTANT_*` variable stops it with one line: a typo must not become a
default.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final, Literal, Self

from pydantic import Field, StringConstraints, model_validator
from pydantic_core import PydanticCustomError
from pydantic_settings import SettingsConfigDict

from chatscale_contract.assistant.endpoints import (
    CONFIG_MOUNT_PATH,
    EVALUATION_FILE,
    HTTP_PORT,
    INDEX_FOLDER,
    KNOWLEDGE_MOUNT_PATH,
    SECRETS_MOUNT_PATH,
    SPEC_FILE,
)
from chatscale_process.settings import LogFormat, ProcessSettings

ENV_PREFIX: Final = "CHATSCALE_ASSISTANT_"


Url = Annotated[str, StringConstraints(max_length=2048, pattern=r"^(https?://[!-~]+)?$")]
Port = Annotated[int, Field(ge=1, le=65_535, description="a TCP port from 1 to 65535")]


@dataclass(frozen=True, slots=True)
class SecretFiles:
    """The mounted Secrets. A kubelet replaces the files while the process runs, so each use reads the file."""

    folder: Path

    def read(self, path: str) -> str:
        """The text of one key, such as `desk/url`; empty if there is no such file."""
        try:
            return self.read_bytes(path).decode().strip()
        except UnicodeDecodeError:
            return ""

    def read_bytes(self, path: str) -> bytes:
        """The bytes of one key; empty if there is no such file."""
        try:
            return (self.folder / path).read_bytes()
        except OSError:
            return b""


class Settings(ProcessSettings):
    """One process. Every field is the environment variable `CHATSCALE_ASSISTANT_<FIELD>`.

    A field's description is the expectation that an error message states.
    """

    model_config = SettingsConfigDict(frozen=True, extra="forbid", env_prefix=ENV_PREFIX)
    program = "assistant"

    gateway_url: Url = Field(default="", description="a URL such as http://chatscale-gateway.chatscale")
    """Address of the gateway. Required for an assistant of a ChatModel that may write answers."""
    port: Port = HTTP_PORT
    config_folder: Path = Field(default=Path(CONFIG_MOUNT_PATH), description="the path of a folder")
    """Has the ShopAssistant as `assistant.json`."""
    knowledge_folder: Path = Field(default=Path(KNOWLEDGE_MOUNT_PATH), description="the path of a folder")
    secrets_folder: Path = Field(default=Path(SECRETS_MOUNT_PATH), description="the path of a folder")
    index_folder: Path = Field(default=Path(INDEX_FOLDER), description="the path of a folder")
    evaluation_file: Path = Field(default=Path(EVALUATION_FILE), description="the path of a file")
    max_running: Annotated[int, Field(ge=1, le=10_000)] = Field(default=64, description="a number from 1 to 10000")
    """Requests that are answered at the same time. Those that wait for the chat model count."""
    max_waiting: Annotated[int, Field(ge=0, le=10_000)] = Field(default=64, description="a number from 0 to 10000")
    """Requests that wait for one of `max_running`. More get 429."""
    max_model_calls: Annotated[int, Field(ge=0, le=1000)] = Field(default=8, description="a number from 0 to 1000")
    """Answers that the chat model phrases at the same time. Others come from a lower rung at once."""
    drain_delay_seconds: Annotated[int, Field(ge=0, le=300)] = Field(
        default=5, description="a number of seconds from 0 to 300"
    )
    """After SIGTERM the process still accepts connections for this long, while its endpoints are removed."""
    grace_seconds: Annotated[int, Field(ge=1, le=3600)] = Field(
        default=25, description="a number of seconds from 1 to 3600"
    )
    """After SIGTERM requests may last for this long, the drain delay included."""
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        default="INFO", description="one of DEBUG, INFO, WARNING, ERROR"
    )
    log_format: LogFormat = Field(default=LogFormat.JSON, description=f"one of {', '.join(LogFormat)}")

    @property
    def spec_file(self) -> Path:
        """The file with the ShopAssistant."""
        return self.config_folder / Path(SPEC_FILE).name

    @model_validator(mode="after")
    def _delay_fits_grace(self) -> Self:
        if self.drain_delay_seconds >= self.grace_seconds:
            found = f"found {self.drain_delay_seconds} and {self.grace_seconds}"
            message = f"{ENV_PREFIX}DRAIN_DELAY_SECONDS must be below {ENV_PREFIX}GRACE_SECONDS, {found}"
            raise PydanticCustomError("long_delay", message)
        return self
