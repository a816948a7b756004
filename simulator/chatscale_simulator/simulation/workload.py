"""The requests of a run."""

from dataclasses import dataclass

from chatscale_simulator.simulation.arrays import FloatArray, IntArray


@dataclass(frozen=True, slots=True)
class Workload:
    """Requests in order of arrival; arrays of one length."""

    arrival_s: FloatArray
    """Seconds from the start, ascending."""
    prompt_tokens: IntArray
    """At least 1."""
    output_tokens: IntArray
    """At least 1."""

    @property
    def duration_s(self) -> float:
        """Time of the last arrival."""
        return float(self.arrival_s[-1]) if len(self.arrival_s) else 0.0
