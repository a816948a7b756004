"""Calls of Qwen3-Coder, with one element for each argument. Pure.

<tool_call>
<function=name>
<parameter=key>
value
</parameter>
</function>
</tool_call>
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Any, Final

from typing_extensions import override

from chatscale_server.http.tool_calls.events import (
    CallArguments,
    CallStart,
    Content,
    Event,
    first_mark,
    partial_mark,
)
from chatscale_server.http.tool_calls.held_text import HeldTextParser

OPEN: Final = "<tool_call>"
CLOSE: Final = "</tool_call>"
FUNCTION: Final = "<function="
END_FUNCTION: Final = "</function>"
PARAMETER: Final = "<parameter="
END_PARAMETER: Final = "</parameter>"
_NAME: Final = re.compile(r"\s*<(?:function|parameter)=([^<>\n]{1,256})>\n?")
_PYTHON: Final = {"True": "true", "False": "false", "None": "null"}


class _Stage(Enum):
    TEXT = auto()
    OPENED = auto()
    PARAMETERS = auto()
    TEXT_VALUE = auto()
    VALUE = auto()
    CLOSING = auto()


@dataclass(slots=True)
class Qwen3CoderParser(HeldTextParser):
    """See `Parser`. functions: JSON schemas of the arguments by function name; they give the types of the values."""

    functions: Mapping[str, Mapping[str, Any]]
    _stage: _Stage = _Stage.TEXT
    _opened: str = ""
    """`OPEN` if the call began with it. Models leave it out at times."""
    _properties: Mapping[str, Any] = field(default_factory=dict)
    _count: int = 0
    """Arguments of the call so far."""

    @property
    @override
    def _in_call(self) -> bool:
        return self._stage is not _Stage.TEXT

    @override
    def _advance(self, events: list[Event]) -> bool:
        match self._stage:
            case _Stage.TEXT:
                return self._read_text(events)
            case _Stage.OPENED:
                return self._begin(events)
            case _Stage.PARAMETERS:
                return self._read_parameter(events)
            case _Stage.TEXT_VALUE:
                return self._read_text_value(events)
            case _Stage.VALUE:
                return self._read_value(events)
            case _Stage.CLOSING:
                return self._close()

    def _read_text(self, events: list[Event]) -> bool:
        mark = self._read_to_mark([OPEN, FUNCTION], events)
        if mark is None:
            return False
        self._opened = OPEN if mark == OPEN else ""
        if mark == FUNCTION:
            self._held = FUNCTION + self._held
        self._stage = _Stage.OPENED
        return True

    def _begin(self, events: list[Event]) -> bool:
        text = self._held.lstrip()
        if text.startswith(FUNCTION) and (found := _NAME.match(text)):
            name, self._held = found[1].strip(), text[found.end() :]
            self._properties, self._count = self.functions.get(name, {}).get("properties") or {}, 0
            events += [CallStart(name), CallArguments("{")]
            self._stage = _Stage.PARAMETERS
            return True
        if FUNCTION.startswith(text[: len(FUNCTION)]) and "\n" not in text and ">" not in text:
            return False
        self._held = text.removeprefix(FUNCTION)
        if opening := self._opened + text[: len(text) - len(self._held)]:
            events.append(Content(opening))
        self._stage = _Stage.TEXT
        return True

    def _read_parameter(self, events: list[Event]) -> bool:
        found = first_mark(self._held, [PARAMETER, END_FUNCTION, CLOSE])
        if found is None:
            return False
        at, mark = found
        if mark != PARAMETER:
            events.append(CallArguments("}"))
            self._held = self._held[at + len(END_FUNCTION) if mark == END_FUNCTION else at :]
            self._called, self._stage = True, _Stage.CLOSING
            return True
        opened = _NAME.match(self._held, at)
        if opened is None or (opened.end() == len(self._held) and not self._held.endswith("\n")):
            # The line end after the name belongs to it. It may not have arrived.
            return False
        key, self._held = opened[1].strip(), self._held[opened.end() :]
        is_text = _is_text(self._properties.get(key))
        separator = ", " if self._count else ""
        opening = '"' if is_text else ""
        events.append(CallArguments(f"{separator}{json.dumps(key, ensure_ascii=False)}: {opening}"))
        self._count += 1
        self._stage = _Stage.TEXT_VALUE if is_text else _Stage.VALUE
        return True

    def _read_text_value(self, events: list[Event]) -> bool:
        """A text is sent as it comes."""
        end = self._held.find(END_PARAMETER)
        marks = ["\n" + END_PARAMETER, END_PARAMETER]
        cut = end if end >= 0 else len(self._held) - partial_mark(self._held, marks)
        text = self._held[:cut].removesuffix("\n") if end >= 0 else self._held[:cut]
        if text:
            events.append(CallArguments(_quoted(text)[1:-1]))
        if end < 0:
            self._held = self._held[cut:]
            return False
        events.append(CallArguments('"'))
        self._held, self._stage = self._held[end + len(END_PARAMETER) :], _Stage.PARAMETERS
        return True

    def _read_value(self, events: list[Event]) -> bool:
        end = self._held.find(END_PARAMETER)
        if end < 0:
            return False
        text, self._held = self._held[:end].removesuffix("\n"), self._held[end + len(END_PARAMETER) :]
        events.append(CallArguments(_as_json(text)))
        self._stage = _Stage.PARAMETERS
        return True

    def _close(self) -> bool:
        text = self._held.lstrip()
        if CLOSE.startswith(text) and text != CLOSE:
            return False
        self._held, self._stage = text.removeprefix(CLOSE), _Stage.TEXT
        return True


def _is_text(schema: object) -> bool:
    """True if every text is a value of the schema. An argument without a schema is a text."""
    return not isinstance(schema, Mapping) or schema.get("type", "string") == "string"


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _as_json(text: str) -> str:
    """The value as JSON; a text if it is none."""
    spelt = _PYTHON.get(text.strip(), text.strip())
    try:
        return json.dumps(json.loads(spelt), ensure_ascii=False, allow_nan=False)
    except (ValueError, RecursionError):
        return _quoted(text)
