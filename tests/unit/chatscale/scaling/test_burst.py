"""A small world in unit time: requests arrive, replicas take 30 s to start, the policy decides every 5 s."""

from dataclasses import dataclass, field
from itertools import pairwise

from chatscale.scaling.signals import ReplicaPhase, ReplicaSample
from tests.support.replicas import SLOTS, Operator, a_sample, in_phase, ready, seen

TICK_S = 5
START_S = 30
SERVICE_S = 4.0
MAX_QUEUE = 64


@dataclass
class World:
    """Replicas share one line of requests and finish each in SERVICE_S; the line is bounded."""

    operator: Operator = field(default_factory=Operator)
    started: list[int] = field(default_factory=lambda: [-START_S])
    in_flight: float = 0.0
    refused: float = 0.0
    counts: list[int] = field(default_factory=list)
    loads: list[float] = field(default_factory=list)

    def runs(self, start: int, end: int, per_second: float) -> None:
        for now in range(start, end):
            self._serve_for_a_second(now, per_second)
            if now % TICK_S == 0:
                self._decide(now)

    def _ready(self, now: int) -> int:
        return sum(1 for began in self.started if now - began >= START_S)

    def _serve_for_a_second(self, now: int, per_second: float) -> None:
        count = self._ready(now)
        finished = min(self.in_flight, count * SLOTS) / SERVICE_S
        wanted = self.in_flight - finished + per_second
        self.in_flight = min(wanted, count * (SLOTS + MAX_QUEUE))
        self.refused += wanted - self.in_flight

    def _sample(self, now: int, index: int, share: int) -> ReplicaSample:
        """The first replica, which never goes, counts all refusals."""
        rejected = self.refused if index == 0 else 0
        return a_sample(now, max(share - SLOTS, 0), min(share, SLOTS), rejected=rejected)

    def _decide(self, now: int) -> None:
        count, active = self._ready(now), round(self.in_flight)
        shares = [active // count + (index < active % count) for index in range(count)]
        up = [ready(f"r{index}", self._sample(now, index, share)) for index, share in enumerate(shares)]
        coming = [in_phase(f"s{index}", ReplicaPhase.STARTING) for index in range(len(self.started) - count)]
        wanted = self.operator.sees(seen(now, *up, *coming)).replicas
        self.started = sorted(self.started)[:wanted] + [now] * (wanted - len(self.started))
        self.counts.append(wanted)
        self.loads.append(self.in_flight)


def reversals(counts: list[int]) -> int:
    steps = [after - before for before, after in pairwise(counts) if after != before]
    return sum(1 for before, after in pairwise(steps) if (before > 0) != (after > 0))


def test_follows_a_tenfold_burst_up_and_down_without_flapping() -> None:
    world = World()
    calm, rush = 1.2, 12.0

    world.runs(0, 300, calm)
    before = world.counts[-1]
    world.runs(300, 900, rush)
    during = world.counts[-1]
    world.runs(900, 1800, calm)

    assert before == 1
    assert during * SLOTS / SERVICE_S >= rush, "the fleet keeps up with the rush"
    assert max(world.counts) <= 2 * rush * SERVICE_S / SLOTS, "the backlog of the cold start adds a bounded surplus"
    assert max(world.loads[150:180]) <= during * (SLOTS + 4), "the queue is at its target again"
    assert world.counts[-1] == 1
    assert reversals(world.counts) == 1, "up, and down"


def test_steady_load_with_noise_changes_nothing() -> None:
    world = World(Operator(4), [-START_S] * 4)

    for start in range(0, 1800, 10):
        world.runs(start, start + 10, 5.0 + (start // 10 % 3 - 1) * 0.8)

    assert set(world.counts) == {4}
