"""From bytes to a JSON object, with every cost bounded before it is paid."""

import json
import re
from typing import Any, Final, NoReturn

from chatscale_server.http.errors import bad_request

MAX_BODY_BYTES: Final = 4 * 1024 * 1024
MAX_JSON_DEPTH: Final = 32
MAX_CONTAINERS: Final = 20_000
"""Objects and lists in one body: a thousand messages with a dozen parts each, and room to spare."""
MAX_MEMBERS: Final = 512
"""Of one object: the largest that may be is `logit_bias`."""
_STRING: Final = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*(?:"|\\?\Z)', re.DOTALL)
"""A string, or one without an end: were that no match, the search would begin anew at each quote within it."""
_BRACKET: Final = re.compile(r"[\[\]{}]")


def parse_object(body: bytes) -> dict[str, Any]:
    """The JSON object in `body`. Raises ApiError 400 for anything else."""
    try:
        # Not json's own guess, which reads UTF-16 as well: the bounds are checked on the same characters.
        text = body.decode()
    except UnicodeDecodeError as error:
        raise bad_request(f"the body is not UTF-8: {error.reason} at byte {error.start}") from error
    _check_bounds(text)
    try:
        value = json.loads(text, parse_constant=_refuse_constant, object_pairs_hook=_bounded_object)
    except ValueError as error:
        raise bad_request(f"the body is not valid JSON: {error}") from error
    if not isinstance(value, dict):
        raise bad_request(f"the body must be a JSON object, found {type(value).__name__}")
    return value


def _check_bounds(text: str) -> None:
    structure = _STRING.sub("", text)
    if structure.count("[") + structure.count("{") > MAX_CONTAINERS:
        raise bad_request(f"the body has more than {MAX_CONTAINERS} objects and lists")
    depth = 0
    for bracket in _BRACKET.finditer(structure):
        depth += 1 if bracket[0] in "[{" else -1
        if depth > MAX_JSON_DEPTH:
            raise bad_request(f"the body is nested deeper than {MAX_JSON_DEPTH} levels")


def _bounded_object(members: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(members) > MAX_MEMBERS:
        raise bad_request(f"an object in the body has more than {MAX_MEMBERS} members")
    return dict(members)


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")
