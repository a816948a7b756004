"""The assistant's texts and drafts, from `answers`, for one shop. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Final

from typing_extensions import override

from chatscale.api.v1alpha1.shopassistant import FactCheck, Guardrails, KnowledgeKind, Language, Persona
from chatscale_assistant.answers import history
from chatscale_assistant.answers.hours import is_open
from chatscale_assistant.answers.phrases import Phrase, say, starts_of
from chatscale_assistant.answers.plain_text import links_of
from chatscale_assistant.answers.products import recommends
from chatscale_assistant.answers.prompt import build_prompt
from chatscale_assistant.answers.quotes import curated_draft, quote_draft
from chatscale_assistant.answers.wording import value_text
from chatscale_assistant.answers.written import review_written
from chatscale_assistant.conversation.wording import Composer, Wording
from chatscale_assistant.domain.answer import Draft
from chatscale_assistant.domain.conversation import Conversation, Turn
from chatscale_assistant.domain.evidence import Chunk, Hit
from chatscale_assistant.intent import Intent, is_complaint
from chatscale_contract.assistant.extras import CheckExtra

MIN_CURATED: Final = 0.88
"""Confidence from which a question is the one of a curated reply. The reply is not about anything else in the question,
so it needs more certainty than a quote."""
MIN_QUOTED: Final = 0.5
"""Confidence of the best passage, where a curated reply came first and is not used."""
CURRENCY_FIELD: Final = "currency"
"""Column of a catalogue with the ISO 4217 code of its prices."""
_CODE_LENGTH: Final = 3
_TALK: Final = {
    Intent.GREETING: Phrase.GREETING,
    Intent.THANKS: Phrase.THANKS,
    Intent.GOODBYE: Phrase.GOODBYE,
    Intent.WHO_ANSWERS: Phrase.WHO_ANSWERS,
}
_HAND_OVERS: Final = tuple(
    start for phrase in (Phrase.HAND_OVER, Phrase.HAND_OVER_CLOSED) for start in starts_of(phrase)
)


@dataclass(frozen=True, slots=True)
class ShopWording(Wording):
    """Texts of one shop."""

    persona: Persona
    guardrails: Guardrails

    @override
    def opening(self, language: Language) -> str:
        return history.opening(self.persona, language)

    @override
    def sorry(self, language: Language) -> str:
        return say(Phrase.SORRY, language)

    @override
    def hand_over(self, language: Language, now: datetime) -> str:
        return history.hand_over_text(language, self.guardrails, self.persona, now)

    @override
    def waiting(self, language: Language, now: datetime) -> str:
        hours = self.guardrails.hand_over.opening_hours if self.guardrails.hand_over else None
        if hours is not None and not is_open(hours, now):
            return self.hand_over(language, now)
        return say(Phrase.HAND_OVER_WAITING, language)

    @override
    def reach(self, language: Language) -> str:
        if not self.persona.contact:
            return ""
        return say(Phrase.CONTACT, language, contact=value_text(self.persona.contact))

    @override
    def contact(self, language: Language) -> str:
        if self.persona.contact:
            return say(Phrase.HAND_OVER_CONTACT, language, contact=value_text(self.persona.contact))
        return say(Phrase.HAND_OVER_FAILED, language)

    @override
    def no_answer(self, language: Language) -> str:
        return history.no_answer(language, self.persona, can_hand_over=self.guardrails.hand_over is not None)

    @override
    def out_of_scope(self, language: Language) -> str:
        return say(Phrase.OUT_OF_SCOPE, language)

    @override
    def small_talk(self, intent: Intent, language: Language) -> str:
        return say(_TALK.get(intent, Phrase.SMALL_TALK), language)

    @override
    def misses(self, turns: Sequence[Turn]) -> int:
        return history.count_misses(turns)

    @override
    def is_hand_over(self, text: str) -> bool:
        return any(start in text for start in _HAND_OVERS)

    @override
    def summary(self, conversation: Conversation, language: Language, reason: str) -> str:
        return history.summarise(conversation, language, reason=reason)


@dataclass(frozen=True, slots=True)
class ShopComposer(Composer):
    """Drafts of one shop."""

    persona: Persona
    facts: FactCheck = FactCheck.ENFORCE

    @override
    def compose(self, question: str, hits: Sequence[Hit], language: Language) -> Draft | None:
        if is_complaint(question):  # for a person, unless the shop has a reply
            hits = [hit for hit in hits if hit.chunk.kind is KnowledgeKind.REPLIES]
        elif recommends(question) and any(hit.chunk.kind is KnowledgeKind.CATALOGUE for hit in hits):
            hits = [hit for hit in hits if hit.chunk.kind is KnowledgeKind.CATALOGUE]
        if not hits:
            return None
        best = hits[0]
        if best.chunk.kind is KnowledgeKind.REPLIES:
            draft = curated_draft(best, language) if best.confidence >= MIN_CURATED else None
            if draft is not None:
                return draft
            hits = [hit for hit in hits if hit.chunk.kind is not KnowledgeKind.REPLIES]
            if not hits or hits[0].confidence < MIN_QUOTED:
                return None
        currency = self._currency(hit.chunk for hit in hits)
        return quote_draft(question, hits, language, currency=currency, links=self._links)

    @override
    def prompt(self, question: str, draft: Draft, language: Language) -> tuple[str, str]:
        prompt = build_prompt(question, draft.evidence, language, self.persona)
        return prompt.system, prompt.user

    @override
    def review(self, text: str, draft: Draft, language: Language) -> tuple[Draft | None, tuple[CheckExtra, ...]]:
        currency = self._currency(item for item in draft.evidence if isinstance(item, Chunk))
        written = review_written(text, draft.evidence, language, facts=self.facts, currency=currency, links=self._links)
        return written.draft, written.checks

    @property
    def _links(self) -> frozenset[str]:
        """The shop's own addresses; no other address reaches a customer."""
        return _links_of_shop("\n".join((*self.persona.links, self.persona.contact)))

    def _currency(self, chunks: Iterable[Chunk]) -> str:
        """The currency of a catalogue's prices, otherwise the shop's; empty if there is none."""
        for chunk in chunks:
            found = chunk.fields.get(CURRENCY_FIELD, "").strip()
            if len(found) == _CODE_LENGTH and found.isalpha():
                return found.upper()
        return self.persona.currency


@lru_cache(maxsize=1)
def _links_of_shop(text: str) -> frozenset[str]:
    return links_of(text)
