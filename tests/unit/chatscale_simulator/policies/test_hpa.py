"""Values worked out from GetExternalPerPodMetricReplicas."""

import pytest

from chatscale_simulator.policies.behavior import HpaBehavior
from chatscale_simulator.policies.hpa import CONCURRENCY, QUEUE, Hpa, HpaMetric, HpaSettings, replicas_for_average
from chatscale_simulator.simulation.snapshot import Column
from tests.unit.chatscale_simulator.simulation.snapshots import a_snapshot, waiting


@pytest.mark.parametrize(
    ("total", "target", "current", "wanted"),
    [
        pytest.param(50, 10, 4, 5, id="a-quarter-above-target"),
        pytest.param(43, 10, 4, 4, id="within-tolerance-above"),
        pytest.param(36, 10, 4, 4, id="exactly-at-tolerance-below"),
        pytest.param(35, 10, 4, 4, id="below-tolerance-and-rounded-up-to-the-same"),
        pytest.param(29, 10, 4, 3, id="below"),
        pytest.param(0, 10, 4, 0, id="nothing"),
        pytest.param(11, 10, 0, 2, id="from-none"),
    ],
)
def test_an_average_value_gives_the_sum_over_the_target_outside_the_tolerance(total, target, current, wanted):
    assert replicas_for_average(total, target, current, 0.1) == wanted


def test_the_queue_target_ignores_running_requests():
    hpa = Hpa(HpaSettings(metrics=(HpaMetric(QUEUE, 5),)))
    snapshot = a_snapshot().with_ready(2).with_total(Column.RUNNING, 500).with_total(Column.WAITING, 20).build()
    assert hpa.decide(snapshot) == 4


def test_the_concurrency_target_counts_running_and_waiting_requests():
    hpa = Hpa(HpaSettings(metrics=(HpaMetric(CONCURRENCY, 100),)))
    snapshot = a_snapshot().with_ready(2).with_total(Column.RUNNING, 300).with_total(Column.WAITING, 20).build()
    assert hpa.decide(snapshot) == 4


@pytest.mark.parametrize(
    ("waiting_", "running", "wanted"),
    [
        pytest.param(0, 30, 5, id="running-requests-hold-what-an-empty-queue-would-lower"),
        pytest.param(28, 6, 7, id="the-queue-raises-what-running-requests-would-lower"),
        pytest.param(0, 7, 2, id="both-lower-and-the-larger-holds"),
        pytest.param(20, 30, 5, id="both-within-the-tolerance"),
    ],
)
def test_of_several_metrics_the_largest_count_applies(waiting_, running, wanted):
    hpa = Hpa(
        HpaSettings(
            metrics=(HpaMetric((Column.WAITING,), 4), HpaMetric((Column.RUNNING,), 6.4)),
            behavior=HpaBehavior(down_stabilization_s=0),
        )
    )
    snapshot = (
        a_snapshot().with_ready(5).with_total(Column.WAITING, waiting_).with_total(Column.RUNNING, running).build()
    )
    assert hpa.decide(snapshot) == wanted


def test_a_missing_metric_holds_the_count_and_records_no_recommendation():
    hpa = Hpa(HpaSettings(metrics=(HpaMetric(QUEUE, 5),)))
    assert hpa.decide(waiting(0, 50, ready=10)) == 10
    assert hpa.decide(a_snapshot(200).with_ready(10).without_data().build()) == 10
    assert hpa.decide(waiting(301, 5, ready=10)) == 1, "nothing younger than 300 s speaks for 10"


def test_a_pod_whose_series_is_missing_is_left_out_of_the_sum():
    hpa = Hpa(HpaSettings(metrics=(HpaMetric(QUEUE, 5),)))
    snapshot = a_snapshot().with_ready(2).with_each(Column.WAITING, 20, 20).with_fresh([True, False]).build()
    assert hpa.decide(snapshot) == 4


@pytest.mark.parametrize(("desired", "settled"), [(0, 1), (70, 64)])
def test_a_count_outside_the_bounds_is_corrected_first(desired, settled):
    assert Hpa(HpaSettings(metrics=(HpaMetric(QUEUE, 5),))).decide(waiting(0, 50, ready=5, desired=desired)) == settled
