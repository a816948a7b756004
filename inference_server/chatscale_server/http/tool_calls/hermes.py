"""Calls of Hermes, Qwen2.5 and Qwen3: `<tool_call>{"name": …, "arguments": {…}}</tool_call>`. Pure."""

from dataclasses import dataclass
from typing import Final

from typing_extensions import override

from chatscale_server.http.tool_calls.events import Content, Event, first_mark
from chatscale_server.http.tool_calls.held_text import HeldTextParser
from chatscale_server.http.tool_calls.json_calls import JsonCallReader

OPEN: Final = "<tool_call>"
CLOSE: Final = "</tool_call>"


@dataclass(slots=True)
class HermesParser(HeldTextParser):
    """See `Parser`. Text between the marks that is no call stays text."""

    _call: JsonCallReader | None = None
    _closing: bool = False
    """The object of a call is complete, its closing mark is not."""

    @property
    @override
    def _in_call(self) -> bool:
        return self._call is not None or self._closing

    @override
    def _advance(self, events: list[Event]) -> bool:
        if self._call is not None:
            return self._read_call(self._call, events)
        if self._closing:
            return self._close()
        if self._read_to_mark([OPEN], events) is None:
            return False
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
            events.append(Content(OPEN))
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
