"""Each rule of docs/design/0005 with numbers: 8 slots and target 4, so a replica should carry 12 requests in flight."""

from typing import Any

import pytest

from chatscale.api.v1alpha1 import AutoscalingPhase, MetricType
from chatscale.scaling.demand import MetricValue
from chatscale.scaling.policy import Decision, decide
from chatscale.scaling.signals import ReplicaPhase
from chatscale.scaling.state import ScalerState
from tests.support.replicas import (
    SLOTS,
    Operator,
    a_sample,
    a_spec,
    at,
    in_phase,
    ready,
    seen,
    under_load,
)

AT_ONCE = {
    "stabilizationWindowSeconds": 0,
    "policies": [{"type": "Percent", "value": 100, "periodSeconds": 15}],
}
QUICK = {"behavior": {"scaleDown": AT_ONCE}}
"""Without scaleDown's stabilization window, to test the other rules."""


def outcome(decision: Decision) -> tuple[int, str]:
    return decision.replicas, decision.reason


def an_operator(replicas: int, **spec: Any) -> Operator:
    return Operator(replicas, a_spec(**spec))


def a_calm_operator(replicas: int, active: int, **spec: Any) -> Operator:
    """One that has watched steady load for five minutes and a half."""
    operator = an_operator(replicas, **spec)
    operator.watches(0, 335, active)
    return operator


def test_a_decision_carries_its_numbers() -> None:
    decision = an_operator(1).sees_load(0, 18)

    assert outcome(decision) == (2, "LoadAboveTarget")
    assert decision.message == "QueueDepth: 18.0 requests in flight, target 12 per replica: recommended 2, current 1"
    assert decision.phase is AutoscalingPhase.STABLE
    assert decision.readings == (MetricValue(MetricType.QUEUE_DEPTH, 10.0, 4),)
    assert decision.metrics_ok


FOUR_PODS = {"type": "Pods", "value": 4, "periodSeconds": 15}


class TestScaleUp:
    def test_follows_the_mean_of_the_window_without_a_burst(self) -> None:
        operator = an_operator(2, windowSeconds=20)
        operator.watches(0, 20, 12, count=2)

        raised = [operator.sees_load(seconds, 40, count=2).replicas for seconds in (20, 25, 30, 35)]

        assert raised == [2, 2, 3, 4], "means of 19, 26, 33 and 40, and 26.4 is the edge of the tolerance"

    def test_a_burst_is_followed_at_once(self) -> None:
        operator = an_operator(1)
        operator.watches(0, 60, 5)

        decision = operator.sees_load(60, 60)

        assert outcome(decision) == (3, "Burst")
        assert decision.phase is AutoscalingPhase.PANIC
        assert outcome(operator.sees_load(65, 60, count=1)) == (5, "Burst")

    def test_starting_replicas_count_as_capacity(self) -> None:
        operator = an_operator(1)
        operator.sees_load(0, 60)

        replicas = {operator.sees_load(seconds, 60, count=1).replicas for seconds in range(5, 120, 5)}

        assert replicas == {5}

    def test_the_largest_metric_wins(self) -> None:
        metrics = [{"type": "QueueDepth", "target": 4}, {"type": "KVCacheUtilization", "target": 50}]
        operator = an_operator(2, metrics=metrics)

        decision = operator.sees_load(0, 4, kv=0.9)

        assert outcome(decision) == (4, "LoadAboveTarget")
        assert "KVCacheUtilization: 180.0 percent" in decision.message
        assert [value.type for value in decision.readings] == [MetricType.QUEUE_DEPTH, MetricType.KV_CACHE_UTILIZATION]

    def test_refused_requests_count_as_load(self) -> None:
        operator = an_operator(1, maxReplicas=50)

        quiet = operator.sees(seen(0, ready("a", a_sample(0, 16, 8, rejected=0))))
        refusing = operator.sees(seen(5, ready("a", a_sample(5, 16, 8, rejected=48))))

        assert quiet.replicas == 2, "24 in flight"
        assert refusing.replicas == 4, "24, then 24 and 48 refused: 48 in the mean of the short window"

    def test_is_limited_in_rate(self) -> None:
        limit = {"policies": [{"type": "Percent", "value": 100, "periodSeconds": 15}, FOUR_PODS]}
        operator = an_operator(1, behavior={"scaleUp": limit})

        first = operator.sees_load(0, 200, count=1)
        within = operator.sees_load(5, 200, count=1)
        after = operator.sees_load(15, 200, count=1)

        assert outcome(first) == (5, "Burst")
        assert first.message.endswith("recommended 17, current 1; scaleUp rate limit allows 5 now")
        assert outcome(within) == (5, "RateLimited")
        assert outcome(after) == (10, "Burst")

    def test_waits_for_its_stabilization_window(self) -> None:
        behavior = {
            "scaleUp": {
                "stabilizationWindowSeconds": 30,
                "policies": [{"type": "Pods", "value": 10, "periodSeconds": 15}],
            }
        }
        operator = an_operator(1, behavior=behavior)

        decisions = [operator.sees_load(seconds, 40, count=1) for seconds in range(0, 35, 5)]

        assert [decision.replicas for decision in decisions] == [1, 1, 1, 1, 1, 1, 4]
        assert decisions[0].reason == "Stabilizing"


class TestScaleDown:
    def test_leaves_the_remaining_replicas_with_spare_slots(self) -> None:
        operator = a_calm_operator(5, 30)

        decision = operator.sees_load(335, 12)
        replicas = [later.replicas for later in operator.watches(340, 1100, 12)]

        assert decision.replicas == 5
        assert replicas[-1] == 2, "12 in flight fill 2 x 8 slots to 75 percent"
        assert sorted(replicas, reverse=True) == replicas

    def test_waits_for_ten_and_a_half_minutes_without_a_higher_recommendation(self) -> None:
        operator = a_calm_operator(5, 48)

        fell = next(seconds for seconds in range(335, 1500, 5) if operator.sees_load(seconds, 5).replicas < 5)

        assert fell >= 335 + 630

    def test_needs_empty_queues(self) -> None:
        operator = an_operator(5, **QUICK)
        uneven = [ready("a", None), *(ready(name, None) for name in "bcde")]

        for seconds in range(0, 200, 5):
            replicas = [ready(replica.name, a_sample(seconds, waiting=int(replica.name == "a"))) for replica in uneven]
            decision = operator.sees(seen(seconds, *replicas))

        assert outcome(decision) == (5, "Steady")

    def test_waits_for_the_end_of_a_burst(self) -> None:
        operator = an_operator(1, **QUICK)
        operator.watches(0, 65, 5)
        operator.sees_load(65, 60)
        operator.sees_load(70, 60, count=1)

        in_burst = operator.watches(75, 130, 0)
        calm_again = operator.watches(130, 230, 0)

        assert {decision.replicas for decision in in_burst} == {5}
        assert in_burst[-1].phase is AutoscalingPhase.PANIC
        assert in_burst[-1].message.endswith("recommended 1, current 5; no scale down within 60 s of a burst")
        assert calm_again[-1].replicas == 1

    def test_needs_complete_readings_for_a_window(self) -> None:
        operator = an_operator(5, **QUICK)

        first = operator.watches(0, 60, 0)
        then = operator.sees_load(60, 0)

        assert {outcome(decision) for decision in first} == {(5, "Stabilizing")}
        assert outcome(then) == (1, "LoadBelowTarget")


class TestBounds:
    def test_a_raised_minimum_acts_at_once(self) -> None:
        decision = an_operator(1, minReplicas=3).sees_load(0, 0)

        assert outcome(decision) == (3, "TooFewReplicas")
        assert decision.message == "minReplicas is 3, current 1"

    def test_a_lowered_maximum_acts_at_once(self) -> None:
        decision = an_operator(9, maxReplicas=4).sees_load(0, 1000)

        assert outcome(decision) == (4, "TooManyReplicas")
        assert decision.message == "maxReplicas is 4, current 9"

    def test_the_message_names_maxreplicas_when_the_load_exceeds_it(self) -> None:
        decision = an_operator(3, maxReplicas=4).sees_load(0, 1000)

        assert outcome(decision) == (4, "Burst")
        assert decision.message.endswith("maxReplicas is 4")

    def test_bounds_apply_without_metrics_too(self) -> None:
        assert outcome(an_operator(1, minReplicas=3).sees(seen(0, ready("a", None)))) == (3, "TooFewReplicas")

    def test_an_idle_model_stays_at_its_minimum(self) -> None:
        assert outcome(a_calm_operator(3, 0, minReplicas=3).sees_load(335, 0)) == (3, "Steady")


class TestMissingMetrics:
    def test_nothing_ready_is_neither_load_nor_failure(self) -> None:
        decision = an_operator(3).sees(seen(0, in_phase("a", ReplicaPhase.STARTING)))

        assert outcome(decision) == (3, "NoReadyReplicas")
        assert decision.metrics_ok
        assert decision.next_state.failed_readings == 0

    def test_a_complete_outage_holds_the_count(self) -> None:
        operator = a_calm_operator(3, 0, **QUICK, minReplicas=3)
        operator.spec = a_spec(**QUICK)

        decision = operator.sees(seen(335, *(ready(name, a_sample(300)) for name in "abc")))

        assert outcome(decision) == (3, "MetricsUnavailable")
        assert (
            decision.message
            == "none of 3 ready replicas could be read (failed readings in a row: 1); holding the count at 3"
        )
        assert not decision.metrics_ok
        assert decision.readings == ()

    @pytest.mark.parametrize(
        ("fallback", "expected"),
        [
            pytest.param({"behavior": "Hold"}, 4, id="hold"),
            pytest.param({"behavior": "HoldIfHigher", "replicas": 3}, 4, id="hold-if-higher-holds"),
            pytest.param({"behavior": "HoldIfHigher", "replicas": 6}, 6, id="hold-if-higher-raises"),
            pytest.param({"behavior": "Static", "replicas": 2}, 2, id="static"),
            pytest.param({"behavior": "Static", "replicas": 99}, 20, id="within-bounds"),
        ],
    )
    def test_the_fallback_acts_after_its_threshold(self, fallback: dict[str, Any], expected: int) -> None:
        operator = an_operator(4, fallback={"failureThreshold": 3, **fallback})

        decisions = [operator.sees(seen(seconds, ready("a", None))) for seconds in (0, 5, 10)]

        assert [outcome(decision) for decision in decisions] == [
            (4, "MetricsUnavailable"),
            (4, "MetricsUnavailable"),
            (expected, "Fallback"),
        ]
        assert [decision.phase for decision in decisions[1:]] == [AutoscalingPhase.STABLE, AutoscalingPhase.FALLBACK]

    def test_one_successful_reading_ends_the_fallback(self) -> None:
        operator = an_operator(4)
        for seconds in (0, 5, 10):
            operator.sees(seen(seconds, ready("a", None)))

        decision = operator.sees_load(15, 30)

        assert (decision.phase, decision.metrics_ok) == (AutoscalingPhase.STABLE, True)
        assert decision.next_state.failed_readings == 0

    def test_deciding_twice_on_one_observation_is_one_failure(self) -> None:
        operator = an_operator(4)
        observation = seen(0, ready("a", None))

        operator.sees(observation)
        decision = operator.sees(observation, now=at(5))

        assert decision.next_state.failed_readings == 1

    def test_partial_readings_may_scale_up(self) -> None:
        decision = an_operator(2).sees(seen(0, ready("a", a_sample(0, 40, 8)), ready("b", a_sample(-60))))

        assert outcome(decision) == (4, "LoadAboveTarget")

    def test_partial_readings_never_scale_down(self) -> None:
        operator = a_calm_operator(3, 0, **QUICK, minReplicas=3)
        operator.spec = a_spec(**QUICK)

        decision = operator.sees(seen(335, *(ready(name, a_sample(335)) for name in "ab"), ready("c", a_sample(300))))

        assert outcome(decision) == (3, "MetricsIncomplete")
        assert decision.message.endswith("no scale down while 1 of 3 ready replicas cannot be read (c)")

    def test_no_scale_down_for_a_window_after_an_outage(self) -> None:
        operator = a_calm_operator(3, 0, **QUICK, minReplicas=3)
        operator.spec = a_spec(**QUICK)
        operator.sees(seen(335, ready("a", a_sample(300))))

        after = operator.watches(340, 400, 0)

        assert {decision.replicas for decision in after} == {3}
        assert operator.sees_load(400, 0).replicas == 1


class TestRestart:
    def test_does_not_scale_down_within_a_window(self) -> None:
        assert {decision.replicas for decision in an_operator(7).watches(0, 300, 0)} == {7}

    def test_may_scale_up_at_once(self) -> None:
        assert an_operator(2).sees_load(0, 40).replicas == 4

    def test_decides_the_same_without_the_earlier_state(self) -> None:
        before = a_calm_operator(4, 30)
        kept = before.sees_load(335, 30)

        restarted = decide(a_spec(), SLOTS, 4, under_load(335, 30, 4), ScalerState.rebuilt(4, at(335)), at(335))

        assert restarted.replicas == kept.replicas == 4


class TestCapacity:
    NO_GPU = "0/2 nodes are available: 2 Insufficient nvidia.com/gpu."

    def stuck(self, seconds: float, active: int, stuck: int) -> Any:
        observation = under_load(seconds, active, 2)
        pending = [
            in_phase(f"p{index}", ReplicaPhase.UNSCHEDULABLE, 0, self.NO_GPU, "InsufficientGPU")
            for index in range(stuck)
        ]
        return seen(seconds, *observation.replicas, *pending)

    def test_keeps_the_count_while_pods_are_pending_for_a_short_time(self) -> None:
        assert an_operator(5).sees(self.stuck(295, 60, 3)).replicas == 5

    def test_withdraws_all_unschedulable_pods_but_one(self) -> None:
        decision = an_operator(5).sees(self.stuck(300, 60, 3))

        assert outcome(decision) == (3, "InsufficientGPU")
        assert decision.message.endswith(f"3 of 5 replicas could not start for 300 s ({self.NO_GPU})")

    def test_stays_there_until_the_pending_pod_runs_and_then_scales_up(self) -> None:
        operator = an_operator(5)
        counts = [
            operator.sees(self.stuck(seconds, 60, operator.replicas - 2)).replicas for seconds in range(300, 900, 5)
        ]

        assert set(counts) == {3}
        assert operator.sees_load(900, 60, count=3).replicas == 5

    def test_a_shortage_does_not_limit_a_count_that_fits(self) -> None:
        operator = an_operator(3)

        assert outcome(operator.sees(self.stuck(300, 20, 1))) == (3, "Steady")

    def test_the_message_names_the_shortage_when_no_replica_runs(self) -> None:
        pending = in_phase("p", ReplicaPhase.UNSCHEDULABLE, 0, self.NO_GPU, "InsufficientGPU")

        decision = an_operator(1).sees(seen(300, pending))

        assert outcome(decision) == (1, "InsufficientGPU")

    def test_a_shortage_does_not_lower_below_minreplicas(self) -> None:
        assert an_operator(5, minReplicas=4).sees(self.stuck(300, 60, 3)).replicas == 4


def test_a_ready_replica_that_was_not_read_yet_is_not_reported_as_unready():
    decision = an_operator(1).sees(seen(5, ready("a", None, since=0)))
    assert (*outcome(decision), decision.message, decision.metrics_ok) == (
        1,
        "Stabilizing",
        "no ready replica has been read since it became ready; holding the count at 1",
        True,
    )
