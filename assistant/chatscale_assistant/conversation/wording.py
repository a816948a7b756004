"""What the flow of a turn needs from `answers`: texts for customers, and drafts from evidence."""

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from chatscale.api.v1alpha1.shopassistant import Language
from chatscale_assistant.domain.answer import Draft
from chatscale_assistant.domain.evidence import Evidence, Hit
from chatscale_assistant.intent import Intent


class Wording(Protocol):
    """Texts in the customer's language, written by hand."""

    def opening(self, language: Language) -> str:
        """Says that a program answers, and how to reach a person."""
        ...

    def hand_over(self, language: Language, *, opens_at: datetime | None) -> str:
        """A person takes over.  opens_at: when people answer again; None if they answer now."""
        ...

    def contact(self, language: Language) -> str:
        """How to reach a person, if the desk did not accept the case or there is none."""
        ...

    def waiting(self, language: Language) -> str:
        """A person has the case already."""
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

    def is_no_answer(self, text: str) -> bool:
        """Whether a message of the assistant says that it has no answer."""
        ...

    def is_hand_over(self, text: str) -> bool:
        """Whether a message of the assistant says that a person takes over."""
        ...


class Composer(Protocol):
    """Drafts from what retrieval found."""

    def curated(self, hits: Sequence[Hit], language: Language) -> Draft | None:
        """The shop's own reply; None if the best hit is none."""
        ...

    def quote(self, hits: Sequence[Hit], question: str, language: Language) -> Draft | None:
        """Sentences of the sources, word for word, with citations; None if no sentence answers."""
        ...

    def prompt(self, question: str, draft: Draft, language: Language) -> tuple[str, str]:
        """System and user message for the chat model."""
        ...

    def unsupported(self, text: str, evidence: Sequence[Evidence], language: Language) -> tuple[str, ...]:
        """Why sentences of the model are not supported by the evidence; empty if all are."""
        ...

    def is_in_language(self, text: str, language: Language) -> bool:
        """Whether the text has the language, apart from quotes."""
        ...
