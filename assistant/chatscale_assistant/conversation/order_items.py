"""Which items of an order a customer means, by their ids, names and options. Pure."""

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any, Final

from chatscale.api.v1alpha1.shopassistant import Language
from chatscale_assistant.answers.wording import option_value
from chatscale_assistant.language.concepts import terms
from chatscale_assistant.language.scripts import fold, normalise

_FEWEST_LETTERS: Final = 3
"""Of an option's value: a size "M" is in every word."""
_NO_NAMES: Final = frozenset({"yes", "no", "none", "true", "false"})
"""Values that say nothing without the name of their option."""
_MAX_CACHED: Final = 4096
"""Values, which are the shop's. Text of customers is never cached."""
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
    return len(values_named(text, [str(value) for value in values]))


def names_value(text: str, value: str) -> bool:
    """Whether the text names the value of an option, in any language: `noire` names `black`, `8码` names `8`."""
    return bool(values_named(text, [value]))


def values_named(text: str, values: Iterable[str]) -> list[str]:
    """Those of the values that the text names."""
    plain, folded = normalise(text), fold(text)
    return [value for value in values if _is_value_in(value, plain, folded)]


def _is_value_in(value: str, plain: str, folded: str) -> bool:
    if value.casefold() in _NO_NAMES:
        return False
    if len(value) < _FEWEST_LETTERS and value.isascii():
        return value.casefold() in folded and any(pattern.search(plain) for pattern in _size_patterns(value))
    return any(word.removesuffix("色") in folded and _pattern(word).search(folded) for word in _words(value))


@lru_cache(maxsize=_MAX_CACHED)
def _words(value: str) -> tuple[str, ...]:
    """The value in each language, folded."""
    return tuple(dict.fromkeys(fold(option_value(value, language)) for language in Language))


@lru_cache(maxsize=_MAX_CACHED)
def _size_patterns(value: str) -> tuple[re.Pattern[str], ...]:
    """For text that `normalise` returned: `size l` in any case, `L` alone only as it is written."""
    word = re.escape(value)
    before, after = rf"(?:{_START}(?:size|taille|pointure|en)|码|号|寸)\s?:?\s?", r"\s?(?:码|号)"
    sized = rf"{before}{word}(?![{_LATIN}'-]|\.\d)|(?<![{_LATIN}-])(?<!\d\.){word}{after}"
    patterns = (re.compile(sized, re.IGNORECASE),)
    return (*patterns, re.compile(rf"(?<![{_LATIN}'-]){word}(?![{_LATIN}'.-])")) if value.isupper() else patterns


@lru_cache(maxsize=_MAX_CACHED)
def _pattern(word: str) -> re.Pattern[str]:
    """A word in Latin letters with a plural or a feminine form; a Chinese colour also as `蓝的`. For folded text."""
    if word.isascii():
        stem = re.escape(word) + ("h?" if word.endswith("blanc") else "")
        ending = "t?(?:s|es?)?" if word.isalpha() else ""
        return re.compile(rf"(?<![a-z0-9-]){stem}{ending}(?![a-z0-9])")
    if word.endswith("色"):
        return re.compile(rf"{word}|{word[:-1]}(?=的|款|$)")
    return re.compile(f"{word}(?=号|码|的|款)" if len(word) == 1 else re.escape(word))


def _id(item: Mapping[str, Any]) -> str:
    return str(item.get("item_id", ""))
