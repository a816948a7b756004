"""Parses request bodies within bounds: a small body must not cost much memory or time. Pure."""

import json
import re
from dataclasses import dataclass
from functools import cache
from typing import Any, Final, NoReturn

from chatscale_contract.openai.errors import bad_request

_BRACKET: Final = re.compile(r"[\[\]{}]")
_MEMBER_CHARS: Final = len('"":0,')
"""The shortest member of an object."""


@dataclass(frozen=True, slots=True)
class JsonBounds:
    """Limits of one body. The defaults accept every valid request to the inference server."""

    depth: int = 32
    containers: int = 20_000
    """Objects and lists. A thousand messages with a dozen parts each need fewer."""
    commas: int = 1_100_000
    """Outside strings. The longest field, a prompt of 2^20 token ids, needs fewer."""
    members: int = 512
    """Of one object. The largest valid object is `logit_bias`."""


DEFAULT_BOUNDS: Final = JsonBounds()


def parse_object(body: bytes, bounds: JsonBounds = DEFAULT_BOUNDS) -> dict[str, Any]:
    """The JSON object in `body`. Raises ApiError 400 for anything else."""
    try:
        # Decode here: json.loads would also accept UTF-16, and the bounds must be checked on the same characters.
        text = body.decode()
    except UnicodeDecodeError as error:
        raise bad_request(f"the body is not UTF-8: {error.reason} at byte {error.start}") from error
    _check_bounds(text, bounds)

    try:
        # A short text cannot have too many members, and a decoder without a hook needs half the time.
        most_members = None if len(text) < bounds.members * _MEMBER_CHARS else bounds.members
        value = _decoder(most_members).decode(text)
    except ValueError as error:
        raise bad_request(f"the body is not valid JSON: {error}") from error
    if not isinstance(value, dict):
        raise bad_request(f"the body must be a JSON object, found {type(value).__name__}")
    return value


@cache
def _decoder(most_members: int | None) -> json.JSONDecoder:
    if most_members is None:
        return json.JSONDecoder(parse_constant=_reject_constant)

    def bounded_object(members: list[tuple[str, Any]]) -> dict[str, Any]:
        if len(members) > most_members:
            raise bad_request(f"an object in the body has more than {most_members} members")
        return dict(members)

    return json.JSONDecoder(parse_constant=_reject_constant, object_pairs_hook=bounded_object)


def _check_bounds(text: str, bounds: JsonBounds) -> None:
    # Most bodies are short and have few brackets, even if those in strings count.
    is_short = len(text) <= min(bounds.commas, bounds.containers)
    if is_short and text.count("[") + text.count("{") <= min(bounds.depth, bounds.containers):
        return
    # Keep the text outside strings. A backslash outside a string is invalid JSON: json.loads stops at it.
    structure = "".join(text.replace(r"\\", "").replace(r"\"", "").split('"')[::2])
    if structure.count(",") > bounds.commas:
        raise bad_request(f"the body has more than {bounds.commas} commas outside strings")
    # Count closing brackets too: the loop below visits each of them, matched or not.
    opened = structure.count("[") + structure.count("{")
    if max(opened, structure.count("]") + structure.count("}")) > bounds.containers:
        raise bad_request(f"the body has more than {bounds.containers} objects and lists")
    if opened <= bounds.depth:
        return
    depth = 0
    for bracket in _BRACKET.finditer(structure):
        depth += 1 if bracket[0] in "[{" else -1
        if depth > bounds.depth:
            raise bad_request(f"the body is nested deeper than {bounds.depth} levels")


def _reject_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")
