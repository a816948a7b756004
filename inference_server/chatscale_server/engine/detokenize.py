"""Output tokens to text that may be sent: complete characters only, and nothing that may become a stop string. Pure."""

import codecs
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Protocol

from chatscale_server.engine.request import Score


class Decoder(Protocol):
    """Incremental detokenization of one sequence."""

    def push(self, token: int) -> str:
        """Text that the token completes; empty while a character is incomplete."""
        ...

    def flush(self) -> str:
        """The remaining text at the end. An incomplete character is dropped."""
        ...


class BytesDecoder:
    """Decoder of tokens whose exact bytes are known. Invalid bytes become U+FFFD.

    stripped: number of spaces that the tokenizer removes from the start of the output.
    """

    def __init__(self, token_bytes: Callable[[int], bytes], stripped: int = 0) -> None:
        self._token_bytes = token_bytes
        self._stripped = stripped
        self._decode = codecs.getincrementaldecoder("utf-8")("replace").decode

    def push(self, token: int) -> str:
        """See Decoder."""
        text = self._decode(self._token_bytes(token))
        while text and self._stripped:
            if not text.startswith(" "):
                self._stripped = 0
                break
            text, self._stripped = text[1:], self._stripped - 1
        return text

    def flush(self) -> str:
        """See Decoder."""
        return ""


@dataclass(slots=True)
class StopFilter:
    """Passes text on, and cuts it before the stop string that is completed first, however the text is split."""

    stops: tuple[str, ...]
    active: bool = True
    """False: text passes unchecked."""
    _held: str = ""

    def push(self, text: str) -> tuple[str, bool]:
        """Add text. Returns (text that may be sent, True if a stop string was found)."""
        if not self.stops or not self.active:
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
        """The text that was held back. Call it at the end of the output."""
        out, self._held = self._held, ""
        return out


def _overlap(text: str, stop: str) -> int:
    """Length of the longest proper prefix of `stop` that ends `text`."""
    for length in range(min(len(stop) - 1, len(text)), 0, -1):
        if text.endswith(stop[:length]):
            return length
    return 0


@dataclass(frozen=True, slots=True)
class TextPiece:
    """Text that may be sent now."""

    text: str
    scores: tuple[Score, ...] = ()
    stopped: bool = False
    """True if a stop string was found. It is not part of the text."""


@dataclass(slots=True)
class SequenceText:
    """The text side of a running sequence: decodes tokens, applies stop strings, keeps scores beside their text."""

    decoder: Decoder
    stop: StopFilter
    _decoded_chars: int = 0
    _sent_chars: int = 0
    _held: deque[tuple[Score, int]] = field(default_factory=deque)
    """Scores whose text is held back, each with the length of the output up to the end of its text."""

    def push(self, token: int, score: Score | None = None) -> TextPiece:
        """Add the next token, which must not be an end token."""
        offset = self._decoded_chars
        text = self.decoder.push(token)
        self._decoded_chars += len(text)
        if score is not None:
            self._held.append((replace(score, offset=offset), self._decoded_chars))
        return self._release(text)

    def end(self) -> TextPiece:
        """The last text: what the decoder and the stop filter still hold."""
        piece = self._release(self.decoder.flush())
        if piece.stopped:
            return piece
        scores = (*piece.scores, *(score for score, _end in self._held))
        return TextPiece(piece.text + self.stop.flush(), scores)

    def _release(self, text: str) -> TextPiece:
        out, stopped = self.stop.push(text)
        self._sent_chars += len(out)
        scores = []
        while self._held and self._is_sent(*self._held[0], stopped=stopped):
            scores.append(self._held.popleft()[0])
        return TextPiece(out, tuple(scores), stopped)

    def _is_sent(self, score: Score, end: int, *, stopped: bool) -> bool:
        """True if the token's text was sent. For a token that a stop string cuts in two, its first half is enough."""
        return score.offset < self._sent_chars if stopped else end <= self._sent_chars
