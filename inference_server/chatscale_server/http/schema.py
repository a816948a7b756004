"""Request fields that both generating endpoints share, and the body of POST /v1/completions.

Every field is honoured, rejected, or ignored because it cannot change the output; the ignored ones are listed. A
rejected field gives 400 with its name in `param`. Unknown fields are rejected too, because ignoring a field that
changes the output would give a wrong response. `null` means unset, for known and unknown fields.
"""

import json
from typing import Annotated, Any, ClassVar, Final, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator
from pydantic_core import ErrorDetails
from typing_extensions import override

from chatscale_contract.openai.bounded_json import parse_object
from chatscale_contract.openai.errors import ApiError, bad_request
from chatscale_server.engine.output_form import Form, Json, Plain, Regex, either
from chatscale_server.engine.request import Sampling

MAX_TEXT_CHARS: Final = 1_000_000
MAX_PROMPT_TOKENS: Final = 1_048_576
MAX_STOPS: Final = 16
"""OpenAI's limit is 4. Each stop string costs time for each token, at most 25 microseconds."""
MAX_STOP_TOKENS: Final = 64
MAX_OPTIONS: Final = 1024
MAX_PATTERN_CHARS: Final = 4096
ANY_OBJECT: Final[dict[str, Any]] = {"type": "object"}
MAX_CHOICES: Final = 128
"""OpenAI's limit of `n`, here also of prompts times `n`. Choices without a slot wait in the server."""
MAX_PROMPTS: Final = MAX_CHOICES
MAX_LOGPROBS: Final = 5
MAX_LOGIT_BIAS: Final = 300
MAX_TOKEN_DIGITS: Final = 10
MIN_TEMPERATURE: Final = 1e-5
"""Lower temperatures mean greedy decoding, as in vLLM, because logits / temperature would overflow."""
UNSUPPORTED_WITH_BEAMS: Final = (
    "stream", "do_sample", "temperature", "top_p", "top_k", "min_p", "presence_penalty", "frequency_penalty",
    "repetition_penalty", "logit_bias", "seed", "stop", "stop_token_ids", "min_tokens", "ignore_eos", "logprobs",
    "response_format",
)  # fmt: skip
"""Fields that a beam search cannot honour. 0, false and an empty list are accepted, because they request nothing."""
MAX_PARAM_CHARS: Final = 200
"""Limit of a field name in an error message: the name of an unknown field is text of the client."""


def encodable(text: str) -> str:
    """Pydantic validator that rejects lone surrogates: JSON can contain them, UTF-8 cannot."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ValueError("contains a lone surrogate, which is not valid text") from error
    return text


Text = Annotated[str, StringConstraints(max_length=MAX_TEXT_CHARS), AfterValidator(encodable)]
Stop = Annotated[str, StringConstraints(min_length=1, max_length=256), AfterValidator(encodable)]
Label = Annotated[str, StringConstraints(max_length=512)]
Finite = Annotated[float, Field(allow_inf_nan=False)]
Token = Annotated[int, Field(ge=0)]


def encodable_json(value: dict[str, Any]) -> dict[str, Any]:
    """Pydantic validator like `encodable` for an object."""
    encodable(json.dumps(value, ensure_ascii=False))
    return value


class Strict(BaseModel):
    """Base of all request bodies and their parts: no type coercion, no unknown fields, `null` is unset."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    ignored: ClassVar[frozenset[str]] = frozenset()
    """Fields that clients send and that cannot change the output. Their values are not checked."""

    @model_validator(mode="before")
    @classmethod
    def drop_unset(cls, value: Any) -> Any:
        """Remove ignored fields and those that are `null`."""
        if not isinstance(value, dict):
            return value
        return {name: field for name, field in value.items() if field is not None and name not in cls.ignored}

    def check(self) -> None:
        """Raises ApiError for fields that are not valid together. Subclasses with such fields override it."""


R = TypeVar("R", bound=Strict)


class StreamOptions(Strict):
    """Options of a streamed answer."""

    include_usage: bool | None = None
    include_obfuscation: bool | None = None
    """Accepted and ignored. With OpenAI it pads the chunks; it does not change their text."""


Options = Annotated[list[Text], Field(min_length=1, max_length=MAX_OPTIONS, fail_fast=True)]
Pattern = Annotated[str, StringConstraints(min_length=1, max_length=MAX_PATTERN_CHARS), AfterValidator(encodable)]
JsonObject = Annotated[dict[str, Any], AfterValidator(encodable_json)]


class StructuredOutputs(Strict):
    """vLLM's `structured_outputs`: the form of the whole output. One field is set."""

    json_: Annotated[JsonObject | None, Field(alias="json")] = None
    regex: Pattern | None = None
    choice: Options | None = None
    json_object: bool | None = None


class GenerationBody(Strict):
    """Fields of both generating endpoints."""

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
    stop_token_ids: Annotated[list[Token], Field(max_length=MAX_STOP_TOKENS, fail_fast=True)] | None = None
    """Tokens that end the output like the model's own end tokens. This and the next two fields are those of vLLM."""
    min_tokens: Annotated[int, Field(ge=0, le=MAX_PROMPT_TOKENS)] | None = None
    """The output does not end by a token or a stop string before it has so many tokens."""
    ignore_eos: bool | None = None
    """True: the model's end tokens do not end the output."""
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    n: Annotated[int, Field(ge=1, le=MAX_CHOICES)] | None = None
    max_length: Annotated[int, Field(ge=1, le=MAX_PROMPT_TOKENS)] | None = None
    """Limit of prompt plus output. This and the next three fields are parameters of transformers' `generate`."""
    do_sample: bool | None = None
    """False selects the most likely token, like temperature 0."""
    num_return_sequences: Annotated[int, Field(ge=1, le=MAX_CHOICES)] | None = None
    """Same as `n`."""
    num_beams: Annotated[int, Field(ge=1, le=64)] | None = None
    """More than 1 runs a beam search, as in `generate`. It uses no slot."""
    structured_outputs: StructuredOutputs | None = None
    guided_json: JsonObject | None = None
    """This and the next two fields are older names of vLLM for fields of `structured_outputs`."""
    guided_regex: Pattern | None = None
    guided_choice: Options | None = None
    user: Label | None = None
    """Accepted and ignored, because it does not change the output."""

    @property
    def stops(self) -> tuple[str, ...]:
        """The stop strings as a tuple."""
        return (self.stop,) if isinstance(self.stop, str) else tuple(self.stop or ())

    @property
    def structure(self) -> tuple[str, Form, object] | None:
        """Field, form and source of the required output; None for free text. Raises ApiError for two of them."""
        found = self._structures()
        if len(found) > 1:
            raise invalid_combination(found[1][0], f"cannot be combined with {found[0][0]}")
        return found[0] if found else None

    def _structures(self) -> list[tuple[str, Form, object]]:
        named = self.structured_outputs or StructuredOutputs()
        options: list[tuple[str, str, object]] = [
            ("structured_outputs.json", "json", named.json_), ("guided_json", "json", self.guided_json),
            ("structured_outputs.json_object", "json", ANY_OBJECT if named.json_object else None),
            ("structured_outputs.regex", "regex", named.regex), ("guided_regex", "regex", self.guided_regex),
            ("structured_outputs.choice", "choice", named.choice), ("guided_choice", "choice", self.guided_choice),
        ]  # fmt: skip
        return [(param, _form(kind, value), value) for param, kind, value in options if value is not None]

    @property
    def beams(self) -> int:
        """Number of beams; 1 means no beam search."""
        return self.num_beams or 1

    @property
    def include_usage(self) -> bool:
        """True if the stream ends with a usage chunk."""
        return bool(self.stream_options and self.stream_options.include_usage)

    @property
    def max_output_tokens(self) -> int | None:
        """Maximum output tokens of one choice, if the request has a limit other than `max_length`."""
        return self.max_tokens

    @property
    def choices_per_prompt(self) -> int:
        """Choices for each prompt. With greedy decoding they are identical, as with OpenAI."""
        return self.n or self.num_return_sequences or 1

    @override
    def check(self) -> None:
        if self.beams > 1:
            self.check_beam_search()
        if self.stream_options and not self.stream:
            raise invalid_combination("stream_options", "requires stream to be true")
        if self.min_tokens and self.max_output_tokens and self.min_tokens > self.max_output_tokens:
            raise invalid_combination("min_tokens", f"must not exceed the limit of {self.max_output_tokens} tokens")
        if self.n and self.num_return_sequences and self.n != self.num_return_sequences:
            raise invalid_combination("num_return_sequences", f"must equal n ({self.n})")
        if self.max_length and self.max_output_tokens:
            raise invalid_combination("max_length", "cannot be combined with another token limit")
        if self.do_sample is False and self.temperature:
            raise invalid_combination("do_sample", f"false requires temperature 0, found {self.temperature:g}")
        if self.do_sample and self.temperature == 0:
            raise invalid_combination("do_sample", "true requires a temperature above 0")

    def check_beam_search(self) -> None:
        """Raises ApiError for fields that a beam search cannot honour. Each endpoint adds its own."""
        for name in UNSUPPORTED_WITH_BEAMS:
            if getattr(self, name, None):
                raise unsupported_with_beams(name)
        if self.structure:
            raise unsupported_with_beams(self.structure[0])
        if self.choices_per_prompt > self.beams:
            raise invalid_combination(
                "num_beams", f"is {self.beams}, less than the {self.choices_per_prompt} requested choices"
            )

    def sampling(self, vocab_size: int) -> Sampling:
        """Sampling parameters with OpenAI's defaults. Raises ApiError for tokens outside the vocabulary."""
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


def _form(kind: str, value: Any) -> Form:
    match kind:
        case "json":
            return Json(json.dumps(value, ensure_ascii=False))
        case "regex":
            return Regex(value)
        case _:
            return either(*map(Plain, dict.fromkeys(value)))


def one_kind(parts: list[str | int | list[int]]) -> list[str | int | list[int]]:
    """Pydantic validator: one prompt as token ids, or several prompts that are all text or all token ids."""
    if len({type(part) for part in parts}) > 1:
        raise ValueError("must be the token ids of one prompt, a list of texts or a list of token id lists")
    if not isinstance(parts[0], int) and len(parts) > MAX_PROMPTS:
        raise ValueError(f"at most {MAX_PROMPTS} prompts")
    return parts


class CompletionBody(GenerationBody):
    """The body of POST /v1/completions."""

    ignored = frozenset({
        "metadata", "store", "service_tier", "safety_identifier", "prompt_cache_key", "prompt_cache_retention",
        "prompt_cache_options",
    })  # fmt: skip
    prompt: (
        Text
        | Annotated[
            list[Text | Token | Annotated[list[Token], Field(max_length=MAX_PROMPT_TOKENS, fail_fast=True)]],
            Field(min_length=1, max_length=MAX_PROMPT_TOKENS, fail_fast=True),
            AfterValidator(one_kind),
        ]
    )
    best_of: Annotated[int, Field(ge=1, le=MAX_CHOICES)] | None = None
    """Must equal `n`: the server does not generate choices that it does not return."""
    echo: bool | None = None
    logprobs: Annotated[int, Field(ge=0, le=MAX_LOGPROBS)] | None = None
    suffix: Literal[""] | None = None

    @property
    def prompts(self) -> list[str | list[int]]:
        """Each prompt, as text or as token ids."""
        if isinstance(self.prompt, str):
            return [self.prompt]
        tokens = [part for part in self.prompt if isinstance(part, int)]
        return [tokens] if tokens else [part for part in self.prompt if not isinstance(part, int)]

    @override
    def check(self) -> None:
        super().check()
        if self.best_of is not None and self.best_of != self.choices_per_prompt:
            raise bad_request(
                f"best_of: must equal n ({self.choices_per_prompt}), because all generated choices are returned",
                param="best_of", code="unsupported_value",
            )  # fmt: skip
        if self.echo and self.logprobs is not None:
            raise invalid_combination("echo", "cannot be combined with logprobs, because prompts are not scored")

    @override
    def check_beam_search(self) -> None:
        super().check_beam_search()
        if self.logprobs is not None:  # 0 requests the scores of the chosen tokens
            raise unsupported_with_beams("logprobs")


def parse_request(kind: type[R], body: bytes) -> R:
    """Parse and check a body. Raises ApiError 400 with the first invalid field as `param`."""
    try:
        request = kind.model_validate(parse_object(body))
    except ValidationError as error:
        raise _rejection(error.errors(include_url=False, include_context=False)) from error
    request.check()
    return request


def invalid_combination(param: str, reason: str) -> ApiError:
    """A 400 for a field that is valid alone, but not together with the others."""
    return bad_request(f"{param} {reason}", param=param, code="invalid_value")


def unsupported_with_beams(param: str) -> ApiError:
    """A 400 for a field that a beam search cannot honour."""
    return invalid_combination(param, "is not supported in a beam search (num_beams above 1)")


def _rejection(errors: list[ErrorDetails]) -> ApiError:
    """The messages contain field and expectation, never the value: it may be private text."""
    first = max((error for error in errors if error["loc"][:1] == errors[0]["loc"][:1]), key=_progress)
    param = ".".join(_path(first))[:MAX_PARAM_CHARS]
    if first["type"] == "missing":
        return bad_request(f"{param} is required", param=param, code="missing_required_parameter")
    if first["type"] == "extra_forbidden":
        return bad_request(f"{param} is not supported by this server", param=param, code="unsupported_parameter")
    code = "unsupported_value" if first["type"] in {"literal_error", "none_required"} else "invalid_value"
    return bad_request(f"{param}: {first['msg']}", param=param, code=code)


def _progress(error: ErrorDetails) -> tuple[int, bool]:
    """Orders the errors of a union, which reports one for each branch. The greatest belongs to the intended branch.

    It got furthest into the value; among equals it found the right type.
    """
    return len(_path(error)), not error["type"].endswith("_type")


def _path(error: ErrorDetails) -> list[str]:
    return [str(step) for step in error["loc"] if not _is_union_branch(step)]


def _is_union_branch(step: int | str) -> bool:
    """True for a union branch, which pydantic adds to the path, as in `stop.list[constrained-str]`."""
    return isinstance(step, str) and ("[" in step or "-" in step or step in {"str", "int", "NamedTool", "AllowedTools"})


def _temperature(requested: float | None) -> float:
    if requested is None:
        return 1.0
    return requested if requested >= MIN_TEMPERATURE else 0.0


def _token(key: str, vocab_size: int) -> int:
    if not key.isdecimal() or not key.isascii() or len(key) > MAX_TOKEN_DIGITS or int(key) >= vocab_size:
        raise bad_request(
            f"logit_bias: keys must be token ids from 0 to {vocab_size - 1}", param="logit_bias", code="invalid_value"
        )
    return int(key)
