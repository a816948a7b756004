from dataclasses import replace
from datetime import timedelta
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from chatscale.api.v1alpha1 import AutoscalingSpec
from chatscale.scaling.policy import decide
from chatscale.scaling.signals import Observation, Replica, ReplicaPhase, WorkCounters
from tests.support.replicas import SLOTS, Operator, a_sample, a_spec, at, in_phase, seen, under_load
from tests.support.workers import Fleet

METRICS = st.lists(st.sampled_from(["QueueDepth", "ActiveRequests", "KVCacheUtilization"]), max_size=3, unique=True)
"""Without any, the SLO decides."""


@st.composite
def specs(draw: st.DrawFn) -> AutoscalingSpec:
    low = draw(st.integers(1, 10))
    panic_window = draw(st.integers(1, 30))

    def one_way() -> dict[str, Any]:
        return {
            "stabilizationWindowSeconds": draw(st.sampled_from([0, 10, 300])),
            "policies": [
                {
                    "type": draw(st.sampled_from(["Pods", "Percent"])),
                    "value": draw(st.integers(1, 200)),
                    "periodSeconds": draw(st.integers(1, 60)),
                }
            ],
        }

    high = low + draw(st.integers(0, 30))

    def event(number: int) -> dict[str, Any]:
        start_s = draw(st.integers(-300, 600))
        lead = draw(st.sampled_from([{}, {"leadSeconds": 60}]))
        times = {"start": at(start_s).isoformat(), "end": at(start_s + draw(st.integers(1, 300))).isoformat()}
        return {"name": f"event-{number}", **times, "minReplicas": draw(st.integers(1, high)), **lead}

    return a_spec(
        minReplicas=low,
        maxReplicas=high,
        events=[event(number) for number in range(draw(st.integers(0, 2)))],
        metrics=[{"type": name, "target": draw(st.integers(1, 100))} for name in draw(METRICS)],
        windowSeconds=panic_window + draw(st.integers(0, 60)),
        panicWindowSeconds=panic_window,
        tolerancePercent=draw(st.integers(0, 100)),
        behavior={"scaleUp": one_way(), "scaleDown": one_way()},
        fallback={"behavior": "Hold", "failureThreshold": draw(st.integers(1, 5))},
    )


@st.composite
def work_counters(draw: st.DrawFn) -> WorkCounters:
    """Any counters: also ones that go down, or do not fit each other or the time."""
    counts = st.floats(0, 1e6)
    return WorkCounters(
        max_tokens_per_second=draw(st.sampled_from([1.0, 8000.0, 1e6])),
        prompt_tokens=draw(counts),
        generated_tokens=draw(counts),
        finished=draw(counts),
        slo_misses=draw(counts),
        max_tokens_per_step=draw(st.sampled_from([None, 8.0, 2048.0])),
        decode_step_s=draw(st.sampled_from([None, 0.01, 1.0])),
    )


@st.composite
def observations(draw: st.DrawFn, seconds: float = 0) -> Observation:
    def replica(index: int) -> Replica:
        age = draw(st.sampled_from([0, 1, 14, 16, 1000]))
        sample = a_sample(
            seconds - age,
            draw(st.integers(0, 200)),
            draw(st.integers(0, SLOTS)),
            draw(st.floats(0, 1)),
            draw(st.floats(0, 1000)),
        )
        if counts_work:
            sample = replace(sample, work=draw(work_counters()))
        since = at(seconds - draw(st.sampled_from([0, 10, 400])))
        created = since - timedelta(seconds=draw(st.sampled_from([1, 40, 5000])))
        return Replica(
            f"r{index}",
            draw(st.sampled_from(ReplicaPhase)),
            since,
            draw(st.sampled_from([sample, None])),
            created=created,
            scheduled=draw(st.sampled_from([created, since, None])),
        )

    # Either all replicas count their work, or none: the policy follows the SLO only if all do.
    counts_work = draw(st.booleans())
    return seen(seconds, *(replica(index) for index in range(draw(st.integers(0, 6)))))


@st.composite
def histories(draw: st.DrawFn) -> tuple[Operator, float]:
    """An operator after some arbitrary ticks, and the time of the next one."""
    operator = Operator(draw(st.integers(0, 50)), draw(specs()))
    seconds = 0.0
    for _ in range(draw(st.integers(0, 8))):
        operator.sees(draw(observations(seconds)))
        seconds += draw(st.sampled_from([1, 5, 30, 301]))
    return operator, seconds


def asked_by_events(spec: AutoscalingSpec, seconds: float) -> int:
    under_way = (event.min_replicas for event in spec.events if event.start <= at(seconds) < event.end)
    return max(under_way, default=0)


@given(histories(), st.data())
@settings(max_examples=200)
def test_bounds_are_kept_whatever_is_seen(past: tuple[Operator, float], data: st.DataObject) -> None:
    operator, seconds = past

    decision = operator.sees(data.draw(observations(seconds)))

    assert operator.spec.min_replicas <= decision.replicas <= (operator.spec.max_replicas or 0)
    assert decision.replicas >= asked_by_events(operator.spec, seconds)
    assert decision.message


@given(histories(), st.data())
@settings(max_examples=200)
def test_deciding_again_at_once_changes_nothing(past: tuple[Operator, float], data: st.DataObject) -> None:
    operator, seconds = past
    observation = data.draw(observations(seconds))

    first = operator.sees(observation)

    assert operator.sees(observation).replicas == first.replicas


@given(histories(), st.data())
@settings(max_examples=200)
def test_nothing_is_lowered_while_a_ready_replica_is_unread(past: tuple[Operator, float], data: st.DataObject) -> None:
    operator, seconds = past
    observation = data.draw(observations(seconds))
    unread = Replica("unread", ReplicaPhase.READY, at(seconds - 1000), a_sample(seconds - 1000))
    before = min(operator.replicas, operator.spec.max_replicas or 0)

    decision = operator.sees(replace(observation, replicas=(*observation.replicas, unread)))

    assert decision.replicas >= before


@given(histories(), st.integers(1, 20), st.integers(0, 400), st.integers(0, 400))
@settings(max_examples=200)
def test_more_load_never_gives_fewer_replicas(past: tuple[Operator, float], count: int, less: int, more: int) -> None:
    operator, seconds = past
    less, more = sorted((less, more))
    current = max(operator.replicas, 1)

    def replicas(active: int) -> int:
        kv = min(active / (100 * count), 1)
        observation = under_load(seconds, active, count, kv)
        return decide(operator.spec, SLOTS, current, observation, operator.state, at(seconds)).replicas

    assert replicas(less) <= replicas(more)


@given(
    st.integers(1, 20),
    st.integers(0, 300),
    st.integers(1, 10),
    st.integers(1, 60),
    st.integers(0, 3000),
    st.integers(0, 3000),
)
@settings(max_examples=200)
def test_more_arrivals_never_give_fewer_replicas(
    count: int, quiet_s: int, rate: int, span_s: int, less: int, more: int
) -> None:
    less, more = sorted((less, more))
    spec, fleet = a_spec(maxReplicas=1000), Fleet(count)
    operator = Operator(count, spec)
    for _ in range(0, quiet_s + 1, 15):
        operator.sees(fleet.after(15, rate))

    def replicas(arrived: int) -> int:
        """Recommended if so many more requests wait on each replica."""
        waiting = tuple(worker.replica(fleet.now + span_s, running=SLOTS, waiting=arrived) for worker in fleet.workers)
        observation = Observation(at(fleet.now + span_s), waiting)
        return decide(spec, SLOTS, count, observation, operator.state, observation.taken_at).replicas

    assert replicas(less) <= replicas(more)


@given(specs(), st.integers(1, 40), st.integers(0, 59), st.integers(0, 100))
def test_a_restart_never_lowers_within_a_window(spec: AutoscalingSpec, count: int, seconds: int, active: int) -> None:
    operator = Operator(count, spec)
    bounded = min(max(count, spec.min_replicas), spec.max_replicas or 0)

    for second in range(min(seconds, spec.window_seconds)):
        assert operator.sees_load(second, active).replicas >= bounded
        bounded = operator.replicas


@given(histories())
def test_starting_replicas_alone_hold_the_count(past: tuple[Operator, float]) -> None:
    operator, seconds = past
    spec = operator.spec
    held = min(max(operator.replicas, spec.min_replicas), spec.max_replicas or 0)

    decision = operator.sees(seen(seconds, in_phase("a", ReplicaPhase.STARTING)))

    assert decision.replicas == max(held, decision.floor.replicas)
    assert decision.floor.replicas >= asked_by_events(spec, seconds)
    if not spec.events:
        assert decision.replicas == held
