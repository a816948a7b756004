"""Which variant of a product a customer wants instead of an item, by the values of its options. Pure.

A variant counts only if it is the item with nothing else changed than what the customer names.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from chatscale_assistant.answers.wording import known_values
from chatscale_assistant.conversation.order_items import named_items, names_value
from chatscale_assistant.language.scripts import MAX_READ, normalise, shortened

_SIZES: Final = ("XS", "S", "M", "L", "XL", "XXL")
_INSTEAD: Final = re.compile(
    r"(?:\b(?:exchang|swap|replac|chang|modif|échang|remplac)\w*\b.*?\b(?:for|with|to|into|against|contre|par|pour|en)\b"
    r"|(?:换成|换为|改成|改为|换一(?:个|件|双|款)?|换(?:个|件|双|款)))(?P<new>.+)",
    re.IGNORECASE | re.DOTALL,
)
"""What follows is wanted instead."""


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
    named, is_known = _named_values(texts, own, variants)
    having = [each for each in variants if named <= set(_options(each).values())]
    fitting = [
        each
        for each in having
        if named
        and is_known
        and all(own.get(name) == value or value in named for name, value in _options(each).items())
    ]
    in_stock = [each for each in having if each.get("available") is True]
    return fitting, in_stock or [each for each in variants if each.get("available") is True]


def _named_values(
    texts: Sequence[str], own: Mapping[str, str], variants: Sequence[Mapping[str, Any]]
) -> tuple[frozenset[str], bool]:
    """The wanted values, and whether the product has all; a later value replaces earlier ones of the same option."""
    by_option: dict[str, set[str]] = {}
    for options in (own, *map(_options, variants)):
        for name, value in options.items():
            by_option.setdefault(name, set()).add(value)
    offered = set().union(*by_option.values())
    foreign = [each for each in (*known_values(), *_SIZES) if not any(each in value for value in offered)]
    named: frozenset[str] = frozenset()
    is_known = True
    for text in reversed(texts):
        _, new, is_split = _parts(text)
        found = {
            value
            for name, values in by_option.items()
            for value in values
            if names_value(new, value) and (is_split or own.get(name) != value)
        }
        found = {each for each in found if not any(each != other and each in other for other in found)}
        rivals = {each for values in by_option.values() if found & values for each in values}
        named = (named - rivals) | found
        if any(names_value(new, each) for each in foreign):
            is_known = False  # "the purple L" of a product that is never purple
        elif found:
            is_known = True
    return named, is_known


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
