"""A running request, and the part of it that one step computes. Pure."""

from dataclasses import dataclass, field

from chatscale_server.engine.prefixes import Copy
from chatscale_server.engine.request import Request


@dataclass(slots=True, eq=False)
class Sequence:
    """A request in a slot."""

    request: Request
    slot: int
    prefilled: int = 0
    """Of the first `target` tokens, those in the cache."""
    pages: list[int] = field(default_factory=list)
    """Pages of the KV cache in the order of the tokens; empty if the cache has no pages."""
    tokens: list[int] = field(init=False)
    """Prompt plus output so far."""
    target: int = field(init=False)
    """Tokens to prefill: the prompt. After a pause also the output up to then."""
    paused: bool = False
    """The sequence lost its pages to older ones. It is prefilled again when there is memory for it."""
    counted: int = 0
    """Prompt tokens that were already reported as computed or found."""
    leader: "Sequence | None" = None
    """An older sequence whose prefill this one waits for, to use the common prefix."""
    shared: int = 0
    """Tokens that this sequence will have in common with the leader."""

    def __post_init__(self) -> None:
        self.tokens = list(self.request.prompt)
        self.target = len(self.tokens)

    @property
    def generated(self) -> int:
        """Output tokens so far."""
        return len(self.tokens) - len(self.request.prompt)

    @property
    def decoding(self) -> bool:
        """True if all tokens before the newest one are in the cache."""
        return self.prefilled == self.target

    def append(self, token: int) -> None:
        """Add the next output token."""
        self.tokens.append(token)

    @property
    def held_tokens(self) -> int:
        """Tokens in the KV cache. The newest token enters it with the next step."""
        return self.prefilled + max(0, len(self.tokens) - self.target - 1)

    def pause(self) -> None:
        """Forget what is in the cache."""
        self.prefilled, self.target = 0, len(self.tokens)
        self.paused, self.leader = True, None

    def count(self, tokens: int) -> int:
        """Record that the first `tokens` are prefilled. Returns the prompt tokens among them that are new."""
        before = self.counted
        self.counted = max(before, min(tokens, len(self.request.prompt)))
        return self.counted - before


@dataclass(frozen=True, slots=True)
class Chunk:
    """Tokens `start` to `end` of one sequence, to prefill."""

    sequence: Sequence
    start: int
    end: int
    repeated: int = 0
    """Tokens of it that were prefilled before a pause already, or are output."""

    @property
    def last(self) -> bool:
        """True if the step generates the sequence's next token."""
        return self.end == self.sequence.target


@dataclass(frozen=True, slots=True)
class StepPlan:
    """What the engine computes in one step."""

    started: tuple[Sequence, ...] = ()
    copies: tuple[Copy, ...] = ()
    """Performed in this order, before any forward pass."""
    chunks: tuple[Chunk, ...] = ()
    decodes: tuple[Sequence, ...] = ()
    prefix_queries: int = 0
    """Prompt tokens of the requests that start in this step."""
    prefix_hits: int = 0
    """Prompt tokens that are already in the cache."""
    paused: int = 0
    """Sequences that lost their pages to older ones."""

    @property
    def prompt_tokens(self) -> int:
        """Prompt tokens of this step, computed or found in the cache. After a pause they do not count again."""
        return self.prefix_hits + sum(chunk.end - chunk.start - chunk.repeated for chunk in self.chunks)

    @property
    def batch_size(self) -> int:
        """Sequences in this step."""
        return len(self.chunks) + len(self.decodes)
