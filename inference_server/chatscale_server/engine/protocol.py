"""The interface between an engine and its users, worker and HTTP front. Both engines implement it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final, Protocol

from chatscale_contract.server.environment import ReasoningFormat, ToolFormat
from chatscale_server.engine.detokenize import Decoder
from chatscale_server.engine.encoding import EncoderInfo
from chatscale_server.engine.output_form import Form
from chatscale_server.engine.request import Constraint, Request, Score
from chatscale_server.engine.sequence import StepPlan

NO_VARIABLES: Final[Mapping[str, Any]] = MappingProxyType({})
PhaseSink = Callable[[str, float], None]
"""Called with a startup phase (import, download, load, warm_up) and its duration in seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelInfo:
    """Properties of a loaded model."""

    max_model_len: int
    kv_capacity_tokens: int
    tokens_per_step: int
    page_tokens: int | None = None
    """Tokens of a page of the KV cache; None if each slot has memory for the longest request."""
    max_tokens_per_second: float
    """`tokens_per_step` divided by the time of a full step, measured in the warm-up."""
    vocab_size: int
    end_tokens: frozenset[int]
    slots: int = 1
    """Batch slots: those of the settings, or those that the engine chose."""
    decode_step_s: Mapping[int, float] = field(default_factory=lambda: MappingProxyType({}))
    """Seconds of one decode step by number of sequences, with a short context; empty if unknown."""
    reuses_prefixes: bool = False
    """The engine can copy a prefix between slots, with the same result as computing it."""
    burst_factor: int = 1
    """See `Scheduler.burst_factor`. 1 if longer steps do not prefill faster."""
    default_max_tokens: int | None = None
    """Output limit of a chat request without one; None means the model's limit."""
    takes_tools: bool = False
    """The chat template supports tools and their results."""
    tool_format: ToolFormat = ToolFormat.HERMES
    """How the model writes calls, if it takes tools."""
    reasoning_format: ReasoningFormat = ReasoningFormat.NONE
    template_variables: frozenset[str] = frozenset()
    """Variables that the chat template reads."""
    takes_schemas: bool = False
    """`constraint` is supported."""
    max_beams: int = 1
    """1: beam search is not supported."""
    encoder: EncoderInfo | None = None
    """Set for an encoder, which implements `encode` and `embed` and generates nothing."""


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A function call of the assistant."""

    id: str
    name: str
    arguments: dict[str, Any]


@dataclass(frozen=True, slots=True)
class ChatMessage:
    """One message of a conversation, as the chat template gets it."""

    role: str
    content: str
    name: str | None = None
    tool_calls: tuple[ToolCall, ...] = ()
    """Set in assistant messages only."""
    tool_call_id: str | None = None
    """Set in tool messages only: the call that the message answers."""
    reasoning: str = ""
    """Set in assistant messages only: the reasoning before the content."""


class PromptError(Exception):
    """The chat template rejects these messages. The error's message gives the reason."""


class SchemaError(Exception):
    """The output form cannot be compiled. The error's message gives the reason."""


class Engine(Protocol):
    """A model that decodes many sequences at a time.

    `load`, `prepare`, `step`, `scores` and `search_beams` are called in the worker's thread only, the other methods in
    any thread after `load` has returned.
    """

    def load(self, phase: PhaseSink) -> ModelInfo:
        """Load the model and warm it up. Raises StartupError if the model cannot be served."""
        ...

    def encode(self, text: str) -> list[int]:
        """Token ids of a plain prompt."""
        ...

    def encode_chat(
        self,
        messages: Sequence[ChatMessage],
        tools: Sequence[Mapping[str, Any]] = (),
        variables: Mapping[str, Any] = NO_VARIABLES,
    ) -> list[int]:
        """Token ids of a conversation, with the generation prompt. Raises PromptError.

        tools: in the format of the OpenAI API, for models with `takes_tools`.  variables: of the chat template.
        """
        ...

    def decode(self, tokens: Sequence[int]) -> str:
        """Text of a whole sequence, with the names of special tokens."""
        ...

    def token_bytes(self, token: int) -> bytes:
        """The exact bytes of the token, which may be part of a character."""
        ...

    def constraint(self, form: Form) -> Constraint:
        """A constraint to output of a form. For models with `takes_schemas`.

        May take long. Raises SchemaError.
        """
        ...

    def decoder(self, *, marks: bool = False) -> Decoder:
        """A new incremental decoder. marks: special tokens that mark calls and reasoning have their names as text."""
        ...

    def prepare(self, plan: StepPlan) -> None:
        """Reset the slots of started sequences and perform the copies of the plan. Called once before its `step`."""
        ...

    def step(self, plan: StepPlan) -> Mapping[int, int]:
        """Compute the rows of one step. Returns the next token by slot, for decodes and for prompts now complete.

        After an error it is called again with parts of the same rows. Until it returns it must therefore change
        nothing but keys and values of the rows' own positions. A slot without a token has failed.
        """
        ...

    def search_beams(self, request: Request, count: int, between: Callable[[], bool]) -> list[list[int]]:
        """Token ids of the `count` best outputs, best first. For engines with `max_beams` above 1.

        between: called after every step of the search. It may call `step`. True ends the search.
        """
        ...

    def scores(self) -> Mapping[int, Score]:
        """Scores of the last step's tokens by slot, for requests with `top_logprobs`."""
        ...

    def embed(self, inputs: Sequence[Sequence[int]]) -> list[bytes]:
        """One vector per input, float32 in little-endian order. For encoders; called in the worker's thread only.

        inputs: token ids. After an error it is called again with parts of the same inputs.
        """
        ...
