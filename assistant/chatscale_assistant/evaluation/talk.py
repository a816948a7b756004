"""How the suites talk to an assistant: conversations with a fixed time, and a desk that accepts every case."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from chatscale_assistant.domain.answer import Answer
from chatscale_assistant.domain.conversation import Conversation, Customer, Speaker, Turn

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
