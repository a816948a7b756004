"""Turns a checked body and its prompts into engine requests: one per choice, each within the model's limits. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from chatscale_contract.openai.errors import ApiError, bad_request
from chatscale_server.engine.beams import BEAM_TOKENS
from chatscale_server.engine.min_tokens import MinTokens
from chatscale_server.engine.protocol import ModelInfo
from chatscale_server.engine.request import Constraint, Request
from chatscale_server.http.schema import MAX_CHOICES, GenerationBody, invalid_combination

CONTEXT_LENGTH_EXCEEDED: Final = "context_length_exceeded"
_GOLDEN: Final = 0x9E3779B97F4A7C15
"""2^64 / golden ratio, as in splitmix64: its multiples are far apart."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestContext:
    """Inputs of `plan_requests` that differ between the endpoints or do not come from the body."""

    response_id: str
    arrived_s: float
    prompt_param: str
    """The body's field that contains the prompts, for error messages."""
    default_max_tokens: int
    top_logprobs: int | None = None
    more_stops: tuple[str, ...] = ()
    """Stop strings that the server adds."""
    marks: bool = False
    """See `Request.marks`."""
    constraints: Sequence[Constraint] = ()
    """One per choice, or empty."""


def plan_requests(
    body: GenerationBody, prompts: Sequence[Sequence[int]], context: RequestContext, info: ModelInfo
) -> list[Request]:
    """One request per choice, ordered by prompt, then by choice, as OpenAI orders them. Raises ApiError."""
    count = check_count(body, len(prompts))
    if body.beams > 1:
        _check_beam_search(body, prompts, context, info)
    sampling = body.sampling(info.vocab_size)
    limits = [_max_output_tokens(body, prompt, context, info) for prompt in prompts]
    if (body.min_tokens or 0) > min(limits):
        raise invalid_combination("min_tokens", f"must not exceed the limit of {min(limits)} tokens")
    stop_tokens = _stop_tokens(body, info)
    return [
        Request(
            id=f"{context.response_id}.{at}" if at else context.response_id,
            prompt=tuple(prompts[at // body.choices_per_prompt]),
            max_tokens=limits[at // body.choices_per_prompt],
            sampling=replace(sampling, seed=seed_of_choice(body.seed, at % body.choices_per_prompt)),
            stop=(*body.stops, *context.more_stops),
            marks=context.marks,
            top_logprobs=context.top_logprobs,
            stop_tokens=stop_tokens,
            min_tokens=body.min_tokens or 0,
            ignore_end_tokens=body.ignore_eos or False,
            constraint=context.constraints[at] if context.constraints else _min_tokens(body, stop_tokens, info),
            beams=body.beams,
            arrived_s=context.arrived_s,
        )
        for at in range(count)
    ]


def check_count(body: GenerationBody, prompts: int) -> int:
    """Number of choices of all prompts. Raises ApiError if they are more than `MAX_CHOICES`."""
    count = prompts * body.choices_per_prompt
    if count > MAX_CHOICES:
        param = "n" if body.n else "num_return_sequences"
        raise invalid_combination(param, f"times the prompts is {count} choices; the limit is {MAX_CHOICES}")
    return count


def _stop_tokens(body: GenerationBody, info: ModelInfo) -> frozenset[int]:
    if max(body.stop_token_ids or (0,)) >= info.vocab_size:
        raise bad_request(
            f"stop_token_ids: token ids must be below {info.vocab_size}", param="stop_token_ids", code="invalid_value"
        )
    return frozenset(body.stop_token_ids or ())


def _min_tokens(body: GenerationBody, stop_tokens: frozenset[int], info: ModelInfo) -> Constraint | None:
    if not body.min_tokens:
        return None
    ends = stop_tokens if body.ignore_eos else stop_tokens | info.end_tokens
    return MinTokens([token for token in ends if token < info.vocab_size], info.vocab_size, body.min_tokens)


def _check_beam_search(
    body: GenerationBody, prompts: Sequence[Sequence[int]], context: RequestContext, info: ModelInfo
) -> None:
    """Raises ApiError for a beam search beyond the limits of this server.

    Its prompt is prefilled in one step, and all other requests wait for it: at most one second, as measured.
    """
    if body.beams > info.max_beams:
        raise bad_request(
            f"num_beams: the limit of this server is {info.max_beams}", param="num_beams",
            code="unsupported_value",
        )  # fmt: skip
    if len(prompts) > 1:
        raise invalid_combination(context.prompt_param, "must be one prompt in a beam search")
    prefilled, limit = body.beams * len(prompts[0]), info.max_tokens_per_second
    if prefilled > limit:
        raise invalid_combination(
            "num_beams", f"times the prompt is {prefilled} tokens, more than this server prefills in a second"
        )
    total = body.max_length or len(prompts[0]) + (body.max_output_tokens or 1)
    tokens = body.beams * max(total, len(prompts[0]) + 1)
    if tokens > BEAM_TOKENS:
        raise invalid_combination(
            "num_beams", f"times prompt plus output is {tokens} tokens; the limit is {BEAM_TOKENS}"
        )


def seed_of_choice(seed: int | None, choice: int) -> int | None:
    """Seed of one choice. The first choice uses the seed itself, so more choices do not change the first one."""
    return None if seed is None else (seed + choice * _GOLDEN + 2**63) % 2**64 - 2**63


def _max_output_tokens(body: GenerationBody, prompt: Sequence[int], context: RequestContext, info: ModelInfo) -> int:
    """Output limit of one choice, in tokens. Raises ApiError for a prompt that the model cannot process."""
    param = context.prompt_param
    room = info.max_model_len - len(prompt)
    if not prompt:
        raise bad_request(f"{param} has no tokens", param=param, code="invalid_value")
    if max(prompt) >= info.vocab_size:
        # A tokenizer can have more tokens than the model. Such a token would fail the step for the whole batch.
        raise bad_request(f"{param}: token ids must be below {info.vocab_size}", param=param, code="invalid_value")
    room = min(room, BEAM_TOKENS // body.beams - len(prompt)) if body.beams > 1 else room
    wanted = body.max_output_tokens
    if body.max_length is not None:
        wanted = body.max_length - len(prompt)
        if wanted < 1:
            raise invalid_combination(
                "max_length", f"{body.max_length} leaves no room for output: {param} has {len(prompt)} tokens"
            )
    if room < (wanted or 1):
        raise _too_long(param, len(prompt), wanted or 1, info.max_model_len)
    return wanted or min(room, context.default_max_tokens)


def _too_long(param: str, prompt_tokens: int, wanted: int, max_model_len: int) -> ApiError:
    return bad_request(
        f"this model's context is {max_model_len} tokens; {param} has {prompt_tokens} and {wanted} more were requested",
        param=param,
        code=CONTEXT_LENGTH_EXCEEDED,
    )
