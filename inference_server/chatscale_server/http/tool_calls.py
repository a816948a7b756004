"""Calls of tools in an answer's text: <tool_call>{"name": ..., "arguments": {...}}</tool_call>. Pure.

The form of Hermes and Qwen models. What looks like a call and is none stays text.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

OPEN: Final = "<tool_call>"
CLOSE: Final = "</tool_call>"


@dataclass(frozen=True, slots=True)
class Call:
    """One call, as the model wrote it."""

    name: str
    arguments: str
    """A JSON object."""


def call_schema(functions: Sequence[tuple[str, dict[str, Any]]]) -> dict[str, Any]:
    """The JSON schema of a call of one of these functions, each with the schema of its arguments."""
    calls, definitions = [], {}
    for at, (name, arguments) in enumerate(functions):
        place = f"#/$defs/{at}"
        definitions[str(at)] = _moved(arguments, place)
        members = {"name": {"const": name}, "arguments": {"$ref": place}}
        calls.append({"type": "object", "properties": members, "required": [*members], "additionalProperties": False})
    return {"anyOf": calls, "$defs": definitions}


def _moved(part: Any, place: str) -> Any:
    """The same schema with its local references as they must read once it stands at `place`."""
    if isinstance(part, list):
        return [_moved(item, place) for item in part]
    if not isinstance(part, dict):
        return part
    return {
        key: place + value[1:]
        if key == "$ref" and isinstance(value, str) and value.startswith("#")
        else _moved(value, place)
        for key, value in part.items()
    }


@dataclass(slots=True)
class ToolCallParser:
    """Takes an answer piece by piece; gives content and whole calls in their order."""

    calls: int = 0
    _held: str = ""
    _inside: bool = field(default=False)

    def push(self, text: str) -> list[str | Call]:
        """What is certain now."""
        self._held += text
        return [part for part in self._parts() if part]

    def end(self) -> list[str | Call]:
        """The rest: a call whose last mark is missing counts if it is whole, white space after a call does not."""
        rest, self._held = self._held, ""
        if self._inside:
            call = _parse(rest)
            self.calls += call is not None
            return [call or OPEN + rest]
        return [rest] if rest.strip() or (rest and not self.calls) else []

    def _parts(self) -> Iterator[str | Call]:
        while True:
            mark = CLOSE if self._inside else OPEN
            at = self._held.find(mark)
            if at < 0:
                break
            before, self._held = self._held[:at], self._held[at + len(mark) :]
            if not self._inside:
                yield before.rstrip()
            elif (call := _parse(before)) is not None:
                self.calls += 1
                yield call
            else:
                yield OPEN + before + CLOSE
            self._inside = not self._inside
        if not self._inside:
            cut = self._certain()
            out, self._held = self._held[:cut], self._held[cut:]
            yield out

    def _certain(self) -> int:
        """Length of what no call can follow: white space before a call is no content, and its mark is none."""
        size = next((n for n in range(len(OPEN) - 1, 0, -1) if self._held.endswith(OPEN[:n])), 0)
        return len(self._held[: len(self._held) - size].rstrip())


def _parse(text: str) -> Call | None:
    """None for what is no call, or none that can be sent: a lone surrogate is no text, NaN and 1e999 are not JSON."""
    try:
        body: Any = json.loads(text)
        if not isinstance(body, dict) or not isinstance(body.get("name"), str):
            return None
        arguments = body.get("arguments", {})
        if not isinstance(arguments, dict):
            return None
        call = Call(body["name"], json.dumps(arguments, ensure_ascii=False, allow_nan=False))
        (call.name + call.arguments).encode()
    except (ValueError, RecursionError):
        return None
    return call
