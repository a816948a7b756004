"""Framing of server-sent events, as OpenAI streams use them. Pure."""

import json
from typing import Any, Final

CONTENT_TYPE: Final = "text/event-stream"
DONE: Final = b"data: [DONE]\n\n"
"""The last event of a stream that ended without an error."""


encode_json: Final = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
"""As `json.dumps`, which makes a new encoder for each call with options."""


def event(payload: dict[str, Any]) -> bytes:
    """One `data:` event. JSON escapes line breaks, so the payload is one line."""
    return b"data: " + encode_json(payload).encode() + b"\n\n"


def comment(text: str) -> bytes:
    """A comment, which clients ignore. It keeps an idle connection open. `text` must be one line."""
    if "\n" in text or "\r" in text:
        raise ValueError(f"a comment must be one line, found {text!r}")
    return f": {text}\n\n".encode()
