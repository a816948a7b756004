"""What was measured on the cluster, as JSON: each burst is saved at once, so an interrupted run keeps its bursts."""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from tests.benchmarks.reaction.kind.scene import Variant


@dataclass(frozen=True, slots=True)
class Burst:
    """One burst. Times are seconds after its first request."""

    sent: int
    refused: int
    late: int
    """Answered outside the SLO."""
    lost: int
    counts: tuple[tuple[float, int], ...]
    """(time, spec.replicas) of each change; the first at 0. Time of receipt of the watch event."""
    ready: tuple[tuple[float, int], ...]
    """(time, number of Ready pods) of each change; the first at 0."""
    idle_s: float
    """Between the first Ready and the burst."""
    load_average: float
    """Of this machine in the last minute of the burst."""
    busy: float
    """Share of this machine's processors in use by all processes, 0 to 1."""
    sent_late_p99_s: float
    """Delay between the time of a request in the workload and its sending, 99th percentile."""
    reasons: tuple[str, ...] = ()
    """Of each change of the count, oldest first."""

    @property
    def missed(self) -> float:
        """Share of the requests that were late, refused or lost, 0 to 1."""
        return (self.late + self.refused + self.lost) / self.sent

    @property
    def first_write_s(self) -> float | None:
        """First higher count; None if there was none."""
        return self.time_to(self.counts[0][1] + 1)

    def time_to(self, replicas: int) -> float | None:
        """Until the count first was at least `replicas`; None if it never was."""
        return next((at_s for at_s, count in self.counts if count >= replicas), None)


@dataclass(frozen=True, slots=True)
class Measured:
    """All bursts of one run."""

    date: str
    revision: str
    machine: str
    fixed: dict[int, Burst] = field(default_factory=dict)
    """By fixed count."""
    rounds: tuple[dict[Variant, Burst], ...] = ()
    """In order; the last may lack variants."""

    @property
    def sufficient(self) -> int:
        """The smallest fixed count that refused nothing. ValueError if none was measured."""
        found = [count for count, burst in self.fixed.items() if burst.refused == 0]
        if not found:
            raise ValueError(f"no fixed count of {sorted(self.fixed)} refused nothing")
        return min(found)

    def of(self, variant: Variant) -> list[Burst]:
        """The bursts of one variant."""
        return [each[variant] for each in self.rounds if variant in each]

    def with_fixed(self, replicas: int, burst: Burst) -> "Measured":
        """Add the burst on a fixed count."""
        return replace(self, fixed={**self.fixed, replicas: burst})

    def with_burst(self, number: int, variant: Variant, burst: Burst) -> "Measured":
        """Add a burst to round `number`, from 0."""
        rounds = [*self.rounds, *({} for _ in range(number + 1 - len(self.rounds)))]
        rounds[number] = {**rounds[number], variant: burst}
        return replace(self, rounds=tuple(rounds))


def save(measured: Measured, path: Path) -> None:
    """Write the JSON file."""
    path.write_text(json.dumps(asdict(measured), indent=1) + "\n", encoding="utf-8")


def load(path: Path) -> Measured:
    """Read what `save` wrote."""
    found = json.loads(path.read_text(encoding="utf-8"))
    return Measured(
        date=found["date"],
        revision=found["revision"],
        machine=found["machine"],
        fixed={int(count): _burst(burst) for count, burst in found["fixed"].items()},
        rounds=tuple({Variant(name): _burst(burst) for name, burst in each.items()} for each in found["rounds"]),
    )


def _burst(found: dict[str, Any]) -> Burst:
    steps = {name: _steps(found[name]) for name in ("counts", "ready")}
    return Burst(**{**found, **steps, "reasons": tuple(found["reasons"])})


def _steps(found: Iterable[tuple[float, int]]) -> tuple[tuple[float, int], ...]:
    return tuple((at_s, count) for at_s, count in found)
