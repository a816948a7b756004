"""The body of POST /v1/chat/completions. Fields that an OpenAI client may send and that have no effect are accepted."""

from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from chatscale_assistant.errors import InvalidRequestError
from chatscale_contract.assistant.extras import RequestExtras
from chatscale_contract.openai.numbers import read_whole_number

_N_FIELD: Final = "n"


class StreamOptions(BaseModel):
    """`stream_options`."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    include_usage: bool = False


class ChatRequest(BaseModel):
    """What the assistant reads of a request."""

    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)

    model: str = Field(default="", max_length=512)
    messages: list[Any]
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    chatscale: RequestExtras | None = None

    @property
    def extras(self) -> RequestExtras:
        """The object `chatscale`; its defaults without one."""
        return self.chatscale or RequestExtras()

    @property
    def include_usage(self) -> bool:
        """Whether a stream ends with a chunk that has the usage."""
        return self.stream_options is not None and self.stream_options.include_usage


def parse_chat_request(body: dict[str, Any]) -> ChatRequest:
    """Raises InvalidRequestError, which names the field and never quotes its value."""
    count = body.get(_N_FIELD)
    if count is not None and read_whole_number(count) != 1:
        raise InvalidRequestError("n must be 1: the assistant gives one answer", _N_FIELD)
    try:
        return ChatRequest.model_validate(body)
    except ValidationError as error:
        raise invalid(error) from error


def invalid(error: ValidationError) -> InvalidRequestError:
    """The first problem, as a 400 with the path of the field."""
    first = error.errors(include_input=False, include_context=False, include_url=False)[0]
    path = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in first["loc"]).removeprefix(".")
    return InvalidRequestError(f"{path}: {first['msg']}" if path else first["msg"], path or None)
