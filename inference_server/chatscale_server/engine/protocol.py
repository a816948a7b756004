"""What the worker and the HTTP front need from an engine; `Transformers` and `Simulated` implement it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from chatscale_server.engine.detokenize import Decoder
from chatscale_server.engine.request import Constraint, Request, Score
from chatscale_server.engine.scheduler import StepPlan

PhaseSink = Callable[[str, float], None]
"""Called with a phase of the start (import, load, warm_up) and its seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelInfo:
    """What is known once the model is loaded."""

    max_model_len: int
    kv_capacity_tokens: int
    tokens_per_step: int
    max_tokens_per_second: float
    """`tokens_per_step` over the time of a step that computes as many; measured in the warm-up."""
    vocab_size: int
    end_tokens: frozenset[int]
    reuses_prefixes: bool = False
    """It can copy the start of one slot's cache to another, exactly as if it had been computed there."""
    burst_factor: int = 1
    """See Scheduler. 1 where a longer step reads prompts no faster."""
    default_max_tokens: int | None = None
    """Of a chat request that names none; None lets it run to the model's limit."""
    takes_tools: bool = False
    """The chat template has a place for tools, and for what they answered."""
    takes_schemas: bool = False
    """`constraint` works here."""
    max_beams: int = 1
    """1: it does not search with beams."""


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A function that the assistant has called."""

    id: str
    name: str
    arguments: dict[str, Any]


@dataclass(frozen=True, slots=True)
class ChatMessage:
    """One turn of a conversation, as the chat template sees it."""

    role: str
    content: str
    name: str | None = None
    tool_calls: tuple[ToolCall, ...] = ()
    """Of an assistant's turn."""
    tool_call_id: str | None = None
    """Of a tool's turn: the call that it answers."""


class PromptError(Exception):
    """The chat template refuses these messages; the message says why."""


class SchemaError(Exception):
    """No constraint can be made of this JSON schema; the message says why."""


class Engine(Protocol):
    """A model that can decode many sequences at a time.

    `load`, `step`, `scores` and `search_beams` are called from the worker's thread only; the others from any,
    after `load` has returned.
    """

    def load(self, phase: PhaseSink) -> ModelInfo:
        """Get ready to step. Raises StartupError when the model cannot be served."""
        ...

    def encode(self, text: str) -> list[int]:
        """Tokens of a plain prompt."""
        ...

    def encode_chat(self, messages: Sequence[ChatMessage], tools: Sequence[Mapping[str, Any]] = ()) -> list[int]:
        """Tokens of a conversation, ready for the assistant's turn. Raises PromptError.

        tools: as the OpenAI API has them, for models that take any.
        """
        ...

    def decode(self, tokens: Sequence[int]) -> str:
        """Text of a whole sequence, special tokens by their names."""
        ...

    def token_bytes(self, token: int) -> bytes:
        """The bytes that the token stands for, be they whole characters or not."""
        ...

    def constraint(self, schema: str, before: str = "", after: str = "") -> Constraint:
        """Holds one answer to a JSON schema, between two texts. For models that take schemas.

        May take long. Raises SchemaError.
        """
        ...

    def decoder(self) -> Decoder:
        """A fresh incremental decoder."""
        ...

    def step(self, plan: StepPlan) -> Mapping[int, int]:
        """Compute one step; the next token per slot, for decodes and for prompts that are now complete."""
        ...

    def search_beams(self, request: Request, count: int, between: Callable[[], bool]) -> list[list[int]]:
        """Tokens of the `count` best answers, best first. For engines with `max_beams` above 1.

        between: called after every step of the search, may itself call `step`; True ends the search.
        """
        ...

    def scores(self) -> Mapping[int, Score]:
        """Of the step just computed: the score of each slot's token, for requests that ask for scores."""
        ...
