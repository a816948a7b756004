"""Reads lines of the gateway's access log. Pure. A damaged line is counted, never fatal."""

import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

_LARGEST: Final = 10**9
"""Tokens of one request, as the gateway accepts them."""
_TEXT_LINE: Final = re.compile(r"(^|\] )\d\d:\d\d:\d\d (DEBUG|INFO|WARNING|ERROR|CRITICAL) ")
"""Another line of a gateway with chart value `logFormat: text`. The lines of requests are always JSON."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One request that reached a model."""

    ended: datetime
    key: str
    """namespace/name of the Secret; empty where keys are off."""
    namespace: str
    model: str
    prompt_tokens: int
    cached_tokens: int
    """Part of the prompt tokens."""
    generated_tokens: int
    estimated: bool
    """The replica's count is missing, and the gateway computed these."""


@dataclass(frozen=True, slots=True)
class Other:
    """A line without usage of a model: another event of the gateway, or a request that no model got."""


def read_line(line: str) -> Entry | Other | None:
    """None for a damaged line. Text before the JSON object, as `kubectl logs --prefix` adds it, is ignored."""
    if _TEXT_LINE.search(line, 0, 512):
        return Other()
    text = line[line.find("{") :] if "{" in line else ""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(found, dict):
        return None
    if found.get("event") != "request":
        return Other()
    try:
        return _read(found)
    except (KeyError, TypeError, ValueError, OverflowError, OSError):
        return None


def _read(found: dict[str, Any]) -> Entry | Other:
    if not _text(found["model"]) or found["prompt_tokens"] is None:
        return Other()
    prompt, cached = _count(found["prompt_tokens"]), _count(found["cached_tokens"])
    if cached > prompt:
        raise ValueError("more cached than prompt tokens")
    return Entry(
        ended=datetime.fromtimestamp(float(found["time"]), UTC),
        key=_text(found.get("key", "")),
        namespace=_text(found["namespace"]),
        model=_text(found["model"]),
        prompt_tokens=prompt,
        cached_tokens=cached,
        generated_tokens=_count(found["generated_tokens"]),
        estimated=found.get("usage") == "estimated",
    )


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError("must be text")
    return value


def _count(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= _LARGEST:
        raise ValueError("must be a number of tokens")
    return value
