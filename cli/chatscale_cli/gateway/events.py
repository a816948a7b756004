"""Reads the stream of a chat answer: server-sent events with OpenAI's chunks. Pure."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from chatscale_cli.errors import GatewayError
from chatscale_cli.gateway.problems import describe_error

MAX_LINE_BYTES: Final = 16 * 1024**2
"""A chunk is much shorter. Without a limit a line without an end would fill the memory."""
_DATA: Final = b"data:"
_DONE: Final = b"[DONE]"
_COMMENT: Final = b":"
_OK: Final = 200


@dataclass(frozen=True, slots=True)
class Waiting:
    """A keep-alive: the request waits for a replica."""


@dataclass(frozen=True, slots=True)
class Text:
    """A part of one answer."""

    choice: int
    """From 0."""
    text: str
    reasoning: bool = False
    """The model's reasoning before the answer."""


@dataclass(frozen=True, slots=True)
class Finished:
    """The end of one answer."""

    choice: int
    reason: str
    """`stop`, `length` or another reason of OpenAI."""


Event = Waiting | Text | Finished


class StreamReader:
    """Splits the bytes of one stream into events."""

    def __init__(self) -> None:
        self._rest = b""
        self.done = False
        """The stream ended as a complete answer."""

    def feed(self, part: bytes) -> Iterator[Event]:
        """Raises GatewayError for an error event and for what is no chunk."""
        *lines, self._rest = (self._rest + part).split(b"\n")
        if len(self._rest) > MAX_LINE_BYTES:
            raise GatewayError(f"the stream has a line of more than {MAX_LINE_BYTES} bytes")
        for line in lines:
            yield from self._read(line.rstrip(b"\r"))

    def _read(self, line: bytes) -> Iterator[Event]:
        if line.startswith(_COMMENT):
            yield Waiting()
        if self.done or not line.startswith(_DATA):
            return
        content = line.removeprefix(_DATA).strip()
        if content == _DONE:
            self.done = True
        if not content or self.done:
            return
        try:
            chunk = json.loads(content)
        except (ValueError, RecursionError) as error:
            raise GatewayError("the stream has an event that is not JSON") from error
        yield from read_chunk(chunk)


def read_chunk(chunk: Any) -> Iterator[Event]:
    """The events of one chunk, or of a complete answer. Raises GatewayError for an error object."""
    if not isinstance(chunk, dict):
        raise GatewayError(f"the stream has an event that is no object, found {type(chunk).__name__}")
    if isinstance(chunk.get("error"), dict):
        raise describe_error(_OK, chunk["error"])
    choices = chunk.get("choices")
    for choice in choices if isinstance(choices, list) else ():
        if isinstance(choice, dict):
            yield from _read_choice(choice)


def _read_choice(choice: dict[str, Any]) -> Iterator[Event]:
    number = choice.get("index")
    index = number if isinstance(number, int) else 0
    found = choice.get("delta") or choice.get("message") or {}
    delta = found if isinstance(found, dict) else {}
    reasoning, content = delta.get("reasoning_content") or delta.get("reasoning"), delta.get("content")
    reason = choice.get("finish_reason")
    if isinstance(reasoning, str) and reasoning:
        yield Text(index, reasoning, reasoning=True)
    if isinstance(content, str) and content:
        yield Text(index, content)
    if isinstance(reason, str):
        yield Finished(index, reason)
    elif not delta:
        yield Waiting()
