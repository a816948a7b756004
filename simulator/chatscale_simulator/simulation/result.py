"""The result of one run, before it is scored."""

from dataclasses import dataclass
from enum import StrEnum

from chatscale_simulator.simulation.arrays import FloatArray, IntArray
from chatscale_simulator.simulation.workload import Workload


class RequestOutcome(StrEnum):
    """How a request ended. Arrays hold the index into REQUEST_OUTCOMES."""

    SERVED = "served"
    REFUSED = "refused"
    """All queues were full."""
    TIMED_OUT = "timed_out"
    """Waited longer than the queue allows."""
    UNFINISHED = "unfinished"


REQUEST_OUTCOMES = (
    RequestOutcome.UNFINISHED,
    RequestOutcome.SERVED,
    RequestOutcome.REFUSED,
    RequestOutcome.TIMED_OUT,
)
"""By number."""


@dataclass(frozen=True, slots=True)
class PodLifetime:
    """One pod, in seconds of the run's clock. It is billed from `created_s` to `ended_s`."""

    number: int
    created_s: float
    ready_s: float | None
    """None if it was deleted before it was ready."""
    ended_s: float


@dataclass(frozen=True, slots=True)
class RunResult:
    """One run. Arrays have one entry per request, in order of arrival."""

    workload: Workload
    outcomes: IntArray
    """(requests,) index into REQUEST_OUTCOMES."""
    first_token_s: FloatArray
    """(requests,) time of the first token; nan without one."""
    finish_s: FloatArray
    """(requests,) time of the last token; nan without one."""
    unloaded_ttft_s: FloatArray
    """(requests,) time to first token on an idle replica."""
    pods: tuple[PodLifetime, ...]
    counts: tuple[tuple[float, int], ...]
    """(time, replica count) of each change of the count, the first at 0."""
    saturated_s: float
    """Seconds in which a request waited on every ready replica."""
    end_s: float
