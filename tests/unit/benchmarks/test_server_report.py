"""The benchmark's page: medians of the rounds, ratios the right way round, and promises judged by them."""

import math

import pytest

from tests.benchmarks.server.client import Answer, Figures, figures, percentile
from tests.benchmarks.server.report import OURS, SERVE, Results, page, targets
from tests.benchmarks.server.workload import closed_loop, poisson

CELL = "closed loop, 16"


def results(ours: list[float], theirs: list[float]) -> Results:
    found = Results()
    for peer, speeds in ((OURS, ours), (SERVE, theirs)):
        for speed in speeds:
            found.cells[peer, CELL].append(Figures(tokens_per_s=speed, ttft_p95_s=speed / 1000))
    return found


def test_one_slow_round_changes_no_ratio():
    (speed, late) = targets(results(ours=[300, 10, 310], theirs=[150, 160, 1]))
    assert (speed.found, speed.kept) == ("2.00x", True)
    assert (late.found, late.wanted, late.kept) == ("2x", "<= 1x", False)


def test_a_promise_that_was_not_measured_is_neither_kept_nor_broken():
    assert targets(Results()) == []


def test_a_lost_stream_breaks_the_promise_and_is_spelled_out():
    found = Results(drains=50, drain_answers=2000, drain_losses={"ClientPayloadError": 2})
    assert [(row.found, row.kept) for row in targets(found)] == [("2", False)]
    assert "lost or cut: 2 times ClientPayloadError" in page(found, [("CPU", "one")], ["quick"])


def test_the_page_has_a_row_for_each_peer_of_a_cell():
    text = page(results(ours=[300], theirs=[150]), [("CPU", "one")], [])
    assert "| chatscale | 300.0 | 1.00 |  | 300 |  |  |" in text
    assert "| transformers serve | 150.0 | 0.50 |  | 150 |  |  |" in text
    assert "nan" not in text


@pytest.mark.parametrize(("percent", "expected"), [(50, 2.0), (95, 4.0), (1, 1.0)])
def test_percentiles_are_values_that_occurred(percent, expected):
    assert percentile([4.0, 1.0, 3.0, 2.0], percent) == expected
    assert math.isnan(percentile([], percent))


def test_a_cell_is_all_its_tokens_over_all_its_time():
    answers = [Answer(0.1, 1.0, (0.2, 0.3), 10), Answer(0.3, 2.0, (0.9,), 20)]
    assert figures(answers, 3.0) == Figures(10.0, 0.1, 0.3, 0.9, 2.0)


def test_rounds_ask_new_questions_and_peers_of_a_round_the_same():
    assert closed_loop(2, 50, 8, "0") == closed_loop(2, 50, 8, "0")
    prompts = [ask.prompt for seed in "01" for ask in closed_loop(2, 50, 8, seed).asks]
    assert len(set(prompts)) == 100
    times = [ask.at_s for ask in poisson(2.0, 50, "0").asks]
    assert times == sorted(times)
