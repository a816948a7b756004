"""What the worker and the HTTP front need from an engine; `Transformers` and `Simulated` implement it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from chatscale_server.engine.detokenize import Decoder
from chatscale_server.engine.scheduler import StepPlan

PhaseSink = Callable[[str, float], None]
"""Called with a phase of the start (import, load, warm_up) and its seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelInfo:
    """What is known once the model is loaded."""

    max_model_len: int
    kv_capacity_tokens: int
    tokens_per_step: int
    vocab_size: int
    end_tokens: frozenset[int]
    reuses_prefixes: bool = False
    """It can copy the start of one slot's cache to another, exactly as if it had been computed there."""
    default_max_tokens: int | None = None
    """Of a chat request that names none; None lets it run to the model's limit."""


@dataclass(frozen=True, slots=True)
class ChatMessage:
    """One turn of a conversation, as the chat template sees it."""

    role: str
    content: str
    name: str | None = None


class PromptError(Exception):
    """The chat template refuses these messages; the message says why."""


class Engine(Protocol):
    """A model that can decode many sequences at a time.

    `load` and `step` are called from the worker's thread only; the encoders and `decoder` from any,
    after `load` has returned.
    """

    def load(self, phase: PhaseSink) -> ModelInfo:
        """Get ready to step. Raises StartupError when the model cannot be served."""
        ...

    def encode(self, text: str) -> list[int]:
        """Tokens of a plain prompt."""
        ...

    def encode_chat(self, messages: Sequence[ChatMessage]) -> list[int]:
        """Tokens of a conversation, ready for the assistant's turn. Raises PromptError."""
        ...

    def decoder(self) -> Decoder:
        """A fresh incremental decoder."""
        ...

    def step(self, plan: StepPlan) -> Mapping[int, int]:
        """Compute one step; the next token per slot, for decodes and for prompts that are now complete."""
        ...
