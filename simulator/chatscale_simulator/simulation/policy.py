"""The interface of a scaling policy."""

from typing import Protocol

from chatscale_simulator.simulation.snapshot import MetricsSnapshot


class Policy(Protocol):
    """A rule for the replica count. One object serves one run and may keep state.

    `period_s`: seconds between its decisions. `reads_live`: whether it reads the present metrics instead of the last
    scrape. Both apply in the native track only. The run keeps the count within the bounds.
    """

    period_s: float
    reads_live: bool

    def decide(self, snapshot: MetricsSnapshot) -> int:
        """Return the recommended replica count. Called once per period with ascending `snapshot.now_s`."""
        ...
