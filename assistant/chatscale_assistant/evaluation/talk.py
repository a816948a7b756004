"""How the suites talk to an assistant: conversations with a fixed time, and a shop's tools that record every call."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from chatscale_assistant.domain.answer import Answer
from chatscale_assistant.domain.conversation import Conversation, Customer, Speaker, Turn
from chatscale_assistant.domain.evidence import ToolCall, ToolResult
from chatscale_assistant.errors import ToolFailedError

NOW: Final = datetime(2026, 11, 27, 12, 0, tzinfo=UTC)
"""Time of all conversations: a Friday, within opening hours."""


def conversation(
    text: str, *, identity: str = "evaluation", before: Sequence[Turn] = (), customer: Customer | None = None
) -> Conversation:
    """A conversation that ends with `text`."""
    return Conversation(identity, (*before, Turn(Speaker.CUSTOMER, text)), NOW, customer)


def reply(answer: Answer) -> Turn:
    """The answer as a turn of the next request."""
    return Turn(Speaker.ASSISTANT, answer.text)


def evidence_of(answer: Answer) -> list[str]:
    """The texts that an answer cites."""
    return [f"{each.title}\n{each.quote}" for each in answer.citations]


@dataclass(slots=True)
class RecordingTools:
    """A shop's tools over plain data. Writes succeed and are recorded: a suite counts them."""

    results: dict[str, Any] = field(default_factory=dict)
    """Data of a reading call by `TOOL:VALUE`, such as `get_order_details:#W1`."""
    writes: list[ToolCall] = field(default_factory=list)

    async def read(self, call: ToolCall, customer: Customer | None) -> ToolResult:
        """The data of the call's first argument. Raises ToolFailedError without any."""
        _ = customer
        key = f"{call.tool}:{next(iter(call.arguments.values()), '')}"
        if key not in self.results:
            raise ToolFailedError(f"tool {call.tool}: no data")
        return ToolResult(call, self.results[key], str(self.results[key]), NOW)

    async def write(self, call: ToolCall, conversation: Conversation) -> ToolResult:
        """Record the call."""
        self.writes.append(call)
        return ToolResult(call, {"status": "done"}, "done", NOW, receipt=conversation.id)


@dataclass(slots=True)
class RecordingDesk:
    """A desk that accepts every case."""

    cases: list[str] = field(default_factory=list)
    """Reasons."""

    async def hand_over(self, conversation: Conversation, *, summary: str, language: str, reason: str) -> bool:
        """Accept."""
        _ = conversation, summary, language
        self.cases.append(reason)
        return True

    async def has_person(self, conversation: Conversation) -> bool:
        """Nobody answers."""
        _ = conversation
        return False
