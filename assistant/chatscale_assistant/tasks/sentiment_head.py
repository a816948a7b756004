"""A logistic head on the vectors of multilingual-e5-small: 384 weights, trained by `hack/sentiment_head.py`.

The weights are data of this package; `provenance` in the file names the training sets, their licences and the protocol.
"""

import json
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from chatscale_assistant.errors import InvalidRequestError

_FILE: Final = "sentiment_head.json"


@dataclass(frozen=True, slots=True)
class SentimentHead:
    """Weights for vectors of one encoder."""

    name: str
    encoder: str
    """The encoder that the weights were trained on."""
    centre: NDArray[np.float32]
    """[dimensions], subtracted from each vector: e5's vectors all point the same way."""
    weights: NDArray[np.float32]
    """[dimensions]."""
    bias: float

    def positive(self, vectors: NDArray[np.float32]) -> NDArray[np.float64]:
        """Probability that each of the texts [texts, dimensions] is positive.

        Raises InvalidRequestError if the vectors come from an encoder of another size.
        """
        if vectors.shape[1] != len(self.weights):
            raise InvalidRequestError(
                f"sentiment: expected an encoder with {len(self.weights)} dimensions ({self.encoder}), found "
                f"{vectors.shape[1]}"
            )
        logits = (vectors - self.centre) @ self.weights + self.bias
        result: NDArray[np.float64] = 1 / (1 + np.exp(-np.clip(logits.astype(np.float64), -50, 50)))
        return result


def head_from_json(data: dict[str, Any]) -> SentimentHead:
    """The head of the file's content."""
    return SentimentHead(
        name=data["name"],
        encoder=data["encoder"],
        centre=np.asarray(data["centre"], dtype=np.float32),
        weights=np.asarray(data["weights"], dtype=np.float32),
        bias=float(data["bias"]),
    )


@cache
def packaged_head() -> SentimentHead:
    """The head of this package."""
    return head_from_json(json.loads(files(__package__).joinpath(_FILE).read_text(encoding="utf-8")))
