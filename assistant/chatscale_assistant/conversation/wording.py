"""What the flow of a turn needs from `answers`: texts for customers, and drafts from evidence."""

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from chatscale.api.v1alpha1.shopassistant import Language
from chatscale_assistant.domain.answer import Draft
from chatscale_assistant.domain.conversation import Conversation, Turn
from chatscale_assistant.domain.evidence import Hit
from chatscale_assistant.intent import Intent
from chatscale_contract.assistant.extras import CheckExtra


class Wording(Protocol):
    """Texts in the customer's language, written by hand."""

    def opening(self, language: Language) -> str:
        """Says that a program answers."""
        ...

    def sorry(self, language: Language) -> str:
        """To an angry customer."""
        ...

    def hand_over(self, language: Language, now: datetime) -> str:
        """A person takes over, and when people answer."""
        ...

    def waiting(self, language: Language, now: datetime) -> str:
        """A person will answer: for a customer who writes on after a hand-over."""
        ...

    def reach(self, language: Language) -> str:
        """How to reach the shop; empty if the persona has no contact."""
        ...

    def contact(self, language: Language) -> str:
        """How to reach a person, if the desk did not accept the case or there is none."""
        ...

    def no_answer(self, language: Language) -> str:
        """The assistant has no answer."""
        ...

    def out_of_scope(self, language: Language) -> str:
        """The request has nothing to do with the shop."""
        ...

    def small_talk(self, intent: Intent, language: Language) -> str:
        """An answer to a greeting, to thanks, and to the question who answers."""
        ...

    def misses(self, turns: Sequence[Turn]) -> int:
        """How many of the assistant's last answers in a row say that it has no answer."""
        ...

    def is_hand_over(self, text: str) -> bool:
        """Whether a message of the assistant says that a person takes over."""
        ...

    def summary(self, conversation: Conversation, language: Language, reason: str) -> str:
        """The case in a few lines, for staff."""
        ...


class Composer(Protocol):
    """Drafts from what retrieval found."""

    def compose(self, question: str, hits: Sequence[Hit], language: Language) -> Draft | None:
        """A curated reply, or sentences of the sources word for word; None if nothing answers."""
        ...

    def prompt(self, question: str, draft: Draft, language: Language) -> tuple[str, str]:
        """System and user message for the chat model."""
        ...

    def review(self, text: str, draft: Draft, language: Language) -> tuple[Draft | None, tuple[CheckExtra, ...]]:
        """What of the model's text a customer may read, and its checks; None if nothing of it."""
        ...
