"""Calls of Llama 3.1 to 3.3: the whole output, or the text after `<|python_tag|>`, is `{"name": …, "parameters": {…}}`.

Several calls are separated by `;` or by white space. Pure.
"""

from dataclasses import dataclass
from typing import Final

from typing_extensions import override

from chatscale_server.http.tool_calls.events import Content, Event, first_mark, partial_mark
from chatscale_server.http.tool_calls.held_text import HeldTextParser
from chatscale_server.http.tool_calls.json_calls import JsonCallReader

PYTHON_TAG: Final = "<|python_tag|>"


@dataclass(slots=True)
class Llama3Parser(HeldTextParser):
    """See `Parser`. Other JSON stays text."""

    _call: JsonCallReader | None = None
    _may_call: bool = True
    """A call may begin here: at the start, after the tag, and after a call."""

    @property
    @override
    def _in_call(self) -> bool:
        return self._call is not None

    @override
    def _advance(self, events: list[Event]) -> bool:
        if self._call is not None:
            return self._read_call(self._call, events)
        return self._begin() if self._may_call else self._read_text(events)

    def _begin(self) -> bool:
        """Decide whether a call begins."""
        text = self._held.lstrip(" \t\r\n;" if self._called else " \t\r\n")
        if text.startswith(PYTHON_TAG):
            self._held, self._called = text.removeprefix(PYTHON_TAG), True
            return True
        if text.startswith("{"):
            self._held, self._call = text if self._called else self._held, JsonCallReader()
            return True
        if not text or PYTHON_TAG.startswith(text):
            return False
        self._may_call = False
        return True

    def _read_call(self, call: JsonCallReader, events: list[Event]) -> bool:
        text, self._held = self._held, ""
        events += call.push(text)
        if not (call.invalid or call.done):
            return False
        self._called |= call.done
        self._may_call, self._held, self._call = call.done, call.held, None
        return True

    def _read_text(self, events: list[Event]) -> bool:
        found = first_mark(self._held, [PYTHON_TAG])
        cut = found[0] if found else len(self._held) - partial_mark(self._held, [PYTHON_TAG])
        if cut:
            events.append(Content(self._held[:cut]))
        self._held = self._held[cut:]
        self._may_call = found is not None
        return found is not None
