"""Messages of GPT-OSS: `<|channel|>analysis<|message|>…<|end|><|start|>assistant<|channel|>final<|message|>…`. Pure.

The channel `analysis` is reasoning, `final` and `commentary` are content, and a message to `functions.name` is a call.
"""

import re
from dataclasses import dataclass
from typing import Final

from chatscale_server.http.tool_calls.events import (
    CallArguments,
    CallStart,
    Content,
    Event,
    Reasoning,
    first_mark,
    partial_mark,
)

START: Final = "<|start|>"
CHANNEL: Final = "<|channel|>"
MESSAGE: Final = "<|message|>"
ENDS: Final = ("<|end|>", "<|call|>", "<|return|>", START)
MAX_HEADER_CHARS: Final = 512
_RECIPIENT: Final = re.compile(r"\bto=([^\s<]+)")
_CHANNEL: Final = re.compile(r"<\|channel\|>\s*(\w+)")


@dataclass(slots=True)
class HarmonyParser:
    """See `Parser`. calls: False if no function was offered; a call is content then."""

    calls: bool = True
    _held: str = ""
    _in_header: bool = True
    _kind: type[Content] | type[Reasoning] | type[CallArguments] = Content

    def push(self, text: str) -> list[Event]:
        """See Parser."""
        self._held += text
        events: list[Event] = []
        while self._advance(events):
            pass
        return events

    def end(self) -> list[Event]:
        """See Parser."""
        rest, self._held = self._held, ""
        if self._in_header or not rest:
            # Output without any message is content.
            return [Content(rest)] if rest and not rest.startswith(("<", " to=", "to=")) else []
        return [self._kind(rest)]

    def _advance(self, events: list[Event]) -> bool:
        return self._read_header(events) if self._in_header else self._read_body(events)

    def _read_header(self, events: list[Event]) -> bool:
        found = first_mark(self._held, [MESSAGE])
        if found is None:
            if len(self._held) > MAX_HEADER_CHARS:
                self._in_header, self._kind = False, Content
            return not self._in_header
        header, self._held = self._held[: found[0]], self._held[found[0] + len(MESSAGE) :]
        self._in_header = False
        if found[0] > MAX_HEADER_CHARS:
            self._kind, self._held = Content, header + MESSAGE + self._held
            return True
        recipient, channel = _RECIPIENT.search(header), _CHANNEL.search(header)
        if recipient and recipient[1].startswith("functions.") and self.calls:
            events.append(CallStart(recipient[1].removeprefix("functions.")))
            self._kind = CallArguments
        elif channel and channel[1] == "analysis":
            self._kind = Reasoning
        else:
            self._kind = Content
        return True

    def _read_body(self, events: list[Event]) -> bool:
        found = first_mark(self._held, ENDS)
        cut = found[0] if found else len(self._held) - partial_mark(self._held, ENDS)
        if cut:
            events.append(self._kind(self._held[:cut]))
        self._held = self._held[cut:]
        if found is None:
            return False
        self._held = self._held[len(found[1]) :]
        # Whatever stands between two messages is a part of the next header.
        self._in_header = True
        return True
