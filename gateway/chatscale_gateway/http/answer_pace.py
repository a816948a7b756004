"""How fast answers that are not streamed become longer. Pure.

A client that leaves before such an answer is complete leaves no count of its tokens. The time that it took and the pace
of complete answers give an estimate.
"""

from typing import Final

from chatscale_gateway.routing.catalog import ModelKey
from chatscale_gateway.routing.outcomes import Usage

_WEIGHT: Final = 0.1
"""Of the newest answer in the mean. A guess: about the last 20 answers count."""


class AnswerPace:
    """Mean seconds per output token by model, from the place on a replica to the end of the answer."""

    def __init__(self) -> None:
        self._seconds: dict[ModelKey, float] = {}

    def of(self, model: ModelKey) -> float | None:
        """None before the first answer."""
        return self._seconds.get(model)

    def record(self, model: ModelKey, usage: Usage, elapsed_s: float) -> None:
        """Add a complete answer. One without tokens, or with the replica's guess, changes nothing."""
        if usage.estimated or usage.generated_tokens == 0 or elapsed_s <= 0:
            return
        found = elapsed_s / usage.generated_tokens
        before = self._seconds.get(model, found)
        self._seconds[model] = before + _WEIGHT * (found - before)
