"""What a parser finds in generated text. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Content:
    """Text for the user."""

    text: str


@dataclass(frozen=True, slots=True)
class Reasoning:
    """Text of the model's reasoning."""

    text: str


@dataclass(frozen=True, slots=True)
class CallStart:
    """The model calls a function. Its arguments follow."""

    name: str


@dataclass(frozen=True, slots=True)
class CallArguments:
    """A part of the arguments of the last call: JSON text, as the model generated it."""

    text: str


Event = Content | Reasoning | CallStart | CallArguments


class Parser(Protocol):
    """Splits generated text that arrives in parts. How the text is split changes no event but its pieces."""

    def push(self, text: str) -> list[Event]:
        """Add text; the events that are certain now."""
        ...

    def end(self) -> list[Event]:
        """The rest. A call that is cut short is no content: what is known of it is sent, or nothing."""
        ...


def partial_mark(text: str, marks: Sequence[str]) -> int:
    """Length of the longest end of `text` that is the start of a mark."""
    longest = max(map(len, marks)) - 1
    sizes = range(min(longest, len(text)), 0, -1)
    return next((size for size in sizes if any(mark.startswith(text[-size:]) for mark in marks if size < len(mark))), 0)


def first_mark(text: str, marks: Sequence[str]) -> tuple[int, str] | None:
    """Place and mark of the first mark in the text; of two at one place the longest."""
    found = [(at, -len(mark), mark) for mark in marks if (at := text.find(mark)) >= 0]
    if not found:
        return None
    at, _size, mark = min(found)
    return at, mark


def spaced_partial_mark(text: str, marks: Sequence[str]) -> int:
    """Like `partial_mark`, with the white space before it. White space before a mark is not sent."""
    kept = text[: len(text) - partial_mark(text, marks)].rstrip()
    return len(text) - len(kept)
