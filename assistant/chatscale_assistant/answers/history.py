"""What the conversation so far contains: the opening, answers that failed, a summary for the desk. Pure."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from chatscale.api.v1alpha1.shopassistant import Guardrails, Language, Persona
from chatscale_assistant.answers import wording
from chatscale_assistant.answers.hours import is_open, next_opening
from chatscale_assistant.answers.phrases import Phrase, say, starts_of
from chatscale_assistant.answers.plain_text import plain_text
from chatscale_assistant.domain.conversation import Conversation, Speaker, Turn
from chatscale_assistant.intent import Intent, understand
from chatscale_assistant.intent.patterns import WRITES

_MISSES: Final = (Phrase.NO_ANSWER, Phrase.NO_ANSWER_CONTACT)
_MAX_LINE: Final = 300
_MAX_SUMMARY: Final = 1500


def opening(persona: Persona, language: Language) -> str:
    """The sentence that says that an AI answers."""
    name = wording.shop_text(persona.name)
    if persona.shop:
        return say(Phrase.OPENING_SHOP, language, name=name, shop=wording.shop_text(persona.shop))
    return say(Phrase.OPENING, language, name=name)


def with_opening(text: str, turns: Sequence[Turn], persona: Persona, language: Language) -> str:
    """The answer, with the opening before the first answer of a conversation."""
    if not text or any(turn.speaker is not Speaker.CUSTOMER for turn in turns):
        return text
    space = "" if language is Language.CHINESE else " "
    return f"{opening(persona, language)}{space}{text}"


def no_answer(language: Language, persona: Persona, *, can_hand_over: bool) -> str:
    """Says that there is no answer; `count_misses` recognises it in a later request."""
    if persona.contact and not can_hand_over:
        return say(Phrase.NO_ANSWER_CONTACT, language, contact=wording.value_text(persona.contact))
    return say(Phrase.NO_ANSWER, language)


def count_misses(turns: Sequence[Turn]) -> int:
    """How many of the assistant's last answers in a row said that there is no answer."""
    starts = tuple(start for phrase in _MISSES for start in starts_of(phrase))
    # "I have no reliable answer to this." in any language; the first sentence is enough.
    marks = {start.split("。")[0].split(".")[0] for start in starts}
    count = 0
    for turn in reversed(turns):
        if turn.speaker is Speaker.CUSTOMER:
            continue
        if turn.speaker is Speaker.PERSON or not any(mark in turn.text for mark in marks):
            break
        count += 1
    return count


def hand_over_text(language: Language, guardrails: Guardrails, persona: Persona, now: datetime) -> str:
    """Says that a person takes over, and when; without a desk, how to reach a person."""
    desk = guardrails.hand_over
    if desk is None:
        if persona.contact:
            return say(Phrase.HAND_OVER_CONTACT, language, contact=wording.value_text(persona.contact))
        return say(Phrase.HAND_OVER_FAILED, language)
    hours = desk.opening_hours
    if hours is None or is_open(hours, now):
        return say(Phrase.HAND_OVER, language)
    opens = next_opening(hours, now)
    return say(Phrase.HAND_OVER_CLOSED, language, opens=wording.moment(opens, now.astimezone(opens.tzinfo), language))


def summarise(conversation: Conversation, language: Language, *, reason: str) -> str:
    """A summary for staff, in English, by code: who, why, which orders, what was wanted, the last words."""
    customer = [turn.text for turn in conversation.turns if turn.speaker is Speaker.CUSTOMER]
    seen = [understand(text, language) for text in customer]
    entities = [each.entities for each in seen]
    orders = dict.fromkeys(order for each in entities for order in each.orders)
    wanted = dict.fromkeys(each.intent for each in seen if each.intent in WRITES or each.intent in _TOPICS)
    lines = [
        f"Reason: {reason}",
        f"Customer: {conversation.customer.id if conversation.customer else 'not identified'}",
        f"Language: {language.value}",
        f"Orders: {', '.join(orders) or 'none named'}",
        f"Wanted: {', '.join(intent.value for intent in wanted) or 'unclear'}",
        f"Tone: {seen[-1].tone.value if seen else 'neutral'}",
        f"Unanswered questions: {count_misses(conversation.turns)}",
        *(f"Customer wrote: {_line(text)}" for text in customer[-2:]),
    ]
    return "\n".join(lines)[:_MAX_SUMMARY]


_TOPICS: Final = frozenset({Intent.ORDER_STATUS, Intent.PRODUCT, Intent.RECOMMEND, Intent.POLICY, Intent.ACCOUNT})


def _line(text: str) -> str:
    return " ".join(plain_text(text, limit=_MAX_LINE).split())
