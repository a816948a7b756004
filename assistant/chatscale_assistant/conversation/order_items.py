"""Which items of an order a customer means, by their ids, names and options. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from chatscale.api.v1alpha1.shopassistant import Language
from chatscale_assistant.answers.wording import option_value
from chatscale_assistant.language.concepts import terms
from chatscale_assistant.language.scripts import fold

_FEWEST_LETTERS: Final = 3
"""Of an option's value: a size "M" is in every word."""


def named_items(texts: Sequence[str], items: Sequence[Mapping[str, Any]]) -> list[str]:
    """Ids of the items that the latest of the texts names; empty if none names any, or if it is not clear which.

    texts: the latest first.  Items of the same name differ in their options.
    """
    for index, text in enumerate(texts):
        by_id = [_id(item) for item in items if _id(item) in text]
        if by_id:
            return by_id
        named = [item for item in items if _is_named(item, text)]
        if named:
            return _ids_if_clear(named, texts[: index + 1])
        by_option = [item for item in items if _options_in(item, text)]
        if len(by_option) == 1:
            return [_id(by_option[0])]
    return []


def _ids_if_clear(named: Sequence[Mapping[str, Any]], texts: Sequence[str]) -> list[str]:
    chosen: list[str] = []
    for name in dict.fromkeys(str(item.get("name", "")) for item in named):
        same = [item for item in named if str(item.get("name", "")) == name]
        if len(same) > 1:
            counts = [sum(_options_in(item, text) for text in texts) for item in same]
            same = [item for item, count in zip(same, counts, strict=True) if count == max(counts)]
        if len(same) > 1:
            return []
        chosen += [_id(item) for item in same]
    return chosen


def _is_named(item: Mapping[str, Any], text: str) -> bool:
    name = str(item.get("name", ""))
    if not name:
        return False
    own = terms(name)
    return fold(name) in fold(text) or (bool(own) and own <= terms(text))


def _options_in(item: Mapping[str, Any], text: str) -> int:
    """How many of the item's options the text names, in any of the languages."""
    options = item.get("options")
    values = options.values() if isinstance(options, Mapping) else ()
    folded = fold(text)
    return sum(
        any(len(word) >= _FEWEST_LETTERS or not word.isascii() for word in words)
        and any(word in folded for word in words)
        for value in values
        for words in [{fold(option_value(value, language)) for language in Language}]
    )


def _id(item: Mapping[str, Any]) -> str:
    return str(item.get("item_id", ""))
