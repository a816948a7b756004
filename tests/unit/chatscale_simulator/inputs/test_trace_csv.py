"""Promise: a trace is read as it is, or refused with line, column, expectation and found value."""

import numpy as np
import pytest

from chatscale_simulator.inputs.trace_csv import TraceError, parse_trace
from chatscale_simulator.simulation.workload import Workload

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


def test_finds_columns_by_name_and_ignores_others():
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
def test_an_error_names_line_column_expectation_and_found_value(lines: list[str], message: str):
    with pytest.raises(TraceError) as refused:
        parse_trace(lines, "day.csv")
    assert str(refused.value) == message
