"""From tokens to text that may go out: nothing that could still become a stop string is let through."""

from dataclasses import dataclass
from typing import Protocol


class Decoder(Protocol):
    """Incremental decoding of one answer."""

    def push(self, token: int) -> str:
        """Text that the token completes; empty while a character's bytes are incomplete."""
        ...


@dataclass(slots=True)
class StopFilter:
    """Passes text on and cuts it before the first stop string, across any split into pieces."""

    stops: tuple[str, ...]
    _held: str = ""

    def push(self, text: str) -> tuple[str, bool]:
        """Take text in; give (text that may go out, whether a stop string was met)."""
        if not self.stops:
            return text, False
        self._held += text
        found = [at for stop in self.stops if (at := self._held.find(stop)) >= 0]
        if found:
            out, self._held = self._held[: min(found)], ""
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
