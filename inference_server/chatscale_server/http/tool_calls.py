"""Tool calls in generated text: <tool_call>{"name": ..., "arguments": {...}}</tool_call>. Pure.

This is the format of Hermes and Qwen models. Text between the tags that is not a valid call stays text.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

OPEN: Final = "<tool_call>"
CLOSE: Final = "</tool_call>"


@dataclass(frozen=True, slots=True)
class ParsedToolCall:
    """One tool call, as the model generated it."""

    name: str
    arguments: str
    """A JSON object, as text."""


def call_schema(functions: Sequence[tuple[str, dict[str, Any]]]) -> dict[str, Any]:
    """JSON schema of a call of one of these functions. functions: (name, schema of the arguments)."""
    calls, definitions = [], {}
    for at, (name, arguments) in enumerate(functions):
        place = f"#/$defs/{at}"
        definitions[str(at)] = _moved(arguments, place)
        members = {"name": {"const": name}, "arguments": {"$ref": place}}
        calls.append({"type": "object", "properties": members, "required": [*members], "additionalProperties": False})
    return {"anyOf": calls, "$defs": definitions}


def _moved(part: Any, place: str) -> Any:
    """The schema with its local references rewritten for its new location `place`."""
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
    """Splits text that arrives in parts into content and complete calls, in order."""

    calls: int = 0
    _held: str = ""
    _inside: bool = field(default=False)

    def push(self, text: str) -> list[str | ParsedToolCall]:
        """Add text; the content and calls that are complete now."""
        self._held += text
        return [part for part in self._parts() if part]

    def end(self) -> list[str | ParsedToolCall]:
        """The rest. A complete call without its closing tag counts; white space after a call is dropped."""
        rest, self._held = self._held, ""
        if self._inside:
            call = _parse(rest)
            self.calls += call is not None
            return [call or OPEN + rest]
        return [rest] if rest.strip() or (rest and not self.calls) else []

    def _parts(self) -> Iterator[str | ParsedToolCall]:
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
        """Length of the held text that is content. White space and a partial tag at its end may belong to a call."""
        size = next((n for n in range(len(OPEN) - 1, 0, -1) if self._held.endswith(OPEN[:n])), 0)
        return len(self._held[: len(self._held) - size].rstrip())


def _parse(text: str) -> ParsedToolCall | None:
    """None if it is not a call, or cannot be sent: lone surrogates are not valid text, NaN and 1e999 not valid JSON."""
    try:
        body: Any = json.loads(text)
        if not isinstance(body, dict) or not isinstance(body.get("name"), str):
            return None
        arguments = body.get("arguments", {})
        if not isinstance(arguments, dict):
            return None
        call = ParsedToolCall(body["name"], json.dumps(arguments, ensure_ascii=False, allow_nan=False))
        (call.name + call.arguments).encode()
    except (ValueError, RecursionError):
        return None
    return call
