"""The default policy on a step of the load: one replica with 8 slots that serves 8 requests/s, readings every 2 s."""

from dataclasses import dataclass, field, replace

import pytest

from chatscale.scaling.policy import Decision, decide
from chatscale.scaling.signals import Observation, Replica, ReplicaPhase, ReplicaSample, WorkCounters
from chatscale.scaling.state import ScalerState
from tests.support.replicas import a_spec, at

SLOTS, QUEUE, PROMPT, ANSWER, STEP_S = 8, 64, 20, 100, 0.01
SPEC = a_spec(maxReplicas=20)


@dataclass
class OneReplica:
    """Serves in order of arrival, each request for one second. Requests beyond the queue are refused."""

    decode_step_s: float | None = STEP_S
    arrived: list[float] = field(default_factory=list)
    state: ScalerState = field(default_factory=lambda: ScalerState.rebuilt(1, at(0)))

    def assume(self, cold_start_s: float) -> None:
        reserve = self.state.reserve
        starts = replace(reserve.starts, assumed_s=cold_start_s)
        self.state = replace(self.state, reserve=replace(reserve, starts=starts))

    def at_rate(self, requests_per_s: float, from_s: float, to_s: float) -> None:
        count = round((to_s - from_s) * requests_per_s)
        self.arrived += [from_s + index / requests_per_s for index in range(count)]

    def decides(self, now: float, created: float = -3600.0) -> Decision:
        ends, running, finished, refused, tokens = [0.0] * SLOTS, 0, 0, 0, 0.0
        waiting: list[float] = []
        for arrival in self.arrived:
            if arrival > now:
                break
            waiting = [start for start in waiting if start > arrival]
            if len(waiting) >= QUEUE:
                refused += 1
                continue
            slot = min(range(SLOTS), key=ends.__getitem__)
            start = max(ends[slot], arrival)
            ends[slot] = start + ANSWER * STEP_S
            waiting.append(start)
            if ends[slot] <= now:
                finished += 1
            elif start <= now:
                running += 1
            tokens += min(max((now - start) / STEP_S, 0.0), ANSWER)
        depth = sum(start > now for start in waiting)
        started = finished + running
        work = WorkCounters(14000.0, started * PROMPT, tokens, finished, 0.0, 2048.0, self.decode_step_s)
        sample = ReplicaSample(at(now), depth, running, SLOTS, 0.0, refused, work)
        ready, start = at(created + 5), at(created)
        replica = Replica("one", ReplicaPhase.READY, ready, sample, created=start, scheduled=start)
        decision = decide(SPEC, SLOTS, 1, Observation(at(now), (replica,)), self.state, at(now))
        self.state = decision.next_state
        return decision

    def until(self, seconds: int) -> list[Decision]:
        return [self.decides(float(now)) for now in range(2, seconds + 1, 2)]


def test_fourteen_requests_a_second_after_idle_get_enough_replicas_in_the_second_reading() -> None:
    shop = OneReplica()
    shop.at_rate(14, 75.0, 150.0)
    shop.until(74)

    first, second = shop.decides(76.0), shop.decides(78.0)

    assert first.replicas >= 2
    assert second.replicas in {3, 4}  # 14 requests/s are the work of 1.8.
    assert first.reason == "QueueGrowing"
    assert "queue growing (6 waiting)" in first.message
    assert "arrival rate" in first.message


def test_a_jump_from_a_low_rate_is_answered_in_one_reading_with_the_sufficient_count() -> None:
    shop = OneReplica()
    shop.at_rate(2, 0.0, 120.0)
    shop.at_rate(40, 120.0, 150.0)
    shop.until(120)

    decision = shop.decides(122.0)

    assert 5 <= decision.replicas <= 9  # 40 requests/s are the work of 5.
    assert decision.reason in {"QueueGrowing", "RequestsRefused"}
    assert "arrival rate 40.0 requests/s after 2.0" in decision.message


def test_a_jump_that_the_slots_still_hold_is_named_by_its_rate() -> None:
    shop = OneReplica()
    shop.at_rate(0.5, 0.0, 120.0)
    shop.at_rate(7, 120.0, 150.0)
    shop.until(120)

    decision = shop.decides(122.0)

    assert decision.replicas in {2, 3}
    assert decision.reason == "ArrivalRateJumped"


def test_refusals_are_named_first() -> None:
    shop = OneReplica()
    shop.at_rate(60, 75.0, 150.0)
    shop.until(76)

    decision = shop.decides(78.0)

    assert decision.reason == "RequestsRefused"
    assert "requests/s refused" in decision.message


@pytest.mark.parametrize("created", [-3600.0, 0.0], ids=["start not observed", "a start of 5 s was measured"])
def test_the_first_recommendation_does_not_depend_on_a_measured_start(created: float) -> None:
    shop = OneReplica()
    shop.at_rate(14, 75.0, 150.0)
    decisions = [shop.decides(float(now), created) for now in range(6, 80, 2)]

    assert [decision.replicas for decision in decisions[-2:]] == [2, 4]


@pytest.mark.parametrize(
    ("quiet_s", "before", "after"),
    [
        pytest.param(20, 0, 14, id="a new model"),
        pytest.param(74, 0, 14, id="idle for a minute"),
        pytest.param(200, 2, 60, id="a low rate for minutes"),
        pytest.param(300, 1, 60, id="longer than most horizons"),
        pytest.param(1000, 4, 40, id="longer than every horizon"),
    ],
)
def test_the_first_recommendation_is_the_same_for_every_assumed_cold_start(
    quiet_s: int, before: float, after: float
) -> None:
    found = []
    for assumed_s in (20.0, 80.0, 300.0):
        shop = OneReplica()
        shop.assume(assumed_s)
        shop.at_rate(before, 0.0, quiet_s)
        shop.at_rate(after, quiet_s, quiet_s + 20)
        shop.until(quiet_s)
        first, second = shop.decides(quiet_s + 2.0), shop.decides(quiet_s + 4.0)
        found.append((first.replicas, second.replicas, first.next_state.reserve.error_variance))

    assert found[0] == found[1] == found[2]
    assert found[0][1] > 1


def test_a_steady_load_is_no_evidence() -> None:
    shop = OneReplica()
    shop.at_rate(4, 0.0, 300.0)

    assert {decision.reason for decision in shop.until(300)[5:]} <= {"Steady", "LoadAboveTarget", "Stabilizing"}


def test_an_older_server_without_decode_steps_scales_on_its_queue_first() -> None:
    shop = OneReplica(decode_step_s=None)
    shop.at_rate(14, 75.0, 150.0)
    shop.until(74)

    decision = shop.decides(76.0)

    assert (decision.replicas, decision.reason) == (2, "QueueGrowing")
