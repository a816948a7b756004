"""Conditions of a shop's policy, as data, and their check against facts that reading tools returned.

A condition whose facts cannot be read is left to the shop's server.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, assert_never

CUSTOMER_FACT: Final = "customer"
"""Name of the fact with the customer's profile. Other facts have the name of the parameter that they were read for."""


@dataclass(frozen=True, slots=True)
class FieldIn:
    """A field of a fact has one of the values."""

    name: str
    fact: str
    field: str
    values: frozenset[str]


@dataclass(frozen=True, slots=True)
class FieldAbsent:
    """A field of a fact is missing, null or empty."""

    name: str
    fact: str
    field: str


@dataclass(frozen=True, slots=True)
class ArgumentIn:
    """An argument has one of the values."""

    name: str
    argument: str
    values: frozenset[str]


@dataclass(frozen=True, slots=True)
class ItemsWithin:
    """The ids of an argument, not empty, are in a list of objects of a fact, each no more often than there."""

    name: str
    argument: str
    fact: str
    field: str
    id_field: str


@dataclass(frozen=True, slots=True)
class KeyOf:
    """An argument is a key of an object in a fact."""

    name: str
    argument: str
    fact: str
    field: str


@dataclass(frozen=True, slots=True)
class Paired:
    """Two lists have the same length, and no pair has twice the same id."""

    name: str
    first: str
    second: str
    may_be_equal: bool = False


@dataclass(frozen=True, slots=True)
class PaymentDiffers:
    """An order has exactly one payment, and the argument names another method."""

    name: str
    argument: str
    fact: str


@dataclass(frozen=True, slots=True)
class RefundTarget:
    """The argument is the method of the order's first payment, or a gift card of the customer."""

    name: str
    argument: str
    fact: str


@dataclass(frozen=True, slots=True)
class GiftCardCovers:
    """If the argument is a gift card, its balance covers the order's first payment, or the price difference."""

    name: str
    argument: str
    fact: str
    difference: tuple[str, str] | None = None
    """Parameters with the old and the new items; None: the order's payment."""


@dataclass(frozen=True, slots=True)
class SameProduct:
    """Each new item is an available variant of the same product as the old item in its place."""

    name: str
    old: str
    new: str
    fact: str


Condition = (
    FieldIn
    | FieldAbsent
    | ArgumentIn
    | ItemsWithin
    | KeyOf
    | Paired
    | PaymentDiffers
    | RefundTarget
    | GiftCardCovers
    | SameProduct
)


@dataclass(frozen=True, slots=True)
class Situation:
    """What conditions are checked against."""

    arguments: Mapping[str, Any]
    facts: Mapping[str, Any]
    """By name: data of a result."""
    products: Mapping[str, Any]
    """By product id: data of a result. Empty if products cannot be read."""


def first_broken(conditions: Sequence[Condition], situation: Situation) -> Condition | None:
    """The first condition that does not hold; None if all hold.

    A fact that was not read leaves its conditions to the server; a fact of an unexpected shape breaks them.
    """
    for condition in conditions:
        fact = getattr(condition, "fact", None)
        if fact is not None and fact not in situation.facts:
            continue
        try:
            if not _holds(condition, situation):
                return condition
        except (KeyError, TypeError, AttributeError, IndexError, ValueError):
            return condition
    return None


def first_broken_state(conditions: Sequence[Condition], facts: Mapping[str, Any]) -> Condition | None:
    """The first condition that no argument has a part in, and that does not hold; None if all such hold."""
    about_state = [each for each in conditions if isinstance(each, FieldIn | FieldAbsent)]
    return first_broken(about_state, Situation({}, facts, {}))


def _holds(condition: Condition, at: Situation) -> bool:  # noqa: PLR0911 - one return for each kind
    match condition:
        case FieldIn():
            return at.facts[condition.fact][condition.field] in condition.values
        case FieldAbsent():
            return not at.facts[condition.fact].get(condition.field)
        case ArgumentIn():
            return at.arguments[condition.argument] in condition.values
        case ItemsWithin():
            return _within(condition, at)
        case KeyOf():
            return at.arguments[condition.argument] in at.facts[condition.fact][condition.field]
        case Paired():
            return _paired(condition, at)
        case SameProduct():
            return _same_product(condition, at)
        case PaymentDiffers() | RefundTarget() | GiftCardCovers():
            return _payment_holds(condition, at)
        case _:
            assert_never(condition)


def _payment_holds(condition: PaymentDiffers | RefundTarget | GiftCardCovers, at: Situation) -> bool:
    method, payments = at.arguments[condition.argument], at.facts[condition.fact]["payment_history"]
    match condition:
        case PaymentDiffers():
            only = len(payments) == 1 and payments[0]["transaction_type"] == "payment"
            return only and payments[0]["payment_method_id"] != method
        case RefundTarget():
            return method == payments[0]["payment_method_id"] or _gift_card(method, at) is not None
        case GiftCardCovers():
            return _covers(condition, at)
        case _:
            assert_never(condition)


def _within(condition: ItemsWithin, at: Situation) -> bool:
    wanted = Counter(at.arguments[condition.argument])
    present = Counter(each[condition.id_field] for each in at.facts[condition.fact][condition.field])
    return bool(wanted) and wanted <= present


def _paired(condition: Paired, at: Situation) -> bool:
    first, second = at.arguments[condition.first], at.arguments[condition.second]
    if len(first) != len(second):
        return False
    return condition.may_be_equal or all(one != other for one, other in zip(first, second, strict=True))


def _gift_card(method: str, at: Situation) -> Mapping[str, Any] | None:
    """The gift card with this id in the customer's profile. Without a profile: by the prefix of its id."""
    profile = at.facts.get(CUSTOMER_FACT)
    if profile is None:
        return {} if method.startswith("gift_card_") else None
    found = profile["payment_methods"].get(method)
    return found if found is not None and found["source"] == "gift_card" else None


def _covers(condition: GiftCardCovers, at: Situation) -> bool:
    card = _gift_card(at.arguments[condition.argument], at)
    if card is None or "balance" not in card:
        return True
    if condition.difference is None:
        amount = at.facts[condition.fact]["payment_history"][0]["amount"]
    else:
        pairs = _variant_pairs(*condition.difference, condition.fact, at)
        if pairs is None:
            return True
        amount = round(sum(new["price"] - old["price"] for old, new in pairs), 2)
    return bool(card["balance"] >= amount)


def _same_product(condition: SameProduct, at: Situation) -> bool:
    pairs = _variant_pairs(condition.old, condition.new, condition.fact, at)
    return pairs is None or all(new["available"] is True for _, new in pairs)


def _variant_pairs(old: str, new: str, fact: str, at: Situation) -> list[tuple[Any, Any]] | None:
    """Item of the order and its new variant; None if no product can be read. Raises KeyError for no such variant."""
    if not at.products:
        return None
    items = {each["item_id"]: each for each in at.facts[fact]["items"]}
    return [
        (items[one], at.products[items[one]["product_id"]]["variants"][other])
        for one, other in zip(at.arguments[old], at.arguments[new], strict=True)
    ]
