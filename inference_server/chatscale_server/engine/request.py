"""What goes into the engine and what comes out. Plain values, safe to hand between threads."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """How the next token is chosen."""

    temperature: float = 1.0
    """0 takes the likeliest token."""
    top_p: float = 1.0
    """In (0, 1]; 1 keeps every token."""
    top_k: int = 0
    """0 keeps every token."""
    min_p: float = 0.0
    """In [0, 1]; tokens less likely than this share of the likeliest one are out; 0 keeps every token."""
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    """Both count the tokens generated so far, as OpenAI defines them."""
    repetition_penalty: float = 1.0
    """Of every token in prompt and answer, as transformers defines it; 1 changes nothing."""
    logit_bias: tuple[tuple[int, float], ...] = ()
    seed: int | None = None
    """Same seed, same numerics, same tokens; None draws a fresh seed."""


class Constraint(Protocol):
    """What one answer may say, token by token; has state, so it belongs to one request."""

    @property
    def problem(self) -> str | None:
        """Set once it cannot go on: from then on the answer means nothing."""
        ...

    def allowed(self) -> bytes:
        """One byte per token that may come next, not 0 where it may; empty once there is a problem."""
        ...

    def accept(self, token: int) -> None:
        """The token has been chosen."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One generation. Both times are on the clock that the worker uses."""

    id: str
    prompt: tuple[int, ...]
    max_tokens: int
    sampling: Sampling = Sampling()
    stop: tuple[str, ...] = ()
    top_logprobs: int | None = None
    """How many of the likeliest tokens to report beside each chosen one; None reports nothing."""
    constraint: Constraint | None = None
    beams: int = 1
    """More than one: not sampled, but searched for, beside the slots."""
    arrived_s: float = 0.0
    """When its HTTP headers were here; what the client waits for counts from then."""
    queued_s: float = 0.0
    """When it was admitted; the queue deadline counts from then, since a slow upload has not waited for a slot."""

    @property
    def reserved_tokens(self) -> int:
        """KV cache it may come to hold."""
        return len(self.prompt) + self.max_tokens


class FinishReason(StrEnum):
    """Why a request ended; the first two are OpenAI's words."""

    STOP = "stop"
    LENGTH = "length"
    CANCELLED = "cancelled"
    DEADLINE = "deadline"
    """It waited longer than the queue timeout and never had a slot."""
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Score:
    """How likely the model found a token: natural logarithms of raw probabilities, before any sampling rule."""

    token: int
    logprob: float
    top: tuple[tuple[int, float], ...] = ()
    """(token, logprob) of the likeliest ones, in that order."""
    offset: int = 0
    """Characters of the answer before the token's text."""


@dataclass(frozen=True, slots=True)
class Output:
    """What one step did for one request: text that may go out, and the end if this was it."""

    request_id: str
    text: str
    tokens: int
    """Generated in this step; the end token counts, its text is empty."""
    finish: FinishReason | None = None
    scores: tuple[Score, ...] = ()
    """Of the tokens whose text is out with this output; for requests with `top_logprobs`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StepReport:
    """All that one step changed, delivered at once so that a reader never sees half of it.

    What changed between two steps, starts and ends, comes as a report with batch_size 0.
    """

    started: tuple[str, ...] = ()
    """Requests that got a slot."""
    outputs: tuple[Output, ...] = ()
    prompt_tokens: int = 0
    """Of prompts, computed in this step or found in the cache."""
    prefix_queries: int = 0
    """Prompt tokens that were looked for in the cache."""
    prefix_hits: int = 0
    """Those that were found."""
    batch_size: int = 0
    duration_s: float = 0.0
    kv_usage_ratio: float = 0.0
