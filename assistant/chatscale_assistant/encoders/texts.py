"""What every encoder does to texts and vectors."""

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

MAX_CHARACTERS: Final = 4000
"""An encoder reads this much of a text. Chunks are shorter; a longer question carries no more meaning."""


def clean(texts: Sequence[str]) -> list[str]:
    """Texts that any encoder accepts: no NUL (C code would stop there), no lone surrogates, bounded length."""
    return [
        text[:MAX_CHARACTERS].replace("\x00", " ").encode("utf-8", "replace").decode("utf-8") or " " for text in texts
    ]


def normalise(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Vectors [texts, dimensions] of length 1. A zero vector stays zero: it is similar to nothing."""
    vectors = np.nan_to_num(np.asarray(vectors, dtype=np.float32), nan=0.0, posinf=0.0, neginf=0.0)
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.ascontiguousarray(vectors / np.where(lengths > 0, lengths, 1), dtype=np.float32)
