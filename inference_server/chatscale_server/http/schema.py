"""The request bodies: every field is honoured, ignored by name because it cannot change the answer, or refused.

Refused means 400 with `param`. A field this module does not know is refused too: silently ignoring one
that changes the output would be a wrong answer.
"""

from typing import Annotated, Any, Final, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, ValidationError
from pydantic_core import ErrorDetails

from chatscale_server.engine.protocol import ChatMessage
from chatscale_server.engine.request import Sampling
from chatscale_server.http.body import parse_object
from chatscale_server.http.errors import ApiError, bad_request

MAX_MESSAGES: Final = 1024
MAX_TEXT_CHARS: Final = 1_000_000
MAX_PROMPT_TOKENS: Final = 1_048_576
MAX_STOPS: Final = 4
MAX_LOGIT_BIAS: Final = 300
MAX_TOKEN_DIGITS: Final = 10
MIN_TEMPERATURE: Final = 1e-5
"""Below it logits over temperature leave the range of numbers: that is greedy, as in vLLM."""
MAX_PARAM_CHARS: Final = 200
"""Of a field's name in an error: an unknown one is the client's own text."""


def _encodable(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ValueError("contains a lone surrogate, which is not text") from error
    return text


def _one_prompt(parts: list[str | int]) -> list[str | int]:
    if len(parts) > 1 and not all(isinstance(part, int) for part in parts):
        raise ValueError("a list must be the token ids of one prompt, or hold one text")
    return parts


Text = Annotated[str, StringConstraints(max_length=MAX_TEXT_CHARS), AfterValidator(_encodable)]
Stop = Annotated[str, StringConstraints(min_length=1, max_length=256), AfterValidator(_encodable)]
Finite = Annotated[float, Field(allow_inf_nan=False)]


class _Strict(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class TextPart(_Strict):
    """The only kind of content part that a text model understands."""

    type: Literal["text"]
    text: Text


class Message(_Strict):
    """One turn. Tool calls and results are refused: no tools are offered."""

    role: Literal["system", "developer", "user", "assistant"]
    content: Text | Annotated[list[TextPart], Field(min_length=1, max_length=256, fail_fast=True)]
    name: Annotated[str, StringConstraints(max_length=64), AfterValidator(_encodable)] | None = None
    refusal: None = None
    audio: None = None
    tool_calls: Annotated[list[Any], Field(max_length=0)] | None = None
    annotations: Annotated[list[Any], Field(max_length=0)] | None = None

    def to_chat(self) -> ChatMessage:
        """As the template takes it; `developer` is OpenAI's newer word for `system`."""
        text = self.content if isinstance(self.content, str) else "".join(part.text for part in self.content)
        return ChatMessage("system" if self.role == "developer" else self.role, text, self.name)


class StreamOptions(_Strict):
    """Options of a streamed answer."""

    include_usage: bool | None = None
    include_obfuscation: Literal[False] | None = None


class TextFormat(_Strict):
    """The one response format without constrained decoding."""

    type: Literal["text"]


class _Generation(_Strict):
    """What both endpoints share."""

    model: Annotated[str, StringConstraints(max_length=512)]
    max_tokens: Annotated[int, Field(ge=1, le=MAX_PROMPT_TOKENS)] | None = None
    temperature: Annotated[Finite, Field(ge=0, le=2)] | None = None
    top_p: Annotated[Finite, Field(gt=0, le=1)] | None = None
    top_k: Annotated[int, Field(ge=-1, le=1_000_000)] | None = None
    presence_penalty: Annotated[Finite, Field(ge=-2, le=2)] | None = None
    frequency_penalty: Annotated[Finite, Field(ge=-2, le=2)] | None = None
    logit_bias: (
        Annotated[dict[str, Annotated[Finite, Field(ge=-100, le=100)]], Field(max_length=MAX_LOGIT_BIAS)] | None
    ) = None
    seed: Annotated[int, Field(ge=-(2**63), le=2**63 - 1)] | None = None
    stop: Stop | Annotated[list[Stop], Field(max_length=MAX_STOPS, fail_fast=True)] | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    n: Literal[1] | None = None
    user: Annotated[str, StringConstraints(max_length=512)] | None = None
    """Accepted and ignored, as `metadata` and the like below: none of them changes the answer."""

    @property
    def stops(self) -> tuple[str, ...]:
        """The stop strings, however they were given."""
        return (self.stop,) if isinstance(self.stop, str) else tuple(self.stop or ())

    @property
    def include_usage(self) -> bool:
        """Whether a stream ends with a usage chunk."""
        return bool(self.stream_options and self.stream_options.include_usage)

    def sampling(self, vocab_size: int) -> Sampling:
        """OpenAI's defaults where nothing was given. Raises ApiError for tokens outside the vocabulary."""
        return Sampling(
            temperature=_temperature(self.temperature),
            top_p=self.top_p or 1.0,
            top_k=max(0, self.top_k or 0),
            presence_penalty=self.presence_penalty or 0.0,
            frequency_penalty=self.frequency_penalty or 0.0,
            logit_bias=tuple((_token(key, vocab_size), bias) for key, bias in (self.logit_bias or {}).items()),
            seed=self.seed,
        )


class ChatRequest(_Generation):
    """POST /v1/chat/completions."""

    messages: Annotated[list[Message], Field(min_length=1, max_length=MAX_MESSAGES, fail_fast=True)]
    max_completion_tokens: Annotated[int, Field(ge=1, le=MAX_PROMPT_TOKENS)] | None = None
    logprobs: Literal[False] | None = None
    top_logprobs: Literal[0] | None = None
    response_format: TextFormat | None = None
    tools: Annotated[list[Any], Field(max_length=0)] | None = None
    tool_choice: Literal["none", "auto"] | None = None
    """Without tools both mean the same."""
    parallel_tool_calls: bool | None = None
    """Without tools it means nothing."""
    modalities: Annotated[list[Literal["text"]], Field(max_length=1, fail_fast=True)] | None = None
    metadata: Annotated[dict[str, str], Field(max_length=16)] | None = None
    store: bool | None = None
    service_tier: str | None = None
    safety_identifier: str | None = None
    prompt_cache_key: str | None = None

    @property
    def answer_tokens(self) -> int | None:
        """The newer name wins, as at OpenAI."""
        return self.max_completion_tokens or self.max_tokens


class CompletionRequest(_Generation):
    """POST /v1/completions."""

    prompt: (
        Text
        | Annotated[
            list[Text | Annotated[int, Field(ge=0)]],
            Field(min_length=1, max_length=MAX_PROMPT_TOKENS, fail_fast=True),
            AfterValidator(_one_prompt),
        ]
    )
    """One prompt: text, a list with one text, or token ids."""
    best_of: Literal[1] | None = None
    echo: Literal[False] | None = None
    logprobs: None = None
    suffix: None = None

    @property
    def prompt_tokens(self) -> list[int]:
        """The prompt's token ids; empty if it was given as text."""
        return [part for part in self.prompt if isinstance(part, int)] if isinstance(self.prompt, list) else []

    @property
    def prompt_text(self) -> str:
        """The prompt as text; empty if it was given as token ids."""
        return self.prompt if isinstance(self.prompt, str) else "".join(p for p in self.prompt if isinstance(p, str))


R = TypeVar("R", bound=_Generation)


def parse_request(kind: type[R], body: bytes) -> R:
    """A checked request. Raises ApiError 400 whose `param` is the first field at fault."""
    try:
        request = kind.model_validate(parse_object(body))
    except ValidationError as error:
        raise _refusal(error.errors(include_url=False, include_context=False)) from error
    if request.stream_options and not request.stream:
        raise bad_request("stream_options needs stream to be true", param="stream_options")
    return request


def _refusal(errors: list[ErrorDetails]) -> ApiError:
    """Messages name field and expectation, never the value: it may be a customer's text."""
    # Of a union's branches the one that got furthest into the value is the one that was meant.
    first = max((error for error in errors if error["loc"][:1] == errors[0]["loc"][:1]), key=lambda e: len(_path(e)))
    param = ".".join(_path(first))[:MAX_PARAM_CHARS]
    if first["type"] == "missing":
        return bad_request(f"{param} is required", param=param, code="missing_required_parameter")
    if first["type"] == "extra_forbidden":
        return bad_request(f"{param} is not supported by this server", param=param, code="unsupported_parameter")
    code = "unsupported_value" if first["type"] in {"literal_error", "none_required"} else "invalid_value"
    return bad_request(f"{param}: {first['msg']}", param=param, code=code)


def _path(error: ErrorDetails) -> list[str]:
    return [str(step) for step in error["loc"] if not _is_union_branch(step)]


def _is_union_branch(step: int | str) -> bool:
    """Pydantic names the tried branch of a union in the path, as in `stop.list[constrained-str]`."""
    return isinstance(step, str) and ("[" in step or "-" in step or step in {"str", "int", "TextPart"})


def _temperature(asked: float | None) -> float:
    if asked is None:
        return 1.0
    return asked if asked >= MIN_TEMPERATURE else 0.0


def _token(key: str, vocab_size: int) -> int:
    if not key.isdecimal() or not key.isascii() or len(key) > MAX_TOKEN_DIGITS or int(key) >= vocab_size:
        raise bad_request(
            f"logit_bias: keys must be token ids from 0 to {vocab_size - 1}", param="logit_bias", code="invalid_value"
        )
    return int(key)
