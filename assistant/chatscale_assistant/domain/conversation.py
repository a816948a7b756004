"""A conversation as the request carries it. The assistant stores none."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from chatscale_contract.assistant.extras import HandOverState


class Speaker(StrEnum):
    """Who wrote a turn."""

    CUSTOMER = "customer"
    ASSISTANT = "assistant"
    PERSON = "person"
    """Staff of the shop: a message with role `assistant` and name `person`."""


@dataclass(frozen=True, slots=True)
class Turn:
    """Consecutive messages of one speaker, joined by line breaks."""

    speaker: Speaker
    text: str


@dataclass(frozen=True, slots=True)
class Customer:
    """A customer for whom the shop vouches."""

    id: str
    """The value of `spec.identity.customerClaim`."""
    claims: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Conversation:
    """One request's view of a conversation, oldest turn first. The last turn is the customer's."""

    id: str
    turns: tuple[Turn, ...]
    now: datetime
    """When the request arrived; timezone-aware."""
    customer: Customer | None = None
    """None: unknown, or the token is invalid."""
    pending: str = ""
    """The signed token that the client sent back; empty if none."""
    hand_over: HandOverState | None = None
    named: bool = True
    """Whether the client gave the id. Otherwise it comes from the first message, and two customers may share it."""

    @property
    def question(self) -> str:
        """What the customer wrote last."""
        return self.turns[-1].text if self.turns else ""
