"""What goes into a run and what comes out of it, before it is scored."""

from dataclasses import dataclass
from enum import StrEnum

from chatscale_simulator.simulation.view import Integers, Numbers


@dataclass(frozen=True, slots=True)
class Workload:
    """Requests in order of arrival; arrays of one length."""

    arrival_s: Numbers
    """Seconds from the start, ascending."""
    prompt_tokens: Integers
    """At least 1."""
    output_tokens: Integers
    """At least 1."""

    @property
    def duration_s(self) -> float:
        """Until the last arrival."""
        return float(self.arrival_s[-1]) if len(self.arrival_s) else 0.0


class ColdStart(StrEnum):
    """How long a new replica takes from its creation until it is ready."""

    FAST = "fast"
    CACHED = "cached"
    COLD = "cold"


class Track(StrEnum):
    """Which signals policies see."""

    EQUAL = "equal"
    """The same 15 s scrape for all, one decision every 15 s."""
    NATIVE = "native"
    """Each policy's own period and path."""


class Fate(StrEnum):
    """How a request ended; numbers as in `Outcome.fates`."""

    SERVED = "served"
    REFUSED = "refused"
    """All queues were full."""
    TIMED_OUT = "timed_out"
    """Waited longer than the queue allows."""
    UNFINISHED = "unfinished"


FATES = (Fate.UNFINISHED, Fate.SERVED, Fate.REFUSED, Fate.TIMED_OUT)
"""By number."""


@dataclass(frozen=True, slots=True)
class PodLife:
    """One pod from creation to end, seconds of the run's clock; it is billed from `created_s` to `ended_s`."""

    number: int
    created_s: float
    ready_s: float | None
    """None if it was withdrawn before it was ready."""
    ended_s: float


@dataclass(frozen=True, slots=True)
class Outcome:
    """One run. Per-request arrays are in order of arrival."""

    workload: Workload
    fates: Integers
    """(requests,) index into FATES."""
    first_token_s: Numbers
    """(requests,) clock of the first token; nan without one."""
    finish_s: Numbers
    """(requests,) clock of the last token; nan without one."""
    unloaded_ttft_s: Numbers
    """(requests,) what its first token would take on an idle replica."""
    pods: tuple[PodLife, ...]
    decided: tuple[tuple[float, int], ...]
    """(clock, replicas asked for) at each change, the first at 0."""
    saturated_s: float
    """Seconds with every ready replica saturated: a request waited on each."""
    end_s: float
    reasons: tuple[tuple[float, str], ...] = ()
    """(clock, sentence) of each change, where the policy gives one."""
