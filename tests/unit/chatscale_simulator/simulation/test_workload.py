"""Traces: what is read, what is refused, and what scaling and cutting keep."""

import numpy as np
import pytest

from chatscale_simulator.simulation.outcome import Workload
from chatscale_simulator.simulation.workload import (
    Rates,
    TraceError,
    arrivals_at,
    busiest_window,
    cut,
    parse_trace,
    rounding_s,
    spread_grid,
    superpose,
)

HEADER = "arrival_s,input_tokens,output_tokens"


def a_workload(arrivals: list[float]) -> Workload:
    tokens = np.arange(1, len(arrivals) + 1)
    return Workload(np.array(arrivals, float), tokens, tokens * 10)


def read(*lines: str) -> Workload:
    workload = parse_trace(lines, "day.csv")
    assert isinstance(workload, Workload)
    return workload


def test_reads_requests():
    workload = read(HEADER, "0.5,100,20", "0.5,7,0", "", "3.25,1,2")
    assert workload.arrival_s.tolist() == [0.5, 0.5, 3.25]
    assert workload.prompt_tokens.tolist() == [100, 7, 1]
    assert workload.output_tokens.tolist() == [20, 1, 2], "an answer of nothing still ends with a token"


def test_finds_columns_by_name_and_leaves_others_alone():
    workload = read("user, output_tokens ,arrival_s,input_tokens", "a,20,1.5,100")
    assert (workload.arrival_s[0], workload.prompt_tokens[0], workload.output_tokens[0]) == (1.5, 100, 20)


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        pytest.param(
            [],
            "day.csv: line 1 must name the columns arrival_s,input_tokens,output_tokens (requests) or "
            "timestamp,requests_per_second (a recorded rate), found nothing",
            id="empty",
        ),
        pytest.param(
            ["time,tokens", "1,2"],
            "day.csv: line 1 must name the columns arrival_s,input_tokens,output_tokens (requests) or "
            "timestamp,requests_per_second (a recorded rate), found time,tokens",
            id="columns",
        ),
        pytest.param([HEADER], "day.csv: must have at least one request, found the header alone", id="no rows"),
        pytest.param(
            [HEADER, "1,1,1", "2,1"], "day.csv: line 3 must have 3 values, one per column, found 2", id="short row"
        ),
        pytest.param(
            [HEADER, "-1,1,1"],
            "day.csv: line 2, arrival_s must be a number of at least 0, found '-1'",
            id="negative time",
        ),
        pytest.param(
            [HEADER, "nan,1,1"], "day.csv: line 2, arrival_s must be a number of at least 0, found 'nan'", id="nan"
        ),
        pytest.param(
            [HEADER, "1,-5,1"],
            "day.csv: line 2, input_tokens must be a whole number from 0 to 10000000, found '-5'",
            id="negative tokens",
        ),
        pytest.param(
            [HEADER, "1,5,2.5"],
            "day.csv: line 2, output_tokens must be a whole number from 0 to 10000000, found '2.5'",
            id="half a token",
        ),
        pytest.param(
            [HEADER, "9,1,1", "8,1,1"],
            "day.csv: line 3, arrival_s must be at or after the line before (9): sort the trace, found 8",
            id="unsorted",
        ),
        pytest.param(
            ["timestamp,requests_per_second", "0,1"], "day.csv: must have at least two rates, found 1", id="one rate"
        ),
        pytest.param(
            ["timestamp,requests_per_second", "0,1", "0,2"],
            "day.csv: line 3, timestamp must be after the line before (0), found 0",
            id="unsorted rates",
        ),
        pytest.param(
            ["timestamp,requests_per_second", "noon,1"],
            "day.csv: line 2, timestamp must be seconds since 1970 or an ISO 8601 time, found 'noon'",
            id="timestamp",
        ),
        pytest.param(
            ["timestamp,requests_per_second", "0,-1"],
            "day.csv: line 2, requests_per_second must be a number of at least 0, found '-1'",
            id="negative rate",
        ),
    ],
)
def test_names_line_column_expectation_and_finding(lines: list[str], message: str):
    with pytest.raises(TraceError) as refused:
        parse_trace(lines, "day.csv")
    assert str(refused.value) == message


def test_superposition_multiplies_the_load_and_moves_each_request_by_at_most_15_s():
    trace = a_workload([100.0, 200.0, 300.0])
    tripled = superpose(trace, 3, seed=7)
    assert len(tripled.arrival_s) == 9
    assert (np.diff(tripled.arrival_s) >= 0).all()
    origin = np.repeat(trace.arrival_s, 3)
    assert (np.abs(tripled.arrival_s - origin) <= 15).all()
    assert len(np.unique(tripled.arrival_s)) == 9
    assert tripled.prompt_tokens.tolist() == [1, 1, 1, 2, 2, 2, 3, 3, 3], "tokens stay with their request"


def test_the_same_seed_gives_the_same_superposition_and_another_another():
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
    spread = spread_grid(rounded, 3.0, seed=1)
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
def test_sees_no_rounding_where_there_is_none(arrivals: list[float]):
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
    assert isinstance(recorded, Rates)
    drawn = arrivals_at(recorded, 3, 1000.0, 200.0)
    before = int((drawn.arrival_s < 3600).sum())
    assert before == pytest.approx(7200, rel=0.05)
    assert len(drawn.arrival_s) - before == pytest.approx(21600, rel=0.05)
    assert (np.diff(drawn.arrival_s) >= 0).all()
    assert drawn.arrival_s[-1] < 7200
    assert drawn.prompt_tokens.mean() == pytest.approx(1000, rel=0.03)
    assert drawn.output_tokens.mean() == pytest.approx(200, rel=0.03)


def test_recorded_token_means_count_before_given_ones():
    recorded = parse_trace(
        ["timestamp,requests_per_second,input_tokens,output_tokens", "0,5,500,50", "1000,5,500,50"], "day.csv"
    )
    assert isinstance(recorded, Rates)
    assert arrivals_at(recorded, 3, 9999.0, None).prompt_tokens.mean() == pytest.approx(500, rel=0.03)


def test_rates_without_token_means_ask_for_them():
    rates = Rates(np.array([0.0, 60.0]), np.array([1.0, 1.0]), None, None)
    with pytest.raises(TraceError, match="need a mean input_tokens: as a column of the recording, or as an option"):
        arrivals_at(rates, 0, None, 100.0)


def test_rates_of_nothing_are_refused():
    rates = Rates(np.array([0.0, 60.0]), np.array([0.0, 0.0]), None, None)
    with pytest.raises(TraceError, match="at least one request"):
        arrivals_at(rates, 0, 100.0, 100.0)
