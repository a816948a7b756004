"""Calls of Mistral: `[TOOL_CALLS] [{"name": …, "arguments": {…}}, …]`, or `[TOOL_CALLS]name[ARGS]{…}`. Pure."""

import re
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Final

from typing_extensions import override

from chatscale_server.http.tool_calls.events import CallArguments, CallStart, Content, Event
from chatscale_server.http.tool_calls.held_text import HeldTextParser
from chatscale_server.http.tool_calls.json_calls import JsonCallReader, ValueScanner

MARK: Final = "[TOOL_CALLS]"
_NAME: Final = re.compile(r"\s*([\w.-]{1,64})(?:\[CALL_ID\][\w-]*)?(?:\[ARGS\])?\s*(?=\{)")
_NAME_START: Final = re.compile(r"\s*[\w.-]{0,64}(?:\[[\w\[\]-]*)?\s*")


class _Stage(Enum):
    TEXT = auto()
    MARKED = auto()
    LIST = auto()
    CALL = auto()
    ARGUMENTS = auto()


@dataclass(slots=True)
class MistralParser(HeldTextParser):
    """See `Parser`. Text after the mark that is no call stays text."""

    _stage: _Stage = _Stage.TEXT
    _call: JsonCallReader = field(default_factory=JsonCallReader)
    _scanner: ValueScanner = field(default_factory=ValueScanner)

    @property
    @override
    def _in_call(self) -> bool:
        return self._stage is not _Stage.TEXT

    @override
    def _advance(self, events: list[Event]) -> bool:
        match self._stage:
            case _Stage.TEXT:
                return self._read_text(events)
            case _Stage.MARKED:
                return self._begin(events)
            case _Stage.LIST:
                return self._read_list()
            case _Stage.CALL:
                return self._read_call(events)
            case _Stage.ARGUMENTS:
                return self._read_arguments(events)

    def _read_text(self, events: list[Event]) -> bool:
        if self._read_to_mark([MARK], events) is None:
            return False
        self._stage = _Stage.MARKED
        return True

    def _begin(self, events: list[Event]) -> bool:
        text = self._held.lstrip()
        if text.startswith(("[{", "[ ", "[\n")) or text == "[":
            if text == "[":
                return False
            self._held, self._stage = text[1:], _Stage.LIST
            return True
        if text.startswith("{"):
            self._stage, self._call = _Stage.CALL, JsonCallReader()
            return True
        if found := _NAME.match(self._held):
            events.append(CallStart(found[1]))
            self._held, self._stage, self._scanner = self._held[found.end() :], _Stage.ARGUMENTS, ValueScanner()
            return True
        if _NAME_START.fullmatch(self._held):
            return False
        events.append(Content(MARK))
        self._stage = _Stage.TEXT
        return True

    def _read_list(self) -> bool:
        """Between the calls of a list."""
        self._held = self._held.lstrip(" \t\r\n,")
        if not self._held:
            return False
        if self._held.startswith("{"):
            self._stage, self._call = _Stage.CALL, JsonCallReader()
        else:
            self._held, self._stage = self._held.removeprefix("]"), _Stage.TEXT
        return True

    def _read_call(self, events: list[Event]) -> bool:
        text, self._held = self._held, ""
        events += self._call.push(text)
        if not (self._call.invalid or self._call.done):
            return False
        self._called |= self._call.done
        self._held, self._stage = self._call.held, _Stage.LIST if self._call.done else _Stage.TEXT
        return True

    def _read_arguments(self, events: list[Event]) -> bool:
        if not self._held:
            return False
        end = self._scanner.end(self._held)
        text, self._held = self._held[:end], self._held[end:] if end is not None else ""
        events.append(CallArguments(text))
        if end is not None:
            self._called, self._stage = True, _Stage.TEXT
        return end is not None
