"""The seam to orders: what a turn does with tools. `order_flow` implements it."""

from dataclasses import dataclass
from typing import Protocol

from chatscale.api.v1alpha1.shopassistant import Language
from chatscale_assistant.domain.answer import Draft
from chatscale_assistant.domain.conversation import Conversation
from chatscale_assistant.intent import Understanding
from chatscale_contract.assistant.extras import CheckExtra


@dataclass(frozen=True, slots=True)
class OrderOutcome:
    """What the tools gave."""

    draft: Draft | None = None
    """None: a person must take over, for `reason`."""
    pending: str | None = None
    """The signed token of a proposal."""
    checks: tuple[CheckExtra, ...] = ()
    reason: str = ""


class OrderStep(Protocol):
    """Orders of the customer."""

    async def confirmed(self, conversation: Conversation, language: Language) -> OrderOutcome | None:
        """The answer to a yes or no that follows a proposal; None if the turn is neither."""
        ...

    async def answer(
        self, conversation: Conversation, understood: Understanding, language: Language
    ) -> OrderOutcome | None:
        """The answer to a question about the customer's orders; None if it is none."""
        ...
