"""Fairness on the kind cluster: the shape of the load, the results and their rows of the page."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from tests.benchmarks.gateway.fairness import BATCH_FACTOR, BATCH_PRIORITY, LIVE_SHARE
from tests.benchmarks.gateway.fairness import REPLICAS as VIRTUAL_REPLICAS
from tests.benchmarks.gateway.fairness import SLOTS as VIRTUAL_SLOTS

REPLICAS: Final = 3
SLOTS: Final = 10
PROFILE: Final = "70b-4xh100"
"""The slowest steps of the Simulated engine: full replicas then need little of this machine's processors."""


@dataclass(frozen=True, slots=True)
class Shape:
    """The requests of one key."""

    prompt_tokens: int
    answer_tokens: int
    service_s: float
    """Approximate time in a slot. The rates follow from it."""
    streamed: bool

    def per_s(self, slots: float) -> float:
        """Requests per second that use so many slots on average."""
        return slots / self.service_s


LIVE: Final = Shape(prompt_tokens=1900, answer_tokens=40, service_s=1.6, streamed=True)
"""A prompt takes four steps of about 60 ms, an answer 40 steps of about 32 ms."""
BATCH: Final = Shape(prompt_tokens=50, answer_tokens=150, service_s=5.2, streamed=False)
"""Without streams: its chunks would need most of the processor time of two cores."""
LIVE_PER_S: Final = LIVE.per_s(LIVE_SHARE * REPLICAS * SLOTS)
BATCH_PER_S: Final = BATCH.per_s(BATCH_FACTOR * LIVE_SHARE * REPLICAS * SLOTS)


class Beside(StrEnum):
    """What a live key has beside it."""

    NOTHING = "alone"
    BACKGROUND = "background"
    """A batch key of a priority below 0."""
    EQUAL = "equal"
    """A batch key of the same priority."""


@dataclass(frozen=True, slots=True)
class Run:
    """The live key in one run."""

    ttfts_s: tuple[float, ...]
    """Of the answered requests, in order of their first text."""
    failed: int
    """Live requests that were refused or that did not end well."""
    batch_answered: int
    load_average: float
    """Of the machine, at the end of the run."""
    busy: float
    """Share of the machine's processor time that was used, also by other work."""


@dataclass(frozen=True, slots=True)
class KindFairness:
    """All rounds."""

    rounds: tuple[dict[Beside, Run], ...]
    seconds: float
    """Of each run, without its warm-up."""
    machine: str
    measured: str
    """Date and revision."""

    def quantile_s(self, beside: Beside, share: float) -> float:
        """The time to first token that `share` of the live requests of all rounds do not exceed."""
        times = sorted(time_s for each in self.rounds for time_s in each[beside].ttfts_s)
        return times[min(int(share * len(times)), len(times) - 1)]

    def ratio(self, beside: Beside, share: float) -> float:
        """This quantile over that of the live key alone."""
        return self.quantile_s(beside, share) / self.quantile_s(Beside.NOTHING, share)

    def count(self, beside: Beside) -> int:
        """Answered live requests."""
        return sum(len(each[beside].ttfts_s) for each in self.rounds)


_NAMES: Final = {
    Beside.NOTHING: "TTFT of the live key, alone",
    Beside.BACKGROUND: f"beside a batch key of priority {BATCH_PRIORITY}",
    Beside.EQUAL: "beside a batch key of the same priority",
}


def rows(found: KindFairness) -> list[Sequence[str]]:
    """The rows of the page."""
    lines = [(f"on kind: p50 and p99 {name}", _times(found, beside)) for beside, name in _NAMES.items()]
    lines = [(name.replace("p50 and p99 beside", "the same beside"), value) for name, value in lines]
    runs = [run for each in found.rounds for run in each.values()]
    answered = ", ".join(f"{found.count(beside):,}" for beside in Beside)
    return [
        *lines,
        ("on kind: live requests answered in these runs", answered),
        ("on kind: live requests refused or lost", f"{sum(run.failed for run in runs)}"),
    ]


def note(found: KindFairness) -> str:
    """The paragraphs below the table."""
    runs = [run for each in found.rounds for run in each.values()]
    loads = [run.load_average for run in runs]
    busy = {beside: [each[beside].busy for each in found.rounds] for beside in Beside}
    shares = ", ".join(f"{sum(each) / len(each):.0%}" for each in busy.values())
    return _NOTE.format(
        replicas=REPLICAS,
        slots=SLOTS,
        profile=PROFILE,
        live=LIVE,
        batch=BATCH,
        live_per_s=LIVE_PER_S,
        batch_per_s=BATCH_PER_S,
        rounds=len(found.rounds),
        seconds=found.seconds,
        measured=found.measured,
        machine=found.machine,
        lowest=min(loads),
        highest=max(loads),
        shares=shares,
        priority=BATCH_PRIORITY,
        virtual_slots=VIRTUAL_REPLICAS * VIRTUAL_SLOTS,
    )


def restored(found: dict[str, Any]) -> KindFairness:
    """From the JSON file."""
    rounds = tuple(
        {Beside(name): Run(**{**run, "ttfts_s": tuple(run["ttfts_s"])}) for name, run in each.items()}
        for each in found["rounds"]
    )
    return KindFairness(**{**found, "rounds": rounds})


def _times(found: KindFairness, beside: Beside) -> str:
    p50, p99 = (f"{found.quantile_s(beside, share):.3f} s" for share in (0.5, 0.99))
    if beside is Beside.NOTHING:
        return f"{p50}, {p99}"
    return f"{p50} ({found.ratio(beside, 0.5):.2f}x), {p99} ({found.ratio(beside, 0.99):.2f}x)"


_NOTE: Final = """\
On kind (`make bench-gateway BENCH="--kind"`): the installed chart with two gateways, one ChatModel with {replicas}
replicas of {slots} slots, and the Simulated engine with profile {profile}. The live key sends {live_per_s:.1f} streams
per second with {live.prompt_tokens:,} prompt tokens and {live.answer_tokens} answer tokens: about a tenth of all slots.
The batch key sends {batch_per_s:.1f} requests per second without streams, with {batch.prompt_tokens} prompt tokens and
{batch.answer_tokens} answer tokens: about as many slots as there are. So it uses ten times the slots of the live key,
not ten times its requests or prompt tokens. Each of the {rounds} rounds has a run of {seconds:g} s of each kind, with
the same live requests. p99 has few requests above it, so it varies between measurements.

The run in virtual time has one gateway and {virtual_slots} slots. Here four more things delay the live key:

- Two gateways divide the slots by what each has read from the other once a second. In virtual time this does not change
  the p99 of 0.25 s with 128 slots; with the 30 slots of this run it grows to 1.62 s.
- A tenth of the slots of a replica is one slot. If the live key has more requests at a time than replicas, the others
  wait until a batch request ends.
- A replica computes the prompts and answers of all its slots in the same steps. A full replica needs longer for a
  prompt, and batch requests with long prompts delay a live key more.
- Clients, gateways and replicas share the processors with other work of the machine.

Measured on {measured}, {machine}. Load average after the runs {lowest:.1f} to {highest:.1f}. Processors in use,
other work included: {shares} (alone, beside priority {priority}, beside the same priority).
"""
