"""Which items of an order a customer means, by their ids, names and options. Pure."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from chatscale.api.v1alpha1.shopassistant import Language
from chatscale_assistant.answers.wording import option_value
from chatscale_assistant.language.concepts import terms
from chatscale_assistant.language.scripts import fold, normalise

_FEWEST_LETTERS: Final = 3
"""Of an option's value: a size "M" is in every word."""
_NO_NAMES: Final = frozenset({"yes", "no", "none", "true", "false"})
"""Values that say nothing without the name of their option."""
_LATIN: Final = "A-Za-z0-9_À-ɏ"
"""`\\w` without Chinese characters, which stand directly beside a size: `红色L码`."""
_START: Final = rf"(?<![{_LATIN}])"


def named_items(texts: Sequence[str], items: Sequence[Mapping[str, Any]], *, by_options: bool = True) -> list[str]:
    """Ids of the items that the latest of the texts names; empty if none names any, or if it is not clear which.

    texts: the latest first.  Items of the same name differ in their options.  by_options: also "the black one".
    """
    for index, text in enumerate(texts):
        by_id = [_id(item) for item in items if _id(item) in text]
        if by_id:
            return by_id
        named = [item for item in items if _is_named(item, text)]
        if named:
            return _ids_if_clear(named, texts[: index + 1])
        by_option = [item for item in items if _options_in(item, text)]
        if by_options and len(by_option) == 1:
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
    return sum(names_value(text, str(value)) for value in values)


def names_value(text: str, value: str) -> bool:
    """Whether the text names the value of an option, in any language: `noire` names `black`, `8码` names `8`."""
    if value.casefold() in _NO_NAMES:
        return False
    if len(value) < _FEWEST_LETTERS and value.isascii():
        word = re.escape(value)
        before, after = rf"(?:{_START}(?:size|taille|pointure|en)|码|号|寸)\s?:?\s?", r"\s?(?:码|号)"
        sized = rf"{before}{word}(?![{_LATIN}'-]|\.\d)|(?<![{_LATIN}-])(?<!\d\.){word}{after}"
        bare = rf"(?<![{_LATIN}'-]){word}(?![{_LATIN}'.-])" if value.isupper() else "(?!)"
        return (
            re.search(sized, normalise(text), re.IGNORECASE) is not None or re.search(bare, normalise(text)) is not None
        )
    folded = fold(text)
    return any(re.search(_pattern(fold(option_value(value, language))), folded) for language in Language)


def _pattern(word: str) -> str:
    """A word in Latin letters with a plural or a feminine form; a Chinese colour also as `蓝的`."""
    if word.isascii():
        stem = re.escape(word) + ("h?" if word.endswith("blanc") else "")
        return rf"(?<![a-z0-9-]){stem}{'t?(?:s|es?)?' if word.isalpha() else ''}(?![a-z0-9])"
    if word.endswith("色"):
        return rf"{word}|{word[:-1]}(?=的|款|$)"
    return f"{word}(?=号|码|的|款)" if len(word) == 1 else re.escape(word)


def _id(item: Mapping[str, Any]) -> str:
    return str(item.get("item_id", ""))
