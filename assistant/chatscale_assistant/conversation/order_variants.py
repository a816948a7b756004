"""Which variant of a product a customer wants instead of an item, by the values of its options. Pure.

A variant counts only if it is the item with nothing else changed than what the customer names.
"""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from chatscale_assistant.answers.wording import known_values
from chatscale_assistant.conversation.order_items import named_items, values_named
from chatscale_assistant.language.scripts import MAX_READ, fold, normalise, shortened

_SIZES: Final = ("XS", "S", "M", "L", "XL", "XXL")
_INSTEAD: Final = re.compile(
    r"(?:\b(?:exchang|swap|replac|chang|modif|échang|remplac)\w*\b.*?\b(?:for|with|to|into|against|contre|par|pour|en)\b"
    r"|(?:换成|换为|改成|改为|换一(?:个|件|双|款)?|换(?:个|件|双|款)))(?P<new>.+)",
    re.IGNORECASE | re.DOTALL,
)
"""What follows is wanted instead."""

_MAX_VARIANTS: Final = 200
"""Of a product, those first that are most like the item: the request waits on this work, and all others with it."""
_CLAUSES: Final = re.compile(r"[,;!?、。\n]+|\.(?!\d)")
_NEGATION: Final = re.compile(
    r"(?<!why )\bnot\b|\bcannot\b|n't\b|\b(?:do|does|is|ca|wo)nt\b|\bnever\b|\bno\s(?!(?:the|an?|it|i|size)\b)"
    r"|\b(?:none|neither|nor|without|avoid)\b|\bexcept|\bexclud|\bhates?\b|\bdislikes?\b|\b(?:other|rather) than\b"
    r"|\bapart from\b|\binstead of\b|\b(?:any|every|all)\w*(?: \w+)? but\b"
    r"|(?<!pourquoi )\bpas\b|\bn(?:e |')\w+ (?:plus|jamais)\b|\b(?:sauf|sans|ni|hormis|excepte|aucune?|deteste)\b"
    r"|\b(?:et|mais) non\b|\bautres? que\b|\bplutot que\b|\bau lieu d|\ba part\b"
    r"|不(?:想|喜欢|选|换|含|带)|不用(?!谢)|不可?以|(?<!要)不要|(?<!是)不是|(?<!能)不能|(?<!行)不行|(?<!有)没有|别(?!的|人)"
    r"|除了|除外|以外|之外|而非|勿|讨厌"
)
"""On folded text. A value after it in the clause is not wanted; if none follows (`红色不要`), those before it."""


def exchanged_items(texts: Sequence[str], items: Sequence[Mapping[str, Any]]) -> list[str]:
    """Ids of the items that the customer gives back; empty if it is not clear.

    texts: the latest first.  A name may be corrected later; a colour alone says which item only until one is found.
    """
    if len(items) == 1:
        return [str(items[0].get("item_id"))]
    given = [_parts(text)[0] for text in texts]
    return named_items(given, items, by_options=False) or named_items(given[::-1], items)


def named_variants(
    texts: Sequence[str], item: Mapping[str, Any], product: Mapping[str, Any]
) -> tuple[list[Mapping[str, Any]], list[Mapping[str, Any]]]:
    """Variants that fit what the customer names, in stock or not; and those in stock to choose from.

    texts: the latest first.  The first list is empty if nothing is named, or if no variant has all of it.  Choices that
    are like the item come first.
    """
    own = _options(item)
    variants = [each for each in _variants(product) if each.get("item_id") != item.get("item_id")]
    variants.sort(key=lambda each: -sum(own.get(name) == value for name, value in _options(each).items()))
    variants = variants[:_MAX_VARIANTS]
    wanted = _wanted_values(texts, own, variants)
    having = [each for each in variants if wanted.named <= set(_options(each).values())]
    fitting = [
        each
        for each in having
        if wanted.named
        and wanted.is_clear
        and not wanted.refused & set(_options(each).values())
        and all(own.get(name) == value or value in wanted.named for name, value in _options(each).items())
    ]
    in_stock = [each for each in having if each.get("available") is True]
    return fitting, in_stock or [each for each in variants if each.get("available") is True]


@dataclass(frozen=True, slots=True)
class _Values:
    """Of options, from all texts."""

    named: frozenset[str] = frozenset()
    refused: frozenset[str] = frozenset()
    """Named after a negation."""
    is_clear: bool = True
    """The product has all named values, and only values of the item itself are refused."""


def _wanted_values(texts: Sequence[str], own: Mapping[str, str], variants: Sequence[Mapping[str, Any]]) -> _Values:
    """The latest first.  A later value replaces earlier ones of the same option."""
    by_option: dict[str, set[str]] = {}
    for options in (own, *map(_options, variants)):
        for name, value in options.items():
            by_option.setdefault(name, set()).add(value)
    offered = set().union(*by_option.values())
    foreign = [each for each in (*known_values(), *_SIZES) if not any(each in value for value in offered)]
    wanted = _Values()
    for text in reversed(texts):
        _, new, is_split = _parts(text)
        refused = _refused_values(new, offered)
        in_text = set(values_named(new, offered)) - refused
        found = {
            value
            for name, values in by_option.items()
            for value in in_text & values
            if is_split or own.get(name) != value
        }
        found = {each for each in found if not any(each != other and each in other for other in found)}
        rivals = {each for values in by_option.values() if found & values for each in values}
        is_clear = wanted.is_clear or bool(found)
        if values_named(new, foreign) or not refused <= set(own.values()):
            is_clear = False  # "the purple L" of a product that is never purple, "L, not red"
        wanted = _Values((wanted.named - rivals - refused) | found, (wanted.refused | refused) - in_text, is_clear)
    return wanted


def _refused_values(text: str, values: Collection[str]) -> set[str]:
    """The values that the text names after a negation."""
    if not _NEGATION.search(fold(text)):
        return set()
    refused: set[str] = set()
    for clause in _CLAUSES.split(text):
        found = _NEGATION.search(_fold_evenly(clause))  # `L` is read as it is written
        if found:
            after = values_named(clause[found.end() :], values)
            refused.update(after or values_named(clause[: found.start()], values))
    return refused


def _fold_evenly(text: str) -> str:
    """The text folded, each character at its place."""
    return "".join((fold(each) or each)[:1] if not each.isspace() else " " for each in text)


def _parts(text: str) -> tuple[str, str, bool]:
    """What is given back, what is wanted, and whether the text says which is which."""
    plain = shortened(normalise(text), MAX_READ)
    found = _INSTEAD.search(plain)
    return (plain[: found.start("new")], found["new"], True) if found else (plain, plain, False)


def _options(variant: Mapping[str, Any]) -> dict[str, str]:
    found = variant.get("options")
    return {str(name): str(value) for name, value in found.items()} if isinstance(found, Mapping) else {}


def _variants(product: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    found = product.get("variants")
    return [each for each in found.values() if isinstance(each, Mapping)] if isinstance(found, Mapping) else []
