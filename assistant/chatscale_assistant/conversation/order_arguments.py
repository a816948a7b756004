"""What a write needs beside the order: items, variants, an address, a payment method, from the customer's words. Pure.

What is missing becomes a question; what is unclear goes to a person.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from chatscale.api.v1alpha1.shopassistant import Language
from chatscale_assistant.answers.phrases import Phrase, say
from chatscale_assistant.answers.wording import address_lines, address_part, bullets, item_line, value_text
from chatscale_assistant.conversation.order_address import read_address
from chatscale_assistant.conversation.order_items import named_items
from chatscale_assistant.conversation.order_step import OrderOutcome
from chatscale_assistant.conversation.order_variants import exchanged_items, named_variants
from chatscale_assistant.conversation.order_wanted import Wanted
from chatscale_assistant.domain.answer import Draft
from chatscale_contract.assistant.extras import Rung

_MAX_CHOICES: Final = 8


class StoppedError(Exception):
    """The request ends here, with this outcome."""

    def __init__(self, outcome: OrderOutcome) -> None:
        super().__init__()
        self.outcome = outcome


def stopped_with(phrase: Phrase, language: Language, **values: str) -> OrderOutcome:
    """The outcome that says one phrase."""
    return OrderOutcome(Draft(say(phrase, language, **values), Rung.TEMPLATE, language))


def new_address(wanted: Wanted, language: Language) -> dict[str, str]:
    """All parts of the new address, those that it does not need empty.

    Raises StoppedError: with a question, or for a person if a text is unclear.
    """
    found = read_address(wanted.texts)
    if not found.is_clear:
        raise StoppedError(OrderOutcome(reason="not_supported"))
    if found.missing:
        parts = ", ".join(address_part(part, language) for part in found.missing)
        phrase = Phrase.NEED_ADDRESS_PARTS if found.parts else Phrase.NEED_ADDRESS
        known = address_lines(found.parts, language)
        raise StoppedError(stopped_with(phrase, language, parts=parts, known=known))
    return {"address2": "", "state": "", **found.parts}


def wanted_items(wanted: Wanted, order: Mapping[str, Any], language: Language, currency: str) -> list[str]:
    """The named items of the order; all of them if it has one only. Raises StoppedError with a question."""
    items = items_of(order)
    if len(items) == 1:
        return [str(items[0].get("item_id"))]
    if named := named_items(wanted.texts or (wanted.question,), items):
        return named
    raise _which_items(order, language, currency)


def given_back(wanted: Wanted, order: Mapping[str, Any], language: Language, currency: str) -> list[str]:
    """Ids of the items that the customer exchanges. Raises StoppedError with a question."""
    items = items_of(order)
    if named := exchanged_items(wanted.texts or (wanted.question,), items):
        return named
    raise _which_items(order, language, currency)


def _which_items(order: Mapping[str, Any], language: Language, currency: str) -> StoppedError:
    number, lines = value_text(order.get("order_id", "")), item_lines(items_of(order), language, currency)
    return StoppedError(stopped_with(Phrase.NEED_ITEMS, language, order=number, items=lines))


def named_by_id(wanted: Wanted, order: Mapping[str, Any]) -> list[str]:
    """Ids of new items that the customer writes."""
    ordered = {str(item.get("item_id")) for item in items_of(order)}
    return [each for each in wanted.entities.ids if each not in ordered]


def new_variant(
    wanted: Wanted, item: Mapping[str, Any], product: Mapping[str, Any], language: Language, currency: str
) -> str:
    """Id of the variant in stock that the customer names. Raises StoppedError: with a question, or for a person."""
    fitting, choices = named_variants(wanted.texts or (wanted.question,), item, product)
    in_stock = [each for each in fitting if each.get("available") is True]
    if len(in_stock) == 1:
        return str(in_stock[0].get("item_id"))
    if not choices:
        raise StoppedError(OrderOutcome(reason="not_supported"))
    name = {"name": product.get("name", "")}
    lines = item_lines([{**name, **each} for each in (in_stock or choices)[:_MAX_CHOICES]], language, currency)
    question = say(Phrase.NEED_NEW_ITEMS, language, items=lines)
    if fitting and not in_stock:
        question = f"{say(Phrase.OUT_OF_STOCK, language)}\n{question}"
    raise StoppedError(OrderOutcome(Draft(question, Rung.TEMPLATE, language)))


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
