"""What the customer wants with an order, from all turns. Pure, and the same for the same turns.

A client that sends only texts gets the same proposal from the same turns, so its confirmation code can be compared.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from chatscale.api.v1alpha1.shopassistant import Language
from chatscale_assistant.answers.phrases import Phrase, starts_of
from chatscale_assistant.domain.conversation import Speaker, Turn
from chatscale_assistant.intent import (
    WRITES,
    Entities,
    Intent,
    Understanding,
    find_entities,
    split_questions,
    understand,
)
from chatscale_assistant.intent.patterns import GENERAL, ORDER_ADDRESS, ORDER_PAYMENT
from chatscale_assistant.language.scripts import fold

ABOUT_ORDERS: Final = WRITES | {Intent.ORDER_STATUS, Intent.ACCOUNT}
_NEEDS: Final = (
    Phrase.NEED_ORDER, Phrase.NEED_IDENTITY, Phrase.NEED_ITEMS, Phrase.NEED_NEW_ITEMS, Phrase.NEED_REASON,
    Phrase.NEED_PAYMENT, Phrase.NEED_ADDRESS, Phrase.NEED_ADDRESS_PARTS, Phrase.CONFIRM, Phrase.UNCLEAR_CONSENT,
)  # fmt: skip
_MARKS: Final = tuple(start for phrase in _NEEDS for start in starts_of(phrase))
_ADDRESS_NEEDS: Final = (Phrase.NEED_ADDRESS, Phrase.NEED_ADDRESS_PARTS, Phrase.CONFIRM)
_ITEM_NEEDS: Final = (Phrase.NEED_ITEMS, Phrase.NEED_NEW_ITEMS, Phrase.CONFIRM)
_REPEATS: Final = {
    Intent.CHANGE_ADDRESS: _ADDRESS_NEEDS,
    Intent.CHANGE_PROFILE_ADDRESS: _ADDRESS_NEEDS,
    Intent.EXCHANGE: _ITEM_NEEDS,
    Intent.CHANGE_ITEMS: _ITEM_NEEDS,
}
"""Intents that an answer to these phrases may name once more."""
_SHOWN: Final = ("Order #", "Status of order #", "La commande #", "État de la commande #", "订单 #")
"""Beginnings of the template of an order."""
_MAX_GOES_ON: Final = 80
"""Characters. A longer question says itself what it is about."""
_OWN_TOPICS: Final = frozenset({Intent.PERSON, Intent.OUT_OF_SCOPE, Intent.RECOMMEND, Intent.WHO_ANSWERS})
_MAX_BACK: Final = 6
"""Answers to the assistant's own questions that belong to one request."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """A request about orders."""

    intent: Intent
    entities: Entities
    """Of the request and of the answers to the assistant's questions; what was named later comes first."""
    question: str
    texts: tuple[str, ...] = ()
    """What the customer wrote about it, the latest first."""
    is_new: bool = True
    """The last turn itself is the request, not an answer to a question of the assistant."""


def read_wanted(turns: Sequence[Turn], language: Language) -> Wanted | None:
    """The open request about orders; None if the last turn is about something else."""
    later: list[Entities] = []
    texts: list[str] = []
    other: Wanted | None = None
    for index, turn in enumerate(_customer_backwards(turns)):
        text = _about_orders(turn.text, language)
        understood = understand(text, language)
        texts.append(text)
        intent = understood.intent
        if index == 0 and intent not in ABOUT_ORDERS and _goes_on_with_order(turns, understood):
            intent = Intent.ORDER_STATUS
        # An order's number in answer to a question of the assistant belongs to that question.
        is_request = bool(understood.matched) or not _answers_a_need(turns, turn, understood)
        # "my new address is ..." in answer to the question for it goes on with the request of the same kind before it.
        repeats = _repeats_request(turns, turn, understood)
        if intent in ABOUT_ORDERS and (is_request or repeats):
            entities = _merged([*later, understood.entities])
            if not entities.orders:
                entities = replace(entities, orders=_named_before(turns, language))
            found = Wanted(intent, entities, text, tuple(texts), index == 0)
            if not repeats:
                return found if other is None or _REPEATS.get(intent) == _REPEATS[other.intent] else other
            other = other or found
        if index >= _MAX_BACK or not (repeats or _answers_a_need(turns, turn, understood)):
            return other
        later.append(understood.entities)
    return other


def about_address(text: str) -> bool:
    """Whether a question about an order is about its address."""
    return ORDER_ADDRESS.search(fold(text)) is not None


def is_general(text: str) -> bool:
    """Whether a question is about the rules of the shop."""
    return GENERAL.search(fold(text)) is not None


def about_payment(text: str) -> bool:
    """Whether a question about an order is about its payment or refund."""
    return ORDER_PAYMENT.search(fold(text)) is not None


def _about_orders(text: str, language: Language) -> str:
    """Of several questions in one message the first one about orders; otherwise the message."""
    parts = split_questions(text, language)
    return next((part for part in parts if understand(part, language).intent in ABOUT_ORDERS), text)


def _goes_on_with_order(turns: Sequence[Turn], understood: Understanding) -> bool:
    """Whether a short question goes on with the order that the assistant has just shown."""
    if len(turns) < 2 or understood.intent in _OWN_TOPICS:  # noqa: PLR2004 - an answer and the question after it
        return False
    said, text = turns[-2].text, turns[-1].text
    shown = turns[-2].speaker is Speaker.ASSISTANT and any(mark in said for mark in _SHOWN)
    return shown and len(text) <= _MAX_GOES_ON and (about_address(text) or about_payment(text))


def _customer_backwards(turns: Sequence[Turn]) -> Iterator[Turn]:
    return (turn for turn in reversed(turns) if turn.speaker is Speaker.CUSTOMER)


def _answers_a_need(turns: Sequence[Turn], turn: Turn, understood: Understanding) -> bool:
    """Whether the turn follows a question of the assistant and has no other topic of its own."""
    said = _said_before(turns, turn)
    has_topic = bool(set(understood.matched) - {Intent.ORDER_STATUS, Intent.PRODUCT, Intent.THANKS, Intent.GREETING})
    return not has_topic and any(mark in said for mark in _MARKS)


def _repeats_request(turns: Sequence[Turn], turn: Turn, understood: Understanding) -> bool:
    """Whether the turn answers a question for a part of its own request: "the new address is ...", "换成蓝色"."""
    needs = _REPEATS.get(understood.intent, ())
    if not needs or understood.entities.orders:
        return False
    said = _said_before(turns, turn)
    return any(start in said for phrase in needs for start in starts_of(phrase))


def _said_before(turns: Sequence[Turn], turn: Turn) -> str:
    """What the assistant said directly before the turn; empty if it said nothing."""
    at = next(index for index in range(len(turns) - 1, -1, -1) if turns[index] is turn)
    return turns[at - 1].text if at and turns[at - 1].speaker is Speaker.ASSISTANT else ""


def _named_before(turns: Sequence[Turn], language: Language) -> tuple[str, ...]:
    """The order that the conversation was about last."""
    for turn in reversed(turns[:-1]):
        if orders := find_entities(turn.text, language).orders:
            return orders[:1] if turn.speaker is Speaker.CUSTOMER or len(orders) == 1 else ()
    return ()


def _merged(parts: Sequence[Entities]) -> Entities:
    """parts: the latest first."""
    return Entities(
        orders=_unique(each for part in parts for each in part.orders),
        ids=_unique(each for part in parts for each in part.ids),
        payment_methods=_unique(each for part in parts for each in part.payment_methods),
        reason=next((part.reason for part in parts if part.reason is not None), None),
    )


def _unique(values: Iterator[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(values))
