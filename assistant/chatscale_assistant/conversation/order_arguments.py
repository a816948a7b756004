"""What a write needs beside the order: items, variants, an address, a payment method, from the customer's words. Pure.

What is missing becomes a question; what is unclear goes to a person.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from chatscale.api.v1alpha1.shopassistant import Language
from chatscale_assistant.answers.phrases import Phrase, say
from chatscale_assistant.answers.wording import address_lines, address_part, bullets, item_line, value_text
from chatscale_assistant.conversation.order_address import read_address
from chatscale_assistant.conversation.order_items import named_items
from chatscale_assistant.conversation.order_step import OrderOutcome
from chatscale_assistant.conversation.order_wanted import Wanted
from chatscale_assistant.domain.answer import Draft
from chatscale_contract.assistant.extras import Rung


class StoppedError(Exception):
    """The request ends here, with this outcome."""

    def __init__(self, outcome: OrderOutcome) -> None:
        super().__init__()
        self.outcome = outcome


def stopped_with(phrase: Phrase, language: Language, **values: str) -> OrderOutcome:
    """The outcome that says one phrase."""
    return OrderOutcome(Draft(say(phrase, language, **values), Rung.TEMPLATE, language))


def new_address(wanted: Wanted, language: Language) -> dict[str, str]:
    """All parts of the new address. Raises StoppedError: with a question, or for a person if a text is unclear."""
    found = read_address(wanted.texts)
    if not found.is_clear:
        raise StoppedError(OrderOutcome(reason="not_supported"))
    if found.missing:
        parts = ", ".join(address_part(part, language) for part in found.missing)
        phrase = Phrase.NEED_ADDRESS_PARTS if found.parts else Phrase.NEED_ADDRESS
        known = address_lines(found.parts, language)
        raise StoppedError(stopped_with(phrase, language, parts=parts, known=known))
    return {"address2": "", **found.parts}


def wanted_items(wanted: Wanted, order: Mapping[str, Any], language: Language, currency: str) -> list[str]:
    """The named items of the order; all of them if it has one only. Raises StoppedError with a question."""
    items = items_of(order)
    if len(items) == 1:
        return [str(items[0].get("item_id"))]
    if named := named_items(wanted.texts or (wanted.question,), items):
        return named
    number, lines = value_text(order.get("order_id", "")), item_lines(items, language, currency)
    raise StoppedError(stopped_with(Phrase.NEED_ITEMS, language, order=number, items=lines))


def wanted_pairs(
    wanted: Wanted, order: Mapping[str, Any], language: Language, currency: str
) -> tuple[list[str], list[str]]:
    """Old and new items, which the customer names by their ids. Raises StoppedError."""
    old = wanted_items(wanted, order, language, currency)
    ordered = {str(item.get("item_id")) for item in items_of(order)}
    new = [each for each in wanted.entities.ids if each not in ordered]
    if len(new) != len(old):
        raise StoppedError(OrderOutcome(reason="not_supported"))
    return old, new


def items_of(order: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The items of an order."""
    return [item for item in list_of(order.get("items")) if isinstance(item, Mapping)]


def item_lines(items: Sequence[Mapping[str, Any]], language: Language, currency: str) -> str:
    """Items or variants, one a line."""
    return bullets(item_line(item, language, currency) for item in items)


def method_of(wanted: Wanted, order: Mapping[str, Any]) -> str:
    """The named payment method, or the one that the order was paid with."""
    if wanted.entities.payment_methods:
        return wanted.entities.payment_methods[0]
    paid = (each for each in list_of(order.get("payment_history")) if isinstance(each, Mapping))
    return next((str(each.get("payment_method_id", "")) for each in paid), "")


def mapping_of(value: Any) -> Mapping[str, Any]:
    """The value if it is an object; otherwise an empty one."""
    return value if isinstance(value, Mapping) else {}


def list_of(value: Any) -> list[Any]:
    """The value if it is a list; otherwise an empty one."""
    return list(value) if isinstance(value, list | tuple) else []
