"""Nearest passages by vector: in memory from the index file, or in Postgres."""

from collections.abc import Sequence
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from chatscale_assistant.domain.interfaces import Encoder
from chatscale_assistant.index.snapshot import Snapshot

NEAREST: Final = 50
"""Passages of one search that are compared with those of the others."""


class Vectors(Protocol):
    """The vectors of one index version. Used in the worker thread."""

    def nearest(self, encoder: str, question: NDArray[np.float32], source: str | None, limit: int) -> dict[int, float]:
        """Numbers of the passages next to a vector of length 1, and their cosine similarities.

        Raises SourceError if the store cannot be reached.
        """
        ...

    def missing(self, encoder: str) -> frozenset[int]:
        """Passages that are not embedded yet."""
        ...


class MemoryVectors(Vectors):
    """Exact search with numpy: 2 ms for 10,000 passages, 17 ms for 100,000."""

    def __init__(self, snapshot: Snapshot, encoders: Sequence[Encoder]) -> None:
        self._matrices = {each.name: snapshot.matrix(each.name, each.dimensions) for each in encoders}
        names = sorted(set(snapshot.sources))
        self._number_of = {name: number for number, name in enumerate(names)}
        self._sources = np.array([self._number_of[name] for name in snapshot.sources], dtype=np.int64)
        everything = range(len(snapshot.sources))
        self._missing = {
            name: frozenset(everything).difference(matrix.passages.tolist()) for name, matrix in self._matrices.items()
        }

    @override
    def nearest(self, encoder: str, question: NDArray[np.float32], source: str | None, limit: int) -> dict[int, float]:
        matrix = self._matrices[encoder]
        passages, vectors = matrix.passages, matrix.vectors
        if source is not None:
            allowed = self._sources[passages] == self._number_of.get(source, -1)
            passages, vectors = passages[allowed], vectors[allowed]
        similarities = vectors @ question
        if len(passages) > limit:
            best = np.argpartition(-similarities, limit - 1)[:limit]
            passages, similarities = passages[best], similarities[best]
        return dict(zip(passages.tolist(), similarities.tolist(), strict=True))

    @override
    def missing(self, encoder: str) -> frozenset[int]:
        return self._missing[encoder]
