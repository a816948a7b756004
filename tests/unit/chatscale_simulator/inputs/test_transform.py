"""Promise: superposing, cutting and drawing keep what they should of a workload."""

import numpy as np
import pytest

from chatscale_simulator.inputs.trace_csv import RecordedRates, TraceError, parse_trace
from chatscale_simulator.inputs.transform import (
    busiest_window,
    cut,
    draw_arrivals,
    rounding_s,
    superpose,
    undo_rounding,
)
from chatscale_simulator.simulation.workload import Workload

HEADER = "arrival_s,input_tokens,output_tokens"


def a_workload(arrivals: list[float]) -> Workload:
    tokens = np.arange(1, len(arrivals) + 1)
    return Workload(np.array(arrivals, float), tokens, tokens * 10)


def read(*lines: str) -> Workload:
    workload = parse_trace(lines, "day.csv")
    assert isinstance(workload, Workload)
    return workload


def test_superposition_multiplies_the_load_and_moves_each_request_by_at_most_15_s():
    trace = a_workload([100.0, 200.0, 300.0])
    tripled = superpose(trace, 3, seed=7)
    assert len(tripled.arrival_s) == 9
    assert (np.diff(tripled.arrival_s) >= 0).all()
    origin = np.repeat(trace.arrival_s, 3)
    assert (np.abs(tripled.arrival_s - origin) <= 15).all()
    assert len(np.unique(tripled.arrival_s)) == 9
    assert tripled.prompt_tokens.tolist() == [1, 1, 1, 2, 2, 2, 3, 3, 3], "tokens stay with their request"


def test_the_seed_decides_the_superposition():
    trace = a_workload([float(at) for at in range(50)])
    first, again, other = (superpose(trace, 2, seed=seed).arrival_s.tolist() for seed in (1, 1, 2))
    assert first == again != other
    assert superpose(trace, 1, seed=1) is trace


def test_cuts_a_window_and_starts_its_clock():
    window = cut(a_workload([0.0, 10.0, 20.0, 30.0]), 10.0, 30.0)
    assert (window.arrival_s.tolist(), window.prompt_tokens.tolist()) == ([0.0, 10.0], [2, 3])


def test_finds_and_undoes_a_publishers_rounding():
    rounded = a_workload([float(3 * (at // 5)) for at in range(500)])
    assert rounding_s(rounded) == 3.0
    spread = undo_rounding(rounded, 3.0, seed=1)
    assert rounding_s(spread) == 0.0
    assert (np.abs(np.sort(spread.arrival_s) - rounded.arrival_s) < 3).all()


@pytest.mark.parametrize(
    "arrivals",
    [
        pytest.param([0.0, 3.0, 6.0], id="too few to tell"),
        pytest.param([at + 0.5 for at in range(100) for _ in range(4)], id="fractions"),
        pytest.param([float(at) for at in range(100)], id="no two at once"),
        pytest.param([60.0 * at for at in range(100) for _ in range(9)], id="bursts, a minute apart"),
    ],
)
def test_exact_arrivals_are_not_taken_for_rounded_ones(arrivals: list[float]):
    assert rounding_s(a_workload(arrivals)) == 0.0


def test_the_busiest_window_holds_peak_and_trough():
    quiet = np.arange(0.0, 12 * 3600, 60.0)
    peak = np.arange(8 * 3600, 8 * 3600 + 1800, 1.0)
    trace = a_workload(sorted([*quiet, *peak]))
    start_s, end_s = busiest_window(trace, 2 * 3600.0)
    assert end_s - start_s == 7200.0
    assert start_s <= 8 * 3600 <= end_s
    assert busiest_window(trace, 86400.0) == (0.0, 86400.0)


def test_draws_requests_from_recorded_rates():
    recorded = parse_trace(
        ["timestamp,requests_per_second", "2026-11-24T20:00:00Z,2", "2026-11-24T21:00:00Z,6"], "day.csv"
    )
    assert isinstance(recorded, RecordedRates)
    drawn = draw_arrivals(recorded, 3, 1000.0, 200.0)
    before = int((drawn.arrival_s < 3600).sum())
    assert before == pytest.approx(7200, rel=0.05)
    assert len(drawn.arrival_s) - before == pytest.approx(21600, rel=0.05)
    assert (np.diff(drawn.arrival_s) >= 0).all()
    assert drawn.arrival_s[-1] < 7200
    assert drawn.prompt_tokens.mean() == pytest.approx(1000, rel=0.03)
    assert drawn.output_tokens.mean() == pytest.approx(200, rel=0.03)


def test_recorded_token_means_have_precedence_over_options():
    recorded = parse_trace(
        ["timestamp,requests_per_second,input_tokens,output_tokens", "0,5,500,50", "1000,5,500,50"], "day.csv"
    )
    assert isinstance(recorded, RecordedRates)
    assert draw_arrivals(recorded, 3, 9999.0, None).prompt_tokens.mean() == pytest.approx(500, rel=0.03)


def test_rates_without_token_means_are_refused():
    rates = RecordedRates(np.array([0.0, 60.0]), np.array([1.0, 1.0]), None, None)
    with pytest.raises(TraceError, match="need a mean input_tokens: as a column of the recording, or as an option"):
        draw_arrivals(rates, 0, None, 100.0)


def test_rates_without_a_request_are_refused():
    rates = RecordedRates(np.array([0.0, 60.0]), np.array([0.0, 0.0]), None, None)
    with pytest.raises(TraceError, match="at least one request"):
        draw_arrivals(rates, 0, 100.0, 100.0)
