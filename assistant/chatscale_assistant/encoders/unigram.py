"""The unigram tokenizer of XLM-RoBERTa: the most likely division of a text into pieces (T. Kudo, "Subword
regularization", ACL 2018), found by Viterbi's algorithm.
"""

from array import array
from collections.abc import Mapping, Sequence
from typing import Final

SPACE: Final = "\u2581"
"""Stands for a space in pieces."""
_UNKNOWN_PENALTY: Final = 10.0
"""An unknown character is this much less likely than the least likely piece."""


class Vocabulary:
    """Pieces and their logarithmic probabilities."""

    def __init__(
        self,
        pieces: Sequence[str],
        scores: Sequence[float],
        begin: int,
        end: int,
        unknown: int,
        replacements: Mapping[str, str],
    ) -> None:
        """begin, end, unknown: numbers of these pieces. replacements: characters that are normalised."""
        self._numbers = {piece: number for number, piece in enumerate(pieces) if piece and number != unknown}
        self._scores = array("f", scores)
        self._longest = max(map(len, pieces))
        self._begin, self._end, self._unknown = begin, end, unknown
        self._unknown_score = min(scores) - _UNKNOWN_PENALTY
        self._replacements = str.maketrans(dict(replacements))

    def windows(self, text: str, size: int) -> list[list[int]]:
        """Numbers of the pieces, between begin and end; several lists of at most `size` numbers for a long text."""
        found = self._divided(self._normalised(text))
        own = size - 2
        parts = [found[at : at + own] for at in range(0, len(found), own)] or [[]]
        return [[self._begin, *part, self._end] for part in parts]

    def _normalised(self, text: str) -> str:
        replaced = text.translate(self._replacements)
        while "  " in replaced:
            replaced = replaced.replace("  ", " ")
        return (replaced if replaced.startswith(" ") else f" {replaced}").replace(" ", SPACE)

    def _divided(self, text: str) -> list[int]:
        length = len(text)
        best = [0.0, *[float("-inf")] * length]
        last = [(0, self._unknown)] * (length + 1)
        """Of the best division up to here: where its last piece begins, and its number."""
        numbers, scores = self._numbers, self._scores
        for start in range(length):
            so_far = best[start]
            if so_far + self._unknown_score > best[start + 1]:
                best[start + 1] = so_far + self._unknown_score
                last[start + 1] = (start, self._unknown)
            for stop in range(start + 1, min(length, start + self._longest) + 1):
                number = numbers.get(text[start:stop])
                if number is not None and so_far + scores[number] > best[stop]:
                    best[stop] = so_far + scores[number]
                    last[stop] = (start, number)
        found = []
        at = length
        while at > 0:
            at, piece = last[at]
            found.append(piece)
        return found[::-1]
