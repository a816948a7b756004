"""Framing of server-sent events. Pure."""

import json
from typing import Any, Final

CONTENT_TYPE: Final = "text/event-stream"
DONE: Final = b"data: [DONE]\n\n"


def event(payload: dict[str, Any]) -> bytes:
    """One `data:` event. JSON escapes line breaks, so the payload is always one line."""
    return b"data: " + json.dumps(payload, ensure_ascii=False, separators=(",", ":")).encode() + b"\n\n"
