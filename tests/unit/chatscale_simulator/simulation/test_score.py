"""Scores against outcomes that were worked out by hand."""

import numpy as np
import pytest

from chatscale_simulator.simulation.profiles import SloTarget
from chatscale_simulator.simulation.result import REQUEST_OUTCOMES, PodLifetime, RequestOutcome, RunResult
from chatscale_simulator.simulation.score import Score, billed_at, reversals, score, within_slo
from chatscale_simulator.simulation.workload import Workload

NAN = float("nan")


def a_result(
    *requests: tuple[float, int, RequestOutcome, float, float],
    unloaded_ttft_s: float = 0.1,
    pods: tuple[PodLifetime, ...] = (PodLifetime(0, 0.0, 0.0, 3600.0),),
    counts: tuple[tuple[float, int], ...] = ((0.0, 1),),
    saturated_s: float = 0.0,
    end_s: float = 3600.0,
) -> RunResult:
    """Each request: (arrival, output tokens, outcome, first token, last token)."""
    arrival, output, outcomes, first, finish = zip(*requests, strict=True) if requests else ((), (), (), (), ())
    count = len(requests)
    return RunResult(
        workload=Workload(np.array(arrival, float), np.full(count, 100), np.array(output, dtype=np.int64)),
        outcomes=np.array([REQUEST_OUTCOMES.index(outcome) for outcome in outcomes], dtype=np.int64),
        first_token_s=np.array(first, float),
        finish_s=np.array(finish, float),
        unloaded_ttft_s=np.full(count, unloaded_ttft_s),
        pods=pods,
        counts=counts,
        saturated_s=saturated_s,
        end_s=end_s,
    )


def test_scores_a_whole_run():
    result = a_result(
        (0.0, 11, RequestOutcome.SERVED, 0.4, 0.8),  # 40 ms a token: both SLOs
        (10.0, 11, RequestOutcome.SERVED, 11.0, 11.8),  # first token after 1 s, 80 ms: the main one only
        (20.0, 11, RequestOutcome.SERVED, 23.0, 23.4),  # first token after 3 s: neither
        (30.0, 11, RequestOutcome.REFUSED, NAN, NAN),
        pods=(PodLifetime(0, 0.0, 0.0, 3600.0), PodLifetime(1, 900.0, 982.0, 2700.0)),
        counts=((0.0, 1), (900.0, 2), (1400.0, 1), (2700.0, 2)),
        saturated_s=15.0,
    )
    assert score(result, SloTarget(), gpus_per_replica=4) == Score(
        slo_attainment=0.5,
        slo_attainment_strict=0.25,
        gpu_hours=pytest.approx(6.0),  # 1 h + 0.5 h, on four GPUs each
        dropped_ratio=0.25,
        reversals_per_hour=1.0,  # down 500 s after up; up again 1300 s later is none
        scale_events=3,
        ttft_p50_s=1.0,
        ttft_p99_s=pytest.approx(2.96),
        tpot_p50_s=pytest.approx(0.04),
        tpot_p99_s=pytest.approx(0.0792),
        mean_replicas=1.5,
        peak_replicas=2,
        saturated_s=15.0,
    )


@pytest.mark.parametrize(
    ("request_", "unloaded_ttft_s", "kept"),
    [
        pytest.param((0.0, 2, RequestOutcome.SERVED, 2.0, 2.09), 0.1, True, id="at the limit"),
        pytest.param((0.0, 2, RequestOutcome.SERVED, 2.001, 2.1), 0.1, False, id="first token late"),
        pytest.param(
            (0.0, 2, RequestOutcome.SERVED, 4.5, 4.59), 1.5, True, id="a long prompt has three times its own time"
        ),
        pytest.param((0.0, 2, RequestOutcome.SERVED, 4.6, 4.7), 1.5, False, id="and no more"),
        pytest.param((0.0, 3, RequestOutcome.SERVED, 1.0, 1.3), 0.1, False, id="tokens too slow"),
        pytest.param((0.0, 1, RequestOutcome.SERVED, 1.0, 1.0), 0.1, True, id="one token has no time per token"),
        pytest.param((0.0, 2, RequestOutcome.TIMED_OUT, NAN, NAN), 0.1, False, id="timed out"),
        pytest.param((0.0, 2, RequestOutcome.UNFINISHED, 1.0, NAN), 0.1, False, id="unfinished"),
    ],
)
def test_a_request_counts_only_within_both_limits(request_, unloaded_ttft_s: float, *, kept: bool):
    assert within_slo(a_result(request_, unloaded_ttft_s=unloaded_ttft_s), SloTarget()).tolist() == [kept]


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        pytest.param([(0, 1)], 0, id="steady"),
        pytest.param([(0, 1), (10, 2), (20, 3), (900, 2)], 0, id="down after more than ten minutes"),
        pytest.param([(0, 1), (10, 2), (610, 1)], 1, id="after ten minutes sharp"),
        pytest.param([(0, 4), (10, 3), (20, 4), (30, 3)], 2, id="each turn counts"),
    ],
)
def test_a_reversal_is_a_change_of_direction_within_ten_minutes(counts: list[tuple[float, int]], expected: int):
    assert reversals(tuple(counts)) == expected


def test_a_run_without_requests_has_no_misses():
    empty = score(a_result(), SloTarget(), gpus_per_replica=1)
    assert (empty.slo_attainment, empty.dropped_ratio, empty.ttft_p99_s, empty.gpu_hours) == (1.0, 0.0, 0.0, 1.0)


def test_counts_billed_pods_over_time():
    pods = (PodLifetime(0, 0.0, 0.0, 100.0), PodLifetime(1, 50.0, None, 60.0))
    assert billed_at(pods, np.array([0.0, 49.9, 50.0, 60.0, 100.0])).tolist() == [1, 1, 2, 1, 0]
