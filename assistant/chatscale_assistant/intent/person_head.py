"""A second sign that a customer needs a person, for messages that no pattern matches: a logistic head on the vectors of
the Universal Sentence Encoder, trained by `hack/person_head.py`. Pure.

A head cannot read a negation, so a message that declines a person never reaches it.
"""

import json
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from chatscale_assistant.intent.patterns import Intent
from chatscale_assistant.intent.person import mentions_without_request

_FILE: Final = "person_head.json"
LIKELY: Final = 0.0
"""Score from which a message of no other intent needs a person."""
CERTAIN: Final = 1.0
"""Score that it takes if the message has another intent too."""
_NEVER: Final = frozenset(
    {
        Intent.PERSON, Intent.OUT_OF_SCOPE, Intent.WHO_ANSWERS, Intent.GREETING, Intent.THANKS, Intent.GOODBYE,
        Intent.SMALL_TALK,
    }
)  # fmt: skip
_FEWEST: Final = 2
"""Characters of a message that is worth a score."""
MOST: Final = 300
"""Characters of a message that is worth a score: a longer one has other matters."""


@dataclass(frozen=True, slots=True)
class PersonHead:
    """Weights for vectors of one encoder."""

    encoder: str
    weights: NDArray[np.float32]
    """[dimensions]."""
    bias: float

    def score(self, vector: NDArray[np.float32]) -> float:
        """Logit of the probability that the message [dimensions] needs a person."""
        return float(vector @ self.weights) + self.bias


@cache
def packaged_person_head() -> PersonHead:
    """The head of this package."""
    data: dict[str, Any] = json.loads(files(__package__).joinpath(_FILE).read_text(encoding="utf-8"))
    return PersonHead(data["encoder"], np.asarray(data["weights"], dtype=np.float32), float(data["bias"]))


def needed_score(text: str, intent: Intent) -> float | None:
    """The score from which a message needs a person; None if its score says nothing."""
    if intent in _NEVER or not _FEWEST <= len(text.strip()) <= MOST or mentions_without_request(text):
        return None
    return LIKELY if intent is Intent.UNKNOWN else CERTAIN
