"""The text side of a running sequence: tokens become text that may go out, each score beside its text. Pure."""

from collections import deque
from dataclasses import dataclass, field, replace

from chatscale_server.engine.detokenize import Decoder, StopFilter
from chatscale_server.engine.request import Score


@dataclass(frozen=True, slots=True)
class Piece:
    """What may go out now."""

    text: str
    scores: tuple[Score, ...] = ()
    stopped: bool = False
    """A stop string was met; it is not part of any text."""


@dataclass(slots=True)
class Answer:
    """Everything said so far that has not gone out yet."""

    decoder: Decoder
    stop: StopFilter
    _decoded_chars: int = 0
    _out_chars: int = 0
    _held: deque[tuple[Score, int]] = field(default_factory=deque)
    """Scores whose text is held back, each with the length of the answer up to the end of its text."""

    def push(self, token: int, score: Score | None = None) -> Piece:
        """The next token, which is not an end token."""
        offset = self._decoded_chars
        text = self.decoder.push(token)
        self._decoded_chars += len(text)
        if score is not None:
            self._held.append((replace(score, offset=offset), self._decoded_chars))
        return self._pass_on(text)

    def end(self) -> Piece:
        """The last text: what the decoder and the filter still hold."""
        piece = self._pass_on(self.decoder.flush())
        if piece.stopped:
            return piece
        scores = (*piece.scores, *(score for score, _end in self._held))
        return Piece(piece.text + self.stop.flush(), scores)

    def _pass_on(self, text: str) -> Piece:
        out, stopped = self.stop.push(text)
        self._out_chars += len(out)
        scores = []
        while self._held and self._is_out(*self._held[0], stopped=stopped):
            scores.append(self._held.popleft()[0])
        return Piece(out, tuple(scores), stopped)

    def _is_out(self, score: Score, end: int, *, stopped: bool) -> bool:
        """A token that a stop string cuts in two has gone out with its first half."""
        return score.offset < self._out_chars if stopped else end <= self._out_chars
