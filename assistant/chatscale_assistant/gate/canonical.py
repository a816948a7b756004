"""One form for equal arguments: what is hashed, confirmed and sent is the same text.

Bounds protect the shop's server and the hash; characters that no reader sees are refused, because a customer cannot
confirm what the proposal does not show.
"""

import json
import unicodedata
from collections.abc import Mapping
from math import isfinite
from typing import Any, Final

MAX_BYTES: Final = 8 * 1024
"""Of the canonical JSON of the arguments of one call."""
MAX_DEPTH: Final = 6
MAX_ITEMS: Final = 200
"""Values in the arguments of one call, at all depths."""
_HIDDEN: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
"""Unicode categories without a visible form: control, format (zero width, bidirectional), surrogate, private and
unassigned characters, line and paragraph separators."""


class InvalidArgumentsError(Exception):
    """The arguments cannot be used. The message has no value of them."""


def canonical_json(value: Any) -> str:
    """Sorted keys, no spaces, all of Unicode as it is. Raises ValueError for NaN and infinity."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def canonical_arguments(arguments: Mapping[str, Any]) -> tuple[dict[str, Any], str]:
    """The arguments as plain JSON values with strings in Unicode form NFC, and their canonical JSON.

    Raises InvalidArgumentsError.
    """
    if not isinstance(arguments, Mapping):
        raise InvalidArgumentsError("the arguments are not an object")
    count = [0]
    plain = {_string(key): _plain(value, 1, count) for key, value in arguments.items()}
    if len(plain) != len(arguments):
        raise InvalidArgumentsError("two parameters have the same name")
    text = canonical_json(plain)
    if len(text.encode()) > MAX_BYTES:
        raise InvalidArgumentsError(f"the arguments have more than {MAX_BYTES} bytes")
    return plain, text


def _plain(value: Any, depth: int, count: list[int]) -> Any:
    count[0] += 1
    if depth > MAX_DEPTH or count[0] > MAX_ITEMS:
        raise InvalidArgumentsError(f"the arguments have more than {MAX_DEPTH} levels or {MAX_ITEMS} values")
    if value is None or type(value) in {bool, int}:
        return value
    if type(value) is float and isfinite(value):
        return value
    if type(value) is str:
        return _string(value)
    if isinstance(value, list | tuple):
        return [_plain(each, depth + 1, count) for each in value]
    if isinstance(value, Mapping):
        plain = {_string(key): _plain(each, depth + 1, count) for key, each in value.items()}
        if len(plain) != len(value):
            raise InvalidArgumentsError("two keys of an object are the same")
        return plain
    raise InvalidArgumentsError(f"a value has type {type(value).__name__}, which JSON does not have")


def _string(text: Any) -> str:
    if type(text) is not str:
        raise InvalidArgumentsError("the name of a parameter is not a string")
    if any(unicodedata.category(character) in _HIDDEN for character in text):
        raise InvalidArgumentsError("a string has hidden characters")
    return unicodedata.normalize("NFC", text)
