# ruff: noqa: E501 - sentences in three languages
"""True sentences of a shop's answers, and the same sentences with one error each, for the fact check.

Deterministic: the same shop and count give the same cases.  Policy sentences restate rules in the same or another
language; product and order sentences come from the shop's data, in the form of the tau2 retail set.  Pure.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from hashlib import sha256
from itertools import product as combinations
from typing import Any, Final

from chatscale.api.v1alpha1.shopassistant import KnowledgeKind, Language
from chatscale_assistant.answers import wording
from chatscale_assistant.domain.evidence import Chunk, Evidence, ToolCall, ToolResult
from chatscale_assistant.evaluation.policy_facts import COURTESIES, FACTS, INVENTED, TITLES, PolicyFact

_EN, _FR, _ZH = Language.ENGLISH, Language.FRENCH, Language.CHINESE
_AT: Final = datetime(2026, 3, 1, tzinfo=UTC)


class ErrorKind(StrEnum):
    """What is wrong in a seeded sentence."""

    DIGIT = "digit"
    """One digit differs."""
    OTHER_SOURCE = "other_source"
    """The value of another rule."""
    UNIT = "unit"
    CURRENCY = "currency"
    DATE = "date"
    NEGATION = "negation"
    OTHER_PRODUCT = "other_product"
    """The price of another product or variant."""
    STATUS = "status"
    CODE = "code"
    INVENTED = "invented"
    """An action, a promise, a link, a code, a phone number or an e-mail that no source has."""


@dataclass(frozen=True, slots=True)
class Case:
    """One sentence to check."""

    sentence: str
    language: Language
    evidence: tuple[Evidence, ...]
    error: ErrorKind | None
    """None: the sentence is true."""
    cross_language: bool = False
    """The source has another language than the sentence."""


def policy_cases() -> Iterator[Case]:
    """All rules, all values, restated and reversed in three languages over sources in three languages."""
    for draft, source in combinations(Language, Language):
        for round_ in range(3):
            evidence, values = _handbook(source, round_)
            for fact, value in zip(FACTS, values, strict=True):
                for sentence, error in _policy_sentences(fact, value, values, draft, round_):
                    yield Case(sentence, draft, evidence, error, draft is not source)
    for draft, source in combinations(Language, Language):
        evidence, _ = _handbook(source, 0)
        for sentence in INVENTED[draft]:
            yield Case(sentence, draft, evidence, ErrorKind.INVENTED, draft is not source)
        for sentence in COURTESIES[draft]:
            yield Case(sentence, draft, evidence, None, draft is not source)


def product_cases(products: Mapping[str, Mapping[str, Any]], *, limit: int = 50) -> Iterator[Case]:
    """Prices and stock of variants, with prices of other variants and products, digits and currencies as errors."""
    chosen = sorted(products.values(), key=lambda each: _order(str(each["product_id"])))[:limit]
    for number, item in enumerate(chosen):
        other = chosen[(number + 1) % len(chosen)]
        variants = sorted(item["variants"].values(), key=lambda each: str(each["item_id"]))
        right, wrong = variants[0], next((v for v in variants[1:] if v["price"] != variants[0]["price"]), None)
        if wrong is None:
            continue
        evidence = (
            _result("get_product_details", {"name": item["name"], "product_id": item["product_id"], "variants": {v["item_id"]: v for v in variants}}),
            _result("get_product_details", {"name": other["name"], "product_id": other["product_id"], "variants": other["variants"]}),
        )  # fmt: skip
        for language in Language:
            yield from _variant_cases(item, right, wrong, other, language, evidence)


def order_cases(orders: Mapping[str, Mapping[str, Any]], *, limit: int = 60) -> Iterator[Case]:
    """Status, prices, tracking numbers and totals of orders."""
    chosen = sorted(orders.values(), key=lambda each: _order(str(each["order_id"])))[:limit]
    for order in chosen:
        evidence = (_result("get_order_details", order),)
        for language in Language:
            for sentence, error in _order_sentences(order, language):
                yield Case(sentence, language, evidence, error)


def all_cases(products: Mapping[str, Any], orders: Mapping[str, Any]) -> tuple[Case, ...]:
    """Every case of a shop."""
    return (*policy_cases(), *product_cases(products), *order_cases(orders))


def _handbook(language: Language, round_: int) -> tuple[tuple[Evidence, ...], tuple[str, ...]]:
    """One passage for each topic, with all its rules; and the value of each rule."""
    values = tuple(fact.values[round_ % len(fact.values)] if fact.values else "" for fact in FACTS)
    chunks = []
    for topic, titles in TITLES.items():
        sentences = [
            fact.source[language].format(**_written(fact.form, value, language))
            for fact, value in zip(FACTS, values, strict=True) if fact.topic == topic
        ]  # fmt: skip
        text = ("" if language is _ZH else " ").join(sentences)
        chunks.append(
            Chunk(
                sha256(text.encode()).hexdigest()[:16], "policies", KnowledgeKind.DOCUMENTS, titles[language], text, "1"
            )
        )
    return tuple(chunks), values


def _policy_sentences(
    fact: PolicyFact, value: str, values: Sequence[str], language: Language, round_: int
) -> Iterator[tuple[str, ErrorKind | None]]:
    forms = fact.restated[language]
    form = forms[round_ % len(forms)]
    yield form.format(**_written(fact.form, value, language)), None
    yield fact.reversed[language].format(**_written(fact.form, value, language)), ErrorKind.NEGATION
    if fact.form == "none":
        return
    yield form.format(**_written(fact.form, _one_digit_off(fact.form, value), language)), ErrorKind.DIGIT
    for other, found in zip(FACTS, values, strict=True):
        if other is not fact and other.form == fact.form and found != value:
            yield form.format(**_written(fact.form, found, language)), ErrorKind.OTHER_SOURCE
    if fact.form in _UNIT_CHANGES:
        yield form.format(**_written(_UNIT_CHANGES[fact.form], value, language)), ErrorKind.UNIT
    if fact.form == "money":
        yield form.format(**_written("euro", value, language)), ErrorKind.CURRENCY
    if fact.form == "date":
        shifted = (date.fromisoformat(value) + timedelta(days=31)).isoformat()
        yield form.format(**_written("date", shifted, language)), ErrorKind.DATE


_UNIT_CHANGES: Final = {"days": "hours", "business days": "days", "months": "days", "hours": "days", "percent": "money"}
_UNITS: Final = {
    "days": ("{} days", "{} jours", "{}天"),
    "hours": ("{} hours", "{} heures", "{}小时"),
    "months": ("{} months", "{} mois", "{}个月"),
    "business days": ("{} business days", "{} jours ouvrés", "{}个工作日"),
    "percent": ("{}%", "{} %", "{}%"),
    "money": ("${}", "{} $", "{}美元"),
    "euro": ("€{}", "{} €", "{}欧元"),
}
_MONTHS: Final = {
    _EN: ["January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December"],
    _FR: ["janvier", "février", "mars", "avril", "mai", "juin", "juillet", "août", "septembre", "octobre", "novembre", "décembre"],
}  # fmt: skip
_COLUMN: Final = {_EN: 0, _FR: 1, _ZH: 2}


def _written(form: str, value: str, language: Language) -> dict[str, str]:
    match form:
        case "date":
            day = date.fromisoformat(value)
            if language is _ZH:
                return {"v": f"{day.year}年{day.month}月{day.day}日"}
            return {"v": f"{day.day} {_MONTHS[language][day.month - 1]} {day.year}"}
        case "time":
            start, end = value.split("-")
            return {"v": _clock(start, language), "w": _clock(end, language)}
        case "none":
            return {}
        case _:
            number = value.replace(".", ",") if language is _FR else value
            joined = number.replace("-", {_EN: " to ", _FR: " à ", _ZH: "至"}[language])
            return {"v": _UNITS[form][_COLUMN[language]].format(joined)}


def _clock(text: str, language: Language) -> str:
    if language is _FR:
        hour, minute = text.split(":")
        return f"{int(hour)} h {minute}"
    return text


def _one_digit_off(form: str, value: str) -> str:
    """A value with one other digit that is still a value of the form."""
    if form == "date":
        return value[:-1] + str((int(value[-1]) + 1) % 9 or 1)
    if form == "time":
        return value.replace(value[1], str((int(value[1]) + 1) % 10), 1)
    place = next(i for i in range(len(value) - 1, -1, -1) if value[i].isdigit())
    return f"{value[:place]}{(int(value[place]) + 1) % 10}{value[place + 1 :]}"


def _variant_cases(
    item: Mapping[str, Any],
    right: Mapping[str, Any],
    wrong: Mapping[str, Any],
    other: Mapping[str, Any],
    language: Language,
    evidence: tuple[Evidence, ...],
) -> Iterator[Case]:
    form = {
        _EN: "The {name} ({options}) costs {price}.",
        _FR: "{name} ({options}) : le prix est de {price}.",
        _ZH: "{name}（{options}）的价格是{price}。",
    }[language]
    stock = {
        _EN: ("The {name} ({options}) is in stock.", "The {name} ({options}) is not available."),
        _FR: ("{name} ({options}) est disponible.", "{name} ({options}) n'est pas disponible."),
        _ZH: ("{name}（{options}）有货。", "{name}（{options}）没有货。"),
    }[language]
    named = {"name": item["name"], "options": wording.options(right["options"], language)}

    def case(text: str, error: ErrorKind | None) -> Case:
        return Case(text, language, evidence, error)

    price = wording.money(right["price"], language)
    yield case(form.format(**named, price=price), None)
    yield case(form.format(**named, price=wording.money(wrong["price"], language)), ErrorKind.OTHER_PRODUCT)
    yield case(form.format(**named, price=wording.money(round(right["price"] + 10, 2), language)), ErrorKind.DIGIT)
    yield case(form.format(**named, price=wording.money(right["price"], language, "GBP")), ErrorKind.CURRENCY)
    foreign = next(iter(other["variants"].values()))["price"]
    if all(foreign != each["price"] for each in item["variants"].values()):
        yield case(form.format(**named, price=wording.money(foreign, language)), ErrorKind.OTHER_PRODUCT)
    available = bool(right["available"])
    yield case(stock[0 if available else 1].format(**named), None)
    yield case(stock[1 if available else 0].format(**named), ErrorKind.NEGATION)


_STATUS_SENTENCE: Final = {
    _EN: "Order {id} is {status}.",
    _FR: "La commande {id} est {status}.",
    _ZH: "订单 {id} {status}。",
}
_PRICE_SENTENCE: Final = {
    _EN: "The {name} in order {id} costs {price}.",
    _FR: "Dans la commande {id}, {name} coûte {price}.",
    _ZH: "订单 {id} 中 {name} 的价格是{price}。",
}
_TRACKING_SENTENCE: Final = {
    _EN: "The tracking number of order {id} is {number}.",
    _FR: "Le numéro de suivi de la commande {id} est {number}.",
    _ZH: "订单 {id} 的快递单号是 {number}。",
}


def _order_sentences(order: Mapping[str, Any], language: Language) -> Iterator[tuple[str, ErrorKind | None]]:
    number, status = str(order["order_id"]), str(order["status"])
    yield _STATUS_SENTENCE[language].format(id=number, status=wording.state(status, language)), None
    other = next(each for each in ("delivered", "pending", "cancelled") if each != status)
    yield _STATUS_SENTENCE[language].format(id=number, status=wording.state(other, language)), ErrorKind.STATUS
    off = _one_digit_off("code", number)
    yield _STATUS_SENTENCE[language].format(id=off, status=wording.state(status, language)), ErrorKind.CODE
    items = order["items"]
    names = [item["name"] for item in items]
    for item in items:
        if names.count(item["name"]) > 1:
            continue
        values = {"id": number, "name": item["name"]}
        yield _PRICE_SENTENCE[language].format(**values, price=wording.money(item["price"], language)), None
        for foreign in items:
            if foreign["price"] != item["price"]:
                yield (
                    _PRICE_SENTENCE[language].format(**values, price=wording.money(foreign["price"], language)),
                    ErrorKind.OTHER_PRODUCT,
                )
    for tracking in (str(each) for part in order["fulfillments"] for each in part["tracking_id"]):
        yield _TRACKING_SENTENCE[language].format(id=number, number=tracking), None
        yield _TRACKING_SENTENCE[language].format(id=number, number=_one_digit_off("code", tracking)), ErrorKind.CODE


def _result(tool: str, data: Mapping[str, Any]) -> ToolResult:
    return ToolResult(ToolCall("orders", tool, {}), data, str(data), _AT)


def _order(key: str) -> str:
    return sha256(key.encode()).hexdigest()
