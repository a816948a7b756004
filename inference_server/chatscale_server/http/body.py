"""From bytes to a JSON object, with every cost bounded before it is paid."""

import json
import re
from typing import Any, Final, NoReturn

from chatscale_server.http.errors import bad_request

MAX_BODY_BYTES: Final = 4 * 1024 * 1024
MAX_JSON_DEPTH: Final = 32
_STRING: Final = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"', re.DOTALL)
_BRACKET: Final = re.compile(rb"[\[\]{}]")


def parse_object(body: bytes) -> dict[str, Any]:
    """The JSON object in `body`. Raises ApiError 400 for anything else."""
    _check_depth(body)
    try:
        value = json.loads(body, parse_constant=_refuse_constant)
    except ValueError as error:
        raise bad_request(f"the body is not valid JSON: {error}") from error
    if not isinstance(value, dict):
        raise bad_request(f"the body must be a JSON object, found {type(value).__name__}")
    return value


def _check_depth(body: bytes) -> None:
    depth = 0
    for bracket in _BRACKET.finditer(_STRING.sub(b"", body)):
        depth += 1 if bracket[0] in b"[{" else -1
        if depth > MAX_JSON_DEPTH:
            raise bad_request(f"the body is nested deeper than {MAX_JSON_DEPTH} levels")


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")
