"""Input and output of the engine: plain values that may be passed between threads."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """Sampling parameters of one request."""

    temperature: float = 1.0
    """0 selects the most likely token."""
    top_p: float = 1.0
    """In (0, 1]; 1 keeps every token."""
    top_k: int = 0
    """0 keeps every token."""
    min_p: float = 0.0
    """In [0, 1]; removes tokens less likely than this share of the most likely one. 0 keeps every token."""
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    """Both apply to the tokens generated so far, as defined by OpenAI."""
    repetition_penalty: float = 1.0
    """Applies to every token of prompt and output, as defined by transformers; 1 changes nothing."""
    logit_bias: tuple[tuple[int, float], ...] = ()
    seed: int | None = None
    """The same seed and numerics give the same tokens; None draws a new seed."""


class Constraint(Protocol):
    """The tokens that one output may contain. It has state, so each request has its own."""

    @property
    def problem(self) -> str | None:
        """Set if the constraint has failed. The output is invalid from then on."""
        ...

    def allowed(self) -> bytes:
        """One byte per token, non-zero if the token may come next. Empty if there is a problem."""
        ...

    def accept(self, token: int) -> None:
        """Advance by the token that was chosen."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One generation request. Both times are on the worker's clock."""

    id: str
    prompt: tuple[int, ...]
    max_tokens: int
    sampling: Sampling = Sampling()
    stop: tuple[str, ...] = ()
    stop_tokens: frozenset[int] = frozenset()
    """Tokens that end the output beside the model's end tokens."""
    min_tokens: int = 0
    """Neither a token nor a stop string ends the output before it has so many tokens."""
    ignore_end_tokens: bool = False
    """The model's end tokens do not end the output."""
    top_logprobs: int | None = None
    """Number of most likely tokens to report with each chosen one; None reports no scores."""
    constraint: Constraint | None = None
    marks: bool = False
    """The text contains the names of special tokens that mark calls and reasoning."""
    beams: int = 1
    """More than 1: a beam search, which uses no slot."""
    input_lengths: tuple[int, ...] = ()
    """Of a request to an encoder: tokens of each input. `prompt` is all inputs, one after the other."""
    arrived_s: float = 0.0
    """When the HTTP headers were received. Latencies that the client sees count from here."""
    queued_s: float = 0.0
    """When the request was admitted. The queue timeout counts from here, because an upload does not wait for a slot."""

    @property
    def reserved_tokens(self) -> int:
        """KV cache tokens that the request may need."""
        return len(self.prompt) + self.max_tokens


class FinishReason(StrEnum):
    """Why a request ended. The first two are OpenAI's values."""

    STOP = "stop"
    LENGTH = "length"
    CANCELLED = "cancelled"
    DEADLINE = "deadline"
    """The request waited longer than the queue timeout and got no slot."""
    ERROR = "error"
    """The output does not follow the request's constraint."""
    FAILED = "failed"
    """The engine raised an error while it computed this request."""


@dataclass(frozen=True, slots=True)
class Score:
    """Log-probability of a token: natural logarithm of the raw probability, before penalties and sampling."""

    token: int
    logprob: float
    top: tuple[tuple[int, float], ...] = ()
    """(token, logprob) of the most likely tokens, in descending order."""
    offset: int = 0
    """Characters of the output before the token's text."""


@dataclass(frozen=True, slots=True)
class Output:
    """Output of one step for one request: text that may be sent, and the finish reason if the request has ended."""

    request_id: str
    text: str
    tokens: int
    """Tokens generated in this step. The end token counts, although its text is empty."""
    finish: FinishReason | None = None
    scores: tuple[Score, ...] = ()
    """Scores of the tokens whose text is complete with this output, for requests with `top_logprobs`."""
    vectors: tuple[bytes, ...] = ()
    """From an encoder: one vector per input, float32 in little-endian order."""
    cached_tokens: int = 0
    """Prompt tokens that were found in the cache. Set in the last output of a complete response."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StepReport:
    """All changes of one step, delivered together so that a reader never sees a part of them.

    Starts and ends between two steps are a report with batch_size 0.
    """

    started: tuple[str, ...] = ()
    """Ids of the requests that got a slot."""
    outputs: tuple[Output, ...] = ()
    prompt_tokens: int = 0
    """Prompt tokens that were computed in this step or found in the cache."""
    prefix_queries: int = 0
    """Prompt tokens that were looked up in the cache."""
    prefix_hits: int = 0
    """Prompt tokens that were found there."""
    batch_size: int = 0
    duration_s: float = 0.0
    kv_usage_ratio: float = 0.0
