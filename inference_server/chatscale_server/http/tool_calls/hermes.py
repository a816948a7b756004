"""Calls of Hermes, Qwen2.5 and Qwen3: `<tool_call>{"name": …, "arguments": {…}}</tool_call>`. Pure."""

from dataclasses import dataclass
from typing import Final

from chatscale_server.http.tool_calls.events import Content, Event, first_mark, spaced_partial_mark
from chatscale_server.http.tool_calls.json_calls import JsonCallReader

OPEN: Final = "<tool_call>"
CLOSE: Final = "</tool_call>"


@dataclass(slots=True)
class HermesParser:
    """See `Parser`. Text between the marks that is no call stays text."""

    _held: str = ""
    _call: JsonCallReader | None = None
    _closing: bool = False
    """The object of a call is complete, its closing mark is not."""
    _called: bool = False

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
        if self._call is not None or self._closing:
            return []
        return [Content(rest)] if rest.strip() or (rest and not self._called) else []

    def _advance(self, events: list[Event]) -> bool:
        """One step. False if more text is needed."""
        if self._call is not None:
            return self._read_call(self._call, events)
        if self._closing:
            return self._close()
        found = first_mark(self._held, [OPEN])
        if found is None:
            cut = len(self._held) - spaced_partial_mark(self._held, [OPEN])
            _add_content(events, self._held[:cut])
            self._held = self._held[cut:]
            return False
        _add_content(events, self._held[: found[0]].rstrip())
        self._held = self._held[found[0] + len(OPEN) :]
        self._call = JsonCallReader()
        return True

    def _read_call(self, call: JsonCallReader, events: list[Event]) -> bool:
        text, self._held = self._held, ""
        events += call.push(text)
        if not (call.invalid or call.done):
            return False
        self._called |= call.done
        self._closing, self._held, self._call = call.done, call.held, None
        if call.invalid:
            _add_content(events, OPEN)
        return True

    def _close(self) -> bool:
        """Drop the text up to the closing mark. A call without one ends where the next one begins."""
        found = first_mark(self._held, [OPEN, CLOSE])
        if found is None:
            return False
        at, mark = found
        self._held = self._held[at + len(CLOSE) if mark == CLOSE else at :]
        self._closing = False
        return True


def _add_content(events: list[Event], text: str) -> None:
    if text:
        events.append(Content(text))
