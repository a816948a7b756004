"""The seams between the flow of a turn and the outside: one implementation at the edge, one in memory for tests."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from chatscale.api.v1alpha1.shopassistant import Language
from chatscale_assistant.domain.answer import Answer
from chatscale_assistant.domain.conversation import Conversation, Customer
from chatscale_assistant.domain.evidence import Chunk, Retrieved, ToolCall, ToolResult


class Retriever(Protocol):
    """Searches the index in use."""

    async def search(self, question: str, *, limit: int = 5, source: str | None = None) -> Retrieved:
        """The best chunks for a question in any language; `source` restricts it to one knowledge source."""
        ...

    def chunk(self, chunk_id: str) -> Chunk | None:
        """A chunk of the index in use; None if its source was changed or deleted since."""
        ...


class Tools(Protocol):
    """Calls tools of MCP servers, through the gate. Nothing else may call a tool."""

    async def read(self, call: ToolCall, customer: Customer | None) -> ToolResult:
        """A call that changes nothing. Raises GateClosedError if the gate refuses it, ToolFailedError if it fails."""
        ...

    async def write(self, call: ToolCall, conversation: Conversation) -> ToolResult:
        """A call that changes something: needs the confirmation in `conversation`. Errors as `read`."""
        ...


class ChatModel(Protocol):
    """The chat model that phrases an answer."""

    @property
    def under_pressure(self) -> bool:
        """Whether more was requested in the last seconds than the model can write."""
        return False

    async def write(self, system: str, user: str, *, max_tokens: int, timeout_s: float) -> str | None:
        """The model's text; None if it is overloaded, too late or broken: the answer then comes from a lower rung."""
        ...


class Desk(Protocol):
    """Where people answer."""

    async def hand_over(self, conversation: Conversation, *, summary: str, language: Language, reason: str) -> bool:
        """Whether the desk accepted the case; once per case."""
        ...

    async def has_person(self, conversation: Conversation) -> bool:
        """Whether a person answers now, also for work in flight."""
        ...


class Encoder(Protocol):
    """Embeds texts. Vectors have length 1, float32."""

    @property
    def name(self) -> str:
        """Model and version: part of the index's version."""
        ...

    @property
    def dimensions(self) -> int:
        """Length of a vector."""
        ...

    def queries(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """A numpy array [texts, dimensions] of questions."""
        ...

    def passages(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """A numpy array [texts, dimensions] of passages."""
        ...


class Responder(Protocol):
    """The whole assistant: what the HTTP front and the evaluation call."""

    async def answer(self, conversation: Conversation) -> Answer:
        """Never raises for a bad source, tool or model: the answer then comes from a lower rung or is a hand-over."""
        ...
