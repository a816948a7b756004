"""One call as a JSON object, `{"name": …, "arguments": {…}}`, that arrives in parts. Pure."""

import json
import re
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Any, Final

from chatscale_server.http.tool_calls.events import CallArguments, CallStart, Event

ARGUMENTS: Final = ("arguments", "parameters")
"""Both names are common: Llama 3 writes `parameters`, the other models `arguments`."""
MAX_HEAD_CHARS: Final = 4096
"""Limit of the text before the arguments. It is read again whenever text arrives."""
_SPACE: Final = re.compile(r"[ \t\r\n]*")
_STRING: Final = re.compile(r'"(?:[^"\\]|\\.)*"', re.DOTALL)
_SCALAR: Final = re.compile(r"[^\s,{}\[\]\"]+(?=[\s,}])")
_BRACKETS: Final = re.compile(r'["\\{}\[\]]')


@dataclass(slots=True)
class ValueScanner:
    """Finds the end of an object or list. depth: number of brackets that are open already."""

    depth: int = 0
    _in_string: bool = False
    _escaped: bool = False

    def end(self, text: str) -> int | None:
        """Index after the value's last bracket; None if it goes on after this text."""
        start = 0
        while True:
            if self._escaped:
                if start >= len(text):
                    return None
                self._escaped, start = False, start + 1
            found = _BRACKETS.search(text, start)
            if found is None:
                return None
            start = found.end()
            match found[0]:
                case '"':
                    self._in_string = not self._in_string
                case "\\":
                    self._escaped = self._in_string
                case "{" | "[" if not self._in_string:
                    self.depth += 1
                case "}" | "]" if not self._in_string:
                    self.depth -= 1
                    if self.depth <= 0:
                        return start


class _Stage(Enum):
    HEAD = auto()
    WHOLE = auto()
    """The arguments come first, or are a string: the call is read when it is complete."""
    ARGUMENTS = auto()
    REST = auto()
    """Members after the arguments."""
    DONE = auto()
    INVALID = auto()


@dataclass(slots=True)
class JsonCallReader:
    """Reads one call. Its text must begin with the object, or with white space before it."""

    held: str = ""
    """Text that is not sent as part of a call."""
    _stage: _Stage = _Stage.HEAD
    _scanner: ValueScanner = field(default_factory=ValueScanner)
    _scanned: int = 0

    @property
    def invalid(self) -> bool:
        """True if the text is no call. `held` is the whole text then."""
        return self._stage is _Stage.INVALID

    @property
    def done(self) -> bool:
        """True if the object is complete. `held` is the text after it then."""
        return self._stage is _Stage.DONE

    def push(self, text: str) -> list[Event]:
        """Add text; what is certain now."""
        self.held += text
        events: list[Event] = []
        if self._stage is _Stage.HEAD:
            events += self._read_head()
        if self._stage is _Stage.WHOLE:
            events += self._read_whole()
        if self._stage is _Stage.ARGUMENTS and self.held:
            end = self._scanner.end(self.held)
            arguments, self.held = self.held[:end], self.held[end:] if end is not None else ""
            events.append(CallArguments(arguments))
            if end is not None:
                self._scanner, self._stage = ValueScanner(depth=1), _Stage.REST
        if self._stage is _Stage.REST:
            end = self._scanner.end(self.held)
            self.held = self.held[end:] if end is not None else ""
            if end is not None:
                self._stage = _Stage.DONE
        return events

    def _read_head(self) -> list[Event]:
        head = _read_head(self.held)
        if isinstance(head, _Stage):
            too_long = head is _Stage.HEAD and len(self.held) > MAX_HEAD_CHARS
            self._stage = _Stage.INVALID if too_long else head
            return []
        name, at, has_arguments = head
        if at > MAX_HEAD_CHARS:
            self._stage = _Stage.INVALID
            return []
        self.held = self.held[at:]
        self._stage = _Stage.ARGUMENTS if has_arguments else _Stage.DONE
        return [CallStart(name)] if has_arguments else [CallStart(name), CallArguments("{}")]

    def _read_whole(self) -> list[Event]:
        end = self._scanner.end(self.held[self._scanned :])
        if end is None:
            self._scanned = len(self.held)
            return []
        end += self._scanned
        call = read_call(self.held[:end])
        if call is None:
            self._stage = _Stage.INVALID
            return []
        self.held, self._stage = self.held[end:], _Stage.DONE
        return call


def _read_head(text: str) -> tuple[str, int, bool] | _Stage:  # noqa: C901, PLR0911, PLR0912 - one state machine
    """Name, end, and True if the arguments begin there; or the stage that the text is in."""
    at, name = _skip(text, 0), None
    if at == len(text):
        return _Stage.HEAD
    if text[at] != "{":
        return _Stage.INVALID
    at = _skip(text, at + 1)
    while at < len(text):
        if text[at] == "}" and name is not None:
            return name, at + 1, False
        key, at = _read_value(text, at)
        if not isinstance(key, str):
            return key if isinstance(key, _Stage) else _Stage.INVALID
        at = _skip(text, at)
        if at == len(text):
            return _Stage.HEAD
        if text[at] != ":":
            return _Stage.INVALID
        at = _skip(text, at + 1)
        if at == len(text):
            return _Stage.HEAD
        if key in ARGUMENTS:
            if text[at] == "{":
                return (name, at, True) if name is not None else _Stage.WHOLE
            return _Stage.WHOLE if text[at] in '"n' else _Stage.INVALID
        value, at = _read_value(text, at)
        if isinstance(value, _Stage):
            return value
        if key == "name":
            if not isinstance(value, str) or not _is_text(value):
                return _Stage.INVALID
            name = value
        at = _skip(text, at)
        if at < len(text) and text[at] == ",":
            at = _skip(text, at + 1)
        elif at < len(text) and (text[at] != "}" or name is None):
            return _Stage.INVALID
    return _Stage.HEAD


def _read_value(text: str, at: int) -> tuple[Any, int]:
    """A JSON value and its end; HEAD if it is incomplete, INVALID if it is no value."""
    if text[at] == '"':
        found = _STRING.match(text, at)
        end = found.end() if found else None
    elif text[at] in "{[":
        size = ValueScanner().end(text[at:])
        end = None if size is None else at + size
    else:
        found = _SCALAR.match(text, at)
        if found is None and not re.fullmatch(r"[\w.+-]+", text[at:]):
            return _Stage.INVALID, at
        end = found.end() if found else None
    if end is None:
        return _Stage.HEAD, at
    try:
        return json.loads(text[at:end]), end
    except (ValueError, RecursionError):
        return _Stage.INVALID, at


def _skip(text: str, at: int) -> int:
    found = _SPACE.match(text, at)
    return found.end() if found else at


def _is_text(text: str) -> bool:
    """False for lone surrogates: JSON can contain them, UTF-8 cannot."""
    return not any("\ud800" <= letter <= "\udfff" for letter in text)


def read_call(text: str) -> list[Event] | None:
    """A complete call; None if it is none, or cannot be sent."""
    try:
        body: Any = json.loads(text)
        arguments: Any = next((body[key] for key in ARGUMENTS if key in body), None)
        if isinstance(arguments, str):
            arguments = json.loads(arguments)
        if arguments is None:
            arguments = {}
        if not isinstance(arguments, dict) or not isinstance(body["name"], str):
            return None
        spelt = json.dumps(arguments, ensure_ascii=False, allow_nan=False)
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
    return [CallStart(body["name"]), CallArguments(spelt)] if _is_text(body["name"] + spelt) else None
