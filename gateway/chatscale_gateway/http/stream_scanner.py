"""Watches an event stream that passes through: its usage, its errors and its end. Pure.

Most parts of a stream need two substring searches. Only an event with `usage` is parsed.
"""

import json
import re
from typing import Any, Final

from chatscale_gateway.http.usage import has_usage, read_usage
from chatscale_gateway.routing.outcomes import Usage

_EVENT_END: Final = re.compile(rb"\r?\n\r?\n")
_DONE: Final = re.compile(rb"(?:^|\n)data: ?\[DONE\]")
_ERROR: Final = re.compile(rb'(?:^|\n)data: ?\{\s*"error"\s*:\s*[{"]')
MAX_EVENT_BYTES: Final = 1024**2
"""A longer event passes through without being read."""


class StreamScanner:
    """State of one stream."""

    __slots__ = ("_drop_usage", "_rest", "began", "done", "events", "failed", "roles", "usage")

    def __init__(self, *, drop_usage: bool) -> None:
        """drop_usage: remove the chunk that contains only `usage`; the client did not request it."""
        self._drop_usage = drop_usage
        self._rest = b""
        self.began = False
        """An event with data has passed; comments do not count."""
        self.events = 0
        """Events with data that have passed: about one for each token, in a stream that is broken off."""
        self.roles = 0
        """Those of the events that begin a message: they contain its role and no token."""
        self.done = False
        """`[DONE]` has passed."""
        self.failed = False
        """The replica has sent an error event."""
        self.usage: Usage | None = None

    def feed(self, part: bytes) -> bytes:
        """The bytes for the client: whole events. The start of an incomplete event stays here until its end arrives."""
        data = self._rest + part if self._rest else part
        if data.endswith((b"\n\n", b"\r\n\r\n")):
            self._rest = b""
        else:
            ends = [found.end() for found in _EVENT_END.finditer(data)]
            cut = ends[-1] if ends else 0
            data, self._rest = data[:cut], data[cut:]
            if len(self._rest) > MAX_EVENT_BYTES:
                data, self._rest = data + self._rest, b""
            if not data:
                return b""
        # JSON escapes line ends, so no text of an answer can match.
        self.events += data.count(b"\ndata:") + data.startswith(b"data:")
        self.roles += data.count(b'"role"')
        self.began = self.events > 0
        if b"[DONE]" in data and _DONE.search(data):
            self.done = True
        if b'"error"' in data and _ERROR.search(data):
            self.failed = True
        return self._read_usage(data) if has_usage(data) else data

    def rest(self) -> bytes:
        """The incomplete event at the end of the stream."""
        rest, self._rest = self._rest, b""
        return rest

    def _read_usage(self, data: bytes) -> bytes:
        kept, start = [], 0
        for end in [*(found.end() for found in _EVENT_END.finditer(data)), len(data)]:
            event, start = data[start:end], end
            if has_usage(event):
                chunk = _payload(event)
                usage = read_usage(chunk.get("usage"))
                self.usage = _largest(self.usage, usage or _inner_usage(chunk))
                if self._drop_usage and usage is not None and chunk.get("choices") == []:
                    continue
            kept.append(event)
        return b"".join(kept)


def _payload(event: bytes) -> dict[str, Any]:
    lines = [line.strip() for line in event.splitlines()]
    try:
        value = json.loads(b"\n".join(line[5:] for line in lines if line.startswith(b"data:")))
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def _inner_usage(chunk: dict[str, Any]) -> Usage | None:
    """Of events that have it one level deeper: `response` in /v1/responses, `message` in /v1/messages."""
    inner = chunk.get("response", chunk.get("message"))
    return read_usage(inner.get("usage")) if isinstance(inner, dict) else None


def _largest(one: Usage | None, other: Usage | None) -> Usage | None:
    """Counts grow in a stream, and an event may have only some of them."""
    if one is None or other is None:
        return one or other
    return Usage(
        max(one.prompt_tokens, other.prompt_tokens),
        max(one.cached_tokens, other.cached_tokens),
        max(one.generated_tokens, other.generated_tokens),
    )
