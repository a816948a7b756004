"""Finds the replica's token counts in a response without parsing all of it. Pure."""

import json
import re
from typing import Final

from chatscale_gateway.routing.outcomes import Usage

_NAME: Final = b'"usage"'
_MARK: Final = re.compile(rb'"usage"\s*:\s*\{')
"""Text of prompts and answers cannot match: quotes are escaped there."""
_DECODER: Final = json.JSONDecoder()
_LARGEST: Final = 10**9


def find_usage(text: bytes) -> Usage | None:
    """The last `usage` object in JSON text; None if there is none or it is not valid."""
    # From the end, where it nearly always is: a regular expression over a long answer would cost more.
    at = text.rfind(_NAME)
    while at >= 0 and not (mark := _MARK.match(text, at)):
        at = text.rfind(_NAME, 0, at)
    if at < 0 or mark is None:
        return None
    try:
        value, _ = _DECODER.raw_decode(text[mark.end() - 1 :].decode(errors="replace"))
    except ValueError:
        return None
    return read_usage(value)


def has_usage(text: bytes) -> bool:
    """Whether the text contains a `usage` object. Cheap."""
    return _NAME in text and _MARK.search(text) is not None


def read_usage(value: object) -> Usage | None:
    """OpenAI's `usage` object, with the names of chat completions or of responses. None if it is not valid."""
    if not isinstance(value, dict):
        return None
    details = value.get("prompt_tokens_details", value.get("input_tokens_details"))
    cached = details.get("cached_tokens") if isinstance(details, dict) else None
    prompt = value.get("prompt_tokens", value.get("input_tokens"))
    generated = value.get("completion_tokens", value.get("output_tokens"))
    return Usage(_count(prompt), _count(cached), _count(generated))


def _count(value: object) -> int:
    valid = isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _LARGEST
    return int(value) if valid else 0  # type: ignore[call-overload]  # an int, as checked
