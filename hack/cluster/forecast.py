"""How far a run is, and how long the rest takes: pure arithmetic over the steps that it expects."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

LEARNING_S = 60.0
"""The observed speed counts fully only after several times this: the first steps say little about the machine."""
RUNNING_AT_MOST = 0.95
"""A step that takes longer than estimated stays just below its end."""


@dataclass(frozen=True, slots=True)
class Forecast:
    """What is behind a run and before it."""

    done: float
    """Share of the expected work, 0 to 1."""
    remaining_s: float

    def describe(self) -> str:
        """Put it into words: "38 % done, about 9 min left"."""
        minutes = self.remaining_s / 60
        left = "less than a minute" if minutes < 1 else f"about {minutes:.0f} min"
        return f"{self.done:.0%} done, {left} left".replace("%", " %")


def forecast(
    expected_s: Mapping[str, float], ended: Collection[str], running_s: Mapping[str, float], elapsed_s: float
) -> Forecast | None:
    """Scale the estimates by the observed speed; None where nothing is expected.

    `expected_s`: step -> how long it takes on a machine of known speed, in a run like this.
    `running_s`: step -> how long it has been running.

    E.g. steps of 100 s and 300 s, the first ended after 200 s: a quarter is done.  The estimate of the rest grows
    from 300 s towards the observed 600 s: 300 * (200 + 60) / (100 + 60) = 488 s.
    """
    total_s = sum(expected_s.values())
    if not total_s:
        return None
    done_s = sum(expected_s[name] for name in ended if name in expected_s)
    done_s += sum(
        min(so_far_s, RUNNING_AT_MOST * expected_s[name]) for name, so_far_s in running_s.items() if name in expected_s
    )
    slowness = (elapsed_s + LEARNING_S) / (done_s + LEARNING_S)
    return Forecast(done=done_s / total_s, remaining_s=(total_s - done_s) * slowness)
