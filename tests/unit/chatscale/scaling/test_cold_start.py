"""Cold starts are measured, and only measured: from scheduled to Ready."""

from dataclasses import replace

import pytest

from chatscale.api.v1alpha1 import AutoscalingStatus
from chatscale.desired.workload import STARTUP_TIMEOUT_S
from chatscale.scaling.cold_start import ColdStarts, measure_cold_starts
from chatscale.scaling.signals import Replica, ReplicaPhase
from tests.support.workers import Worker

NEW = ColdStarts(ready_before=frozenset())
"""A new model, whose pods were observed before they became Ready."""


def a_start(took_s: float, name: str = "w0", scheduled_in_s: float = 0.0) -> Replica:
    return Worker(name, since=0, started_in=took_s, scheduled_in=scheduled_in_s).replica(0)


def unready() -> Replica:
    return replace(a_start(40), phase=ReplicaPhase.STARTING)


def after(*starts: Replica) -> ColdStarts:
    """What is known after these starts, each observed alone."""
    known = NEW
    for start in starts:
        known = measure_cold_starts(known, [start])
    return known


def test_the_assumption_applies_until_a_start_is_measured() -> None:
    known = after(unready())

    assert (known.measured_s, known.until_ready_s) == (None, 80.0)


def test_the_first_measured_start_replaces_the_assumption() -> None:
    known = after(a_start(22))

    assert (known.measured_s, known.until_ready_s) == (22.0, 22.0)


def test_later_starts_are_smoothed_with_measured_starts_only() -> None:
    assert after(a_start(22), a_start(30, "w1")).measured_s == 26.0


def test_time_without_a_node_is_no_cold_start_but_counts_until_ready() -> None:
    known = after(a_start(22, scheduled_in_s=200))

    assert (known.measured_s, known.scheduling_s, known.until_ready_s) == (22.0, 200.0, 222.0)


def test_scheduling_times_are_smoothed_too() -> None:
    assert after(a_start(22, scheduled_in_s=200), a_start(22, "w1")).scheduling_s == 100.0


def test_new_cold_starts_outweigh_earlier_ones_soon() -> None:
    known = after(a_start(20), *(a_start(300, f"slow{number}") for number in range(4)))

    assert known.measured_s == pytest.approx(282.5)


def test_a_cold_start_of_half_an_hour_counts_as_the_maximum() -> None:
    assert after(a_start(STARTUP_TIMEOUT_S)).measured_s == 900.0


def test_the_time_until_ready_has_a_maximum() -> None:
    assert after(a_start(600, scheduled_in_s=7200)).until_ready_s == 900.0


def test_cold_starts_of_unread_pods_are_measured_too() -> None:
    assert after(replace(a_start(300), sample=None)).measured_s == 300.0


def test_a_node_whose_clock_is_behind_gives_no_negative_scheduling_time() -> None:
    assert after(a_start(22, scheduled_in_s=-3)).scheduling_s == 0.0


@pytest.mark.parametrize(
    ("before", "then"),
    [
        pytest.param([unready()], a_start(5 * 3600), id="a pod that could not start for hours"),
        pytest.param([a_start(300)], a_start(300), id="a pod that was Ready before the first observation"),
        pytest.param([a_start(40), unready()], a_start(600), id="a failed probe, or a restart in place"),
        pytest.param([unready()], replace(a_start(40), scheduled=None), id="an unknown time"),
        pytest.param([unready()], unready(), id="a pod that is not Ready"),
    ],
)
def test_what_is_no_cold_start_is_not_measured(before: list[Replica], then: Replica) -> None:
    known = ColdStarts()
    for replica in (*before, then):
        known = measure_cold_starts(known, [replica])

    assert known.measured_s is None


def test_a_status_without_scheduling_time_has_none() -> None:
    assert ColdStarts.learned(AutoscalingStatus(cold_start_seconds=22)).until_ready_s == 22.0
