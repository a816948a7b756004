"""Products of a catalogue as an answer: one with its variants, several that are compared or recommended. Pure."""

import re
from collections.abc import Sequence
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from typing import Final

from chatscale.api.v1alpha1.shopassistant import KnowledgeKind, Language
from chatscale_assistant.answers import wording
from chatscale_assistant.answers.phrases import Phrase, say
from chatscale_assistant.answers.plain_text import plain_text
from chatscale_assistant.domain.answer import Draft
from chatscale_assistant.domain.evidence import Chunk, Hit
from chatscale_assistant.intent.patterns import PATTERNS, Intent
from chatscale_assistant.language.concepts import terms
from chatscale_assistant.language.quantities import FactKind, find_facts
from chatscale_assistant.language.scripts import fold
from chatscale_assistant.retrieval.glossary import concepts
from chatscale_contract.assistant.extras import CitationExtra, Rung

MIN_COMPARED: Final = 0.1
"""Confidence of a product that a comparison names: each one lacks the words for the other."""
MIN_RECOMMENDED: Final = 0.1
"""Confidence of a product that may fit. A recommendation claims nothing but what the catalogue says."""
_MAX_PRODUCTS: Final = 3
_MAX_FIELDS: Final = 6
_MAX_CACHED: Final = 4096
_ID_FIELDS: Final = ("id", "image", "url", "link", "sku")
_CURRENCY_FIELDS: Final = frozenset({"currency", "devise", "货币", "币种"})
"""Shown with the price."""
_PRICE_FIELDS: Final = ("price", "prix", "价格")
_COMPARES: Final = re.compile(
    r"\bcompar\w*|\bdifference\b|\bwhich (?:one )?(?:is|of)\b|\b(?:cheaper|better|versus|vs)\b|\bor\b|\bou\b|\bmoins cher|\bmieux\b|\bplutot\b|哪个|哪款|还是|比较|对比|区别|不同|不一样|差别"
)
_AT_MOST: Final = re.compile(
    r"\b(?:under|below|less than|cheaper than|up to|at most|maximum|max|moins de|jusqu'a|pas plus de)\b|以下|以内|低于|不超过|之内"
)


def recommends(question: str) -> bool:
    """Whether the customer wants to be shown products that may fit."""
    return PATTERNS[Intent.RECOMMEND].search(fold(question)) is not None


def product_draft(question: str, hits: Sequence[Hit], language: Language, currency: str) -> Draft | None:
    """hits: the first one is a product.  None if no product is below the price that the customer names."""
    found = [hit for hit in hits if hit.chunk.kind is KnowledgeKind.CATALOGUE]
    folded = fold(question)
    if recommends(question):
        shown = _one_each(found, MIN_RECOMMENDED, _limit(question, folded, language))
        head = say(Phrase.PRODUCTS_FOUND, language) + "\n"
    elif _COMPARES.search(folded) and len(compared := _one_each(_named(found, question), MIN_COMPARED)) > 1:
        shown, head = compared, ""
    else:
        shown, head = _variants(question, [hit.chunk for hit in found]), ""
    if not shown:
        return None
    return Draft(
        head + "\n".join(product_line(chunk, language, currency) for chunk in shown), Rung.QUOTE, language, tuple(shown),
        tuple(_citation(chunk) for chunk in shown),
    )  # fmt: skip


def product_line(chunk: Chunk, language: Language, currency: str = "") -> str:
    """A row of a catalogue in one line: name, price, stock, properties, as the row has them."""
    return _line(chunk.title, tuple(chunk.fields.items()), language, currency)


@lru_cache(maxsize=_MAX_CACHED)
def _line(title: str, fields: tuple[tuple[str, str], ...], language: Language, currency: str) -> str:
    parts = []
    for name, value in fields:
        folded = name.casefold()
        if (
            not value.strip()
            or value == title
            or folded in _CURRENCY_FIELDS
            or any(part in folded.replace("_", " ").split() for part in _ID_FIELDS)
        ):
            continue
        is_price = folded in _PRICE_FIELDS
        shown = wording.money(value, language, currency) if is_price else wording.option_value(value, language)
        parts.append(f"{wording.option_name(name, language)}{wording.colon(language)}{shown}")
    joined = ("；" if language is Language.CHINESE else "; ").join(parts[:_MAX_FIELDS])
    return f"{wording.shop_text(title)} – {joined}" if joined else wording.shop_text(title)


def _variants(question: str, products: Sequence[Chunk]) -> list[Chunk]:
    """Rows of the best product, those first that the question describes."""
    same = [chunk for chunk in products if chunk.title == products[0].title]
    wanted = terms(question)
    same.sort(key=lambda chunk: -len(wanted & _terms_of_row(" ".join(chunk.fields.values()))))
    return same[:_MAX_PRODUCTS]


def _named(hits: Sequence[Hit], question: str) -> list[Hit]:
    """Products that share a word of their name with the question, in any language."""
    wanted, shop_words = terms(question), _shop_words(question)
    return [hit for hit in hits if wanted & terms(hit.chunk.title) or shop_words & _shop_words(hit.chunk.title)]


def _shop_words(text: str) -> frozenset[tuple[str, ...]]:
    return frozenset(map(tuple, concepts(text)))


def _one_each(hits: Sequence[Hit], least: float, limit: Decimal | None = None) -> list[Chunk]:
    """The best row of each product."""
    chosen: dict[str, Chunk] = {}
    for hit in hits:
        price = _price(hit.chunk)
        if hit.confidence >= least and (limit is None or (price is not None and price <= limit)):
            chosen.setdefault(hit.chunk.title, hit.chunk)
    return list(chosen.values())[:_MAX_PRODUCTS]


def _limit(question: str, folded: str, language: Language) -> Decimal | None:
    """The highest price that the customer names."""
    if not _AT_MOST.search(folded):
        return None
    facts = [each for each in find_facts(question, language) if each.kind in {FactKind.MONEY, FactKind.NUMBER}]
    return next((Decimal(str(each.number)) for each in facts if each.number is not None), None)


def _price(chunk: Chunk) -> Decimal | None:
    value = next((value for name, value in chunk.fields.items() if name.casefold() in _PRICE_FIELDS), "")
    try:
        return Decimal(value)
    except InvalidOperation:
        return None


def _citation(chunk: Chunk) -> CitationExtra:
    title = wording.shop_text(chunk.title)
    return CitationExtra(source=chunk.source, title=title, quote=_shown_row(chunk.text), version=chunk.version)


@lru_cache(maxsize=_MAX_CACHED)
def _shown_row(text: str) -> str:
    return plain_text(text, limit=400)


@lru_cache(maxsize=_MAX_CACHED)
def _terms_of_row(text: str) -> frozenset[str]:
    return terms(text)
