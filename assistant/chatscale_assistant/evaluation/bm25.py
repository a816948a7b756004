"""The baseline of retrieval: BM25 over words, without stemming, translation or encoders. Pure."""

import re
from collections import Counter
from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

_WORD: Final = re.compile(r"\w+")
_K1: Final = 1.2
_B: Final = 0.75


class Bm25:
    """Scores texts by the words that they share with a question."""

    def __init__(self, texts: Sequence[str]) -> None:
        counts = [Counter(_words(text)) for text in texts]
        lengths = np.asarray([sum(each.values()) for each in counts], dtype=np.float64)
        norm = _K1 * (1 - _B + _B * lengths / max(float(lengths.mean()), 1.0))
        self._weights: dict[str, NDArray[np.float64]] = {}
        for word in set().union(*counts):
            frequency = np.asarray([each[word] for each in counts], dtype=np.float64)
            found = int((frequency > 0).sum())
            idf = np.log(1 + (len(counts) - found + 0.5) / (found + 0.5))
            self._weights[word] = idf * frequency * (_K1 + 1) / (frequency + norm)
        self._count = len(counts)

    def scores(self, question: str) -> NDArray[np.float64]:
        """One score per text; 0 without a common word."""
        found = [self._weights[word] for word in set(_words(question)) if word in self._weights]
        return np.sum(found, axis=0) if found else np.zeros(self._count)

    def best(self, question: str, limit: int) -> list[int]:
        """The indices of the best texts, best first; only texts with a common word."""
        scores = self.scores(question)
        return [int(index) for index in np.argsort(-scores, kind="stable")[:limit] if scores[index] > 0]


def _words(text: str) -> list[str]:
    return _WORD.findall(text.casefold())
