"""From tokens to text that may go out: whole characters only, and nothing that could still become a stop string."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

REPLACEMENT: Final = "\ufffd"
"""What tokenizers decode incomplete or invalid bytes to."""
MAX_HELD_TOKENS: Final = 8
"""A character has at most four bytes and a byte at most one token; longer runs are invalid, so they go out."""


class Decoder(Protocol):
    """Incremental decoding of one answer."""

    def push(self, token: int) -> str:
        """Text that the token completes; empty while a character's bytes are incomplete."""
        ...

    def flush(self) -> str:
        """What is left at the end; an incomplete character is dropped."""
        ...


@dataclass(slots=True)
class WindowDecoder:
    """Decodes a short window again with each token, since a token's text depends on its left neighbours."""

    decode: Callable[[Sequence[int]], str]
    _window: list[int] = field(default_factory=list)
    _emitted: int = 0
    """Tokens at the window's start whose text has gone out; they stay as context for the next ones."""

    def push(self, token: int) -> str:
        """See Decoder."""
        self._window.append(token)
        held = len(self._window) - self._emitted
        text = self._fresh_text()
        if not text and held > MAX_HELD_TOKENS:
            # Tokens without text, such as special ones: a stream of them must not make the window grow.
            del self._window[self._emitted :]
        if not text or (text.endswith(REPLACEMENT) and held <= MAX_HELD_TOKENS):
            return ""
        self._window = self._window[self._emitted :]
        self._emitted = len(self._window)
        return text

    def flush(self) -> str:
        """See Decoder."""
        return self._fresh_text().rstrip(REPLACEMENT)

    def _fresh_text(self) -> str:
        before = self.decode(self._window[: self._emitted])
        return self.decode(self._window)[len(before) :]


@dataclass(slots=True)
class StopFilter:
    """Passes text on and cuts it before the stop string that is complete first, however the text is split."""

    stops: tuple[str, ...]
    _held: str = ""

    def push(self, text: str) -> tuple[str, bool]:
        """Take text in; give (text that may go out, whether a stop string was met)."""
        if not self.stops:
            return text, False
        self._held += text
        found = [(at + len(stop), at) for stop in self.stops if (at := self._held.find(stop)) >= 0]
        if found:
            out, self._held = self._held[: min(found)[1]], ""
            return out, True
        keep = max(_overlap(self._held, stop) for stop in self.stops)
        cut = len(self._held) - keep
        out, self._held = self._held[:cut], self._held[cut:]
        return out, False

    def flush(self) -> str:
        """What was held back, once no more text will come."""
        out, self._held = self._held, ""
        return out


def _overlap(text: str, stop: str) -> int:
    """Length of the longest proper prefix of `stop` that ends `text`."""
    for length in range(min(len(stop) - 1, len(text)), 0, -1):
        if text.endswith(stop[:length]):
            return length
    return 0
