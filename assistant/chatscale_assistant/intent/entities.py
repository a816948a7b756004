"""What a message names: orders, items, payment methods, e-mails, postcodes, quantities, dates, the reason. Pure."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, TypeVar

from chatscale.api.v1alpha1.shopassistant import Language
from chatscale_assistant.language.address_words import NUMBERED_UNIT
from chatscale_assistant.language.quantities import FactKind, find_facts
from chatscale_assistant.language.scripts import fold, normalise


class CancelReason(StrEnum):
    """Reasons that the retail tools accept for a cancellation."""

    NO_LONGER_NEEDED = "no longer needed"
    ORDERED_BY_MISTAKE = "ordered by mistake"


@dataclass(frozen=True, slots=True)
class Entities:
    """Each in the order of the message, without repeats."""

    orders: tuple[str, ...] = ()
    """As `#W1234567`."""
    ids: tuple[str, ...] = ()
    """Product and item ids: ten digits."""
    payment_methods: tuple[str, ...] = ()
    emails: tuple[str, ...] = ()
    postcodes: tuple[str, ...] = ()
    quantities: tuple[int, ...] = ()
    dates: tuple[str, ...] = ()
    """As `language.dates` writes them: `2026-03-05`, `--03-05`, `tomorrow`."""
    reason: CancelReason | None = None


_ORDER: Final = re.compile(r"#\s?([A-Z]{0,2}\s?\d{4,12})(?!\d)|(?<![A-Za-z0-9])(W\s?\d{7})(?!\d)", re.IGNORECASE)
_ORDER_WORD: Final = re.compile(
    r"(?:order|commande|订单)(?:\s?(?:number|numero|numéro|no|nr|n°|nº|id|号码?|编号))?\s?(?:is|est|是|为)?\s?[:#.]?\s?(\d{7})(?!\d)",
    re.IGNORECASE,
)
_ID: Final = re.compile(r"(?<![\d#A-Za-z_-])\d{10}(?!\d)")
_PAYMENT: Final = re.compile(r"\b(?:credit_card|gift_card|paypal)_\d+\b", re.IGNORECASE)
_EMAIL: Final = re.compile(r"[A-Za-z0-9._%+-]+@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+")
_POSTCODE: Final = re.compile(
    r"(?:zip(?: ?code)?|post(?:al)? ?code|postcode|code postal|邮编|邮政编码)\s?(?:is|est|是|为)?\s?[:.]?\s?(\d{5,6})(?!\d)|(?<![\d#$€£¥.,A-Za-z_-])(\d{5})(?![\d.,]|\s?(?:[€$%]|[A-Za-z]{1,2}\b))",
    re.IGNORECASE,
)
_MISTAKE: Final = re.compile(
    r"\b(?:by mistake|mistaken\w*|accident\w*|wrong (?:item|order|one|product)|didn't mean|did not mean|ordered twice|duplicate|error|"
    r"par erreur|par accident|trompe\w*|mauvais(?:e)? (?:article|produit|commande)|en double|deux fois)\b|下错|买错|拍错|误下|误操作|点错|重复下单|不小心|手滑|选错"
)
_NOT_NEEDED: Final = re.compile(
    r"\b(?:no longer (?:need\w*|want\w*)|(?:don't|do not|dont) (?:need|want)(?: \w+)? (?:it |them |this )?(?:any ?more|anymore|now)|don't need (?:it|them)|changed my mind|not needed|no need|"
    r"plus besoin|n'en (?:veux|ai) plus|ne (?:la |le |les )?(?:veux|voulons) plus|change d'avis|plus (?:utile|necessaire))\b|不需要|不想要|不要了|改变主意|不用了|用不着|不买了"
)
_MAX_QUANTITY: Final = 1000
_T = TypeVar("_T")


def find_entities(text: str, language: Language) -> Entities:
    """Everything that the message names."""
    plain, folded = normalise(text), fold(text)
    facts = find_facts(plain, language)
    with_orders = NUMBERED_UNIT.sub(" ", plain)
    return Entities(
        orders=_unique(_order(found) for found in _found(_ORDER, with_orders) + _found(_ORDER_WORD, with_orders)),
        ids=_unique(_ID.findall(plain)),
        payment_methods=_unique(match.casefold() for match in _PAYMENT.findall(plain)),
        emails=_unique(match.casefold() for match in _EMAIL.findall(plain)),
        postcodes=_unique(_found(_POSTCODE, plain)),
        quantities=_unique(
            int(fact.number) for fact in facts
            if fact.kind is FactKind.NUMBER and not fact.unit and fact.number is not None
            and fact.number == fact.number.to_integral_value() and fact.number <= _MAX_QUANTITY
        ),
        dates=_unique(fact.value for fact in facts if fact.kind is FactKind.DATE),
        reason=_reason(folded),
    )  # fmt: skip


def _reason(folded: str) -> CancelReason | None:
    if _MISTAKE.search(folded):
        return CancelReason.ORDERED_BY_MISTAKE
    return CancelReason.NO_LONGER_NEEDED if _NOT_NEEDED.search(folded) else None


def _found(pattern: re.Pattern[str], text: str) -> list[str]:
    return [next(filter(None, match.groups())) for match in pattern.finditer(text)]


def _order(text: str) -> str:
    compact = re.sub(r"\s", "", text).upper()
    return f"#{compact}" if compact[0].isalpha() or len(compact) != 7 else f"#W{compact}"  # noqa: PLR2004 - tau2's ids


def _unique(found: Iterable[_T]) -> tuple[_T, ...]:
    return tuple(dict.fromkeys(found))
