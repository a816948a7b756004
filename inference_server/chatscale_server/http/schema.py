"""What both generating endpoints are asked: every field is honoured, ignored by name because it cannot change the
answer, or refused.

Refused means 400 with `param`. A field that no schema knows is refused too: silently ignoring one that
changes the output would be a wrong answer.
"""

from typing import Annotated, Final, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, ValidationError
from pydantic_core import ErrorDetails
from typing_extensions import override

from chatscale_contract.openai.errors import ApiError, bad_request
from chatscale_server.engine.request import Sampling
from chatscale_server.http.body import parse_object

MAX_TEXT_CHARS: Final = 1_000_000
MAX_PROMPT_TOKENS: Final = 1_048_576
MAX_STOPS: Final = 4
MAX_CHOICES: Final = 128
"""OpenAI's bound of `n`; a server has no more choices than slots."""
MAX_LOGIT_BIAS: Final = 300
MAX_TOKEN_DIGITS: Final = 10
MIN_TEMPERATURE: Final = 1e-5
"""Below it logits over temperature leave the range of numbers: that is greedy, as in vLLM."""
NOT_SEARCHED: Final = (
    "stream", "do_sample", "temperature", "top_p", "top_k", "min_p", "presence_penalty", "frequency_penalty",
    "repetition_penalty", "logit_bias", "seed", "stop", "logprobs", "response_format",
)  # fmt: skip
"""Fields that a beam search cannot honour; 0, false and an empty list ask for nothing, and pass."""
MAX_PARAM_CHARS: Final = 200
"""Of a field's name in an error: an unknown one is the client's own text."""


def encodable(text: str) -> str:
    """A pydantic validator: JSON can carry half a surrogate pair, which is no text."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ValueError("contains a lone surrogate, which is not text") from error
    return text


Text = Annotated[str, StringConstraints(max_length=MAX_TEXT_CHARS), AfterValidator(encodable)]
Stop = Annotated[str, StringConstraints(min_length=1, max_length=256), AfterValidator(encodable)]
Label = Annotated[str, StringConstraints(max_length=512)]
Finite = Annotated[float, Field(allow_inf_nan=False)]


class Strict(BaseModel):
    """No field is taken for another type, none is unknown."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    def check(self) -> None:
        """Raises ApiError for fields that contradict each other; schemas with such fields override it."""


class StreamOptions(Strict):
    """Options of a streamed answer."""

    include_usage: bool | None = None
    include_obfuscation: Literal[False] | None = None


class Generation(Strict):
    """What both endpoints share."""

    model: Label
    max_tokens: Annotated[int, Field(ge=1, le=MAX_PROMPT_TOKENS)] | None = None
    temperature: Annotated[Finite, Field(ge=0, le=2)] | None = None
    top_p: Annotated[Finite, Field(gt=0, le=1)] | None = None
    top_k: Annotated[int, Field(ge=-1, le=1_000_000)] | None = None
    min_p: Annotated[Finite, Field(ge=0, le=1)] | None = None
    repetition_penalty: Annotated[Finite, Field(ge=0.01, le=100)] | None = None
    presence_penalty: Annotated[Finite, Field(ge=-2, le=2)] | None = None
    frequency_penalty: Annotated[Finite, Field(ge=-2, le=2)] | None = None
    logit_bias: (
        Annotated[dict[str, Annotated[Finite, Field(ge=-100, le=100)]], Field(max_length=MAX_LOGIT_BIAS)] | None
    ) = None
    seed: Annotated[int, Field(ge=-(2**63), le=2**63 - 1)] | None = None
    stop: Stop | Annotated[list[Stop], Field(max_length=MAX_STOPS, fail_fast=True)] | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    n: Annotated[int, Field(ge=1, le=MAX_CHOICES)] | None = None
    max_length: Annotated[int, Field(ge=1, le=MAX_PROMPT_TOKENS)] | None = None
    """Of prompt and answer together; this and the three below are words of transformers' `generate`."""
    do_sample: bool | None = None
    """False takes the likeliest token: a temperature of 0."""
    num_return_sequences: Annotated[int, Field(ge=1, le=MAX_CHOICES)] | None = None
    """`n`."""
    num_beams: Annotated[int, Field(ge=1, le=64)] | None = None
    """More than 1 searches for the likeliest answers, beside the slots, as `generate` does."""
    user: Label | None = None
    """Accepted and ignored, as `metadata` and the like below: none of them changes the answer."""

    @property
    def stops(self) -> tuple[str, ...]:
        """The stop strings, however they were given."""
        return (self.stop,) if isinstance(self.stop, str) else tuple(self.stop or ())

    @property
    def beams(self) -> int:
        """1 is no search."""
        return self.num_beams or 1

    @property
    def include_usage(self) -> bool:
        """Whether a stream ends with a usage chunk."""
        return bool(self.stream_options and self.stream_options.include_usage)

    @property
    def answer_tokens(self) -> int | None:
        """Tokens of one answer, if a number was given; `max_length` says it in another way."""
        return self.max_tokens

    @property
    def choices_per_prompt(self) -> int:
        """How many answers each prompt gets. Greedy ones are all alike, as at OpenAI."""
        return self.n or self.num_return_sequences or 1

    @override
    def check(self) -> None:
        if self.beams > 1:
            self.check_search()
        if self.stream_options and not self.stream:
            raise bad_request("stream_options needs stream to be true", param="stream_options")
        if self.n and self.num_return_sequences and self.n != self.num_return_sequences:
            raise contradiction("num_return_sequences", f"means n, and n is {self.n}")
        if self.max_length and self.answer_tokens:
            raise contradiction("max_length", "counts prompt and answer, and a number of answer tokens is given too")
        if self.do_sample is False and self.temperature:
            raise contradiction("do_sample", f"false means temperature 0, and temperature is {self.temperature:g}")
        if self.do_sample and self.temperature == 0:
            raise contradiction("do_sample", "true needs a temperature above 0")

    def check_search(self) -> None:
        """Raises ApiError for what a beam search cannot honour; each endpoint has more of it."""
        for name in NOT_SEARCHED:
            if getattr(self, name, None):
                raise not_searched(name)
        if self.choices_per_prompt > self.beams:
            raise contradiction("num_beams", f"is {self.beams}, fewer than the {self.choices_per_prompt} answers")

    def sampling(self, vocab_size: int) -> Sampling:
        """OpenAI's defaults where nothing was given. Raises ApiError for tokens outside the vocabulary."""
        return Sampling(
            temperature=0.0 if self.do_sample is False else _temperature(self.temperature),
            top_p=self.top_p or 1.0,
            top_k=max(0, self.top_k or 0),
            min_p=self.min_p or 0.0,
            repetition_penalty=self.repetition_penalty or 1.0,
            presence_penalty=self.presence_penalty or 0.0,
            frequency_penalty=self.frequency_penalty or 0.0,
            logit_bias=tuple((_token(key, vocab_size), bias) for key, bias in (self.logit_bias or {}).items()),
            seed=self.seed,
        )


R = TypeVar("R", bound=Strict)


def parse_request(kind: type[R], body: bytes) -> R:
    """A checked request. Raises ApiError 400 whose `param` is the first field at fault."""
    try:
        request = kind.model_validate(parse_object(body))
    except ValidationError as error:
        raise _refusal(error.errors(include_url=False, include_context=False)) from error
    request.check()
    return request


def contradiction(param: str, reason: str) -> ApiError:
    """A field that is sound alone and impossible beside the others."""
    return bad_request(f"{param} {reason}", param=param, code="invalid_value")


def not_searched(param: str) -> ApiError:
    """A field that a beam search cannot honour."""
    return contradiction(param, "has no place in a beam search (num_beams above 1)")


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
    return isinstance(step, str) and ("[" in step or "-" in step or step in {"str", "int", "NamedTool"})


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
