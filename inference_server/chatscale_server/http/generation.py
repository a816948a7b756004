"""From a checked body and its prompts to requests for the engine: one per choice, each within the model's limits."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from chatscale_contract.openai.errors import ApiError, bad_request
from chatscale_server.engine.beams import BEAM_TOKENS
from chatscale_server.engine.protocol import ModelInfo
from chatscale_server.engine.request import Constraint, Request
from chatscale_server.http.schema import Generation, contradiction

CONTEXT_LENGTH_EXCEEDED: Final = "context_length_exceeded"
_GOLDEN: Final = 0x9E3779B97F4A7C15
"""2^64 over the golden ratio: multiples of it are far from each other (splitmix64)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What the engine is to do, apart from prompts and the fields that both endpoints share."""

    answer_id: str
    arrived_s: float
    prompt_param: str
    """The body's field that prompts come from, for errors."""
    default_max_tokens: int
    top_logprobs: int | None = None
    constraints: Sequence[Constraint] = ()
    """One per choice, or none at all."""


def plan_requests(
    asked: Generation, prompts: Sequence[Sequence[int]], wish: Wish, info: ModelInfo, slots: int
) -> list[Request]:
    """Each prompt's choices side by side, as OpenAI counts them. Raises ApiError."""
    count = check_count(asked, len(prompts), slots, wish.prompt_param)
    if asked.beams > 1:
        _check_search(asked, prompts, wish, info)
    sampling = asked.sampling(info.vocab_size)
    limits = [_answer_tokens(asked, prompt, wish, info) for prompt in prompts]
    return [
        Request(
            id=f"{wish.answer_id}.{at}" if at else wish.answer_id,
            prompt=tuple(prompts[at // asked.choices_per_prompt]),
            max_tokens=limits[at // asked.choices_per_prompt],
            sampling=replace(sampling, seed=seed_of_choice(asked.seed, at % asked.choices_per_prompt)),
            stop=asked.stops,
            top_logprobs=wish.top_logprobs,
            constraint=wish.constraints[at] if wish.constraints else None,
            beams=asked.beams,
            arrived_s=wish.arrived_s,
        )
        for at in range(count)
    ]


def check_count(asked: Generation, prompts: int, slots: int, prompt_param: str) -> int:
    """Choices in all. Raises ApiError for more than could ever run at a time."""
    if prompts > slots:
        raise contradiction(prompt_param, f"has {prompts} prompts, and this server runs {slots} at a time")
    if prompts * asked.choices_per_prompt > slots:
        param = "n" if asked.n else "num_return_sequences"
        raise contradiction(
            param, f"asks for {prompts * asked.choices_per_prompt} answers, and this server makes {slots} at a time"
        )
    return prompts * asked.choices_per_prompt


def _check_search(asked: Generation, prompts: Sequence[Sequence[int]], wish: Wish, info: ModelInfo) -> None:
    """Raises ApiError for a beam search that this server does not make.

    Its prompt is read in one step, which everybody waits for: a second at most, by the engine's own measure.
    """
    if asked.beams > info.max_beams:
        raise bad_request(
            f"num_beams: this server searches with at most {info.max_beams}", param="num_beams",
            code="unsupported_value",
        )  # fmt: skip
    if len(prompts) > 1:
        raise contradiction(wish.prompt_param, "has several prompts, and a beam search has one")
    read, most = asked.beams * len(prompts[0]), info.max_tokens_per_second
    if read > most:
        raise contradiction("num_beams", f"times the prompt is {read} tokens, more than this server reads in a second")
    whole = asked.max_length or len(prompts[0]) + (asked.answer_tokens or 1)
    tokens = asked.beams * max(whole, len(prompts[0]) + 1)
    if tokens > BEAM_TOKENS:
        raise contradiction("num_beams", f"times prompt and answer is {tokens} tokens, more than {BEAM_TOKENS}")


def seed_of_choice(seed: int | None, choice: int) -> int | None:
    """The first choice has the seed itself, so that one more choice never changes the first."""
    return None if seed is None else (seed + choice * _GOLDEN + 2**63) % 2**64 - 2**63


def _answer_tokens(asked: Generation, prompt: Sequence[int], wish: Wish, info: ModelInfo) -> int:
    """How long the answer may get. Raises ApiError for a prompt that the model cannot take."""
    param = wish.prompt_param
    room = info.max_model_len - len(prompt)
    if not prompt:
        raise bad_request(f"{param} has no tokens", param=param, code="invalid_value")
    if max(prompt) >= info.vocab_size:
        # A tokenizer may know more tokens than the model: such a one would break the step, for everybody in it.
        raise bad_request(f"{param}: token ids end at {info.vocab_size - 1}", param=param, code="invalid_value")
    room = min(room, BEAM_TOKENS // asked.beams - len(prompt)) if asked.beams > 1 else room
    wanted = asked.answer_tokens
    if asked.max_length is not None:
        wanted = asked.max_length - len(prompt)
        if wanted < 1:
            raise contradiction("max_length", f"of {asked.max_length} leaves no room beside {len(prompt)} in {param}")
    if room < (wanted or 1):
        raise _too_long(param, len(prompt), wanted or 1, info.max_model_len)
    return wanted or min(room, wish.default_max_tokens)


def _too_long(param: str, prompt_tokens: int, wanted: int, max_model_len: int) -> ApiError:
    return bad_request(
        f"this model's context is {max_model_len} tokens; {param} has {prompt_tokens} and {wanted} more were asked for",
        param=param,
        code=CONTEXT_LENGTH_EXCEEDED,
    )
