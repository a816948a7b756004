"""When a request misses its objectives, checked by hand."""

import pytest

from chatscale_contract.server.slo import LatencyObjectives

OBJECTIVES = LatencyObjectives(ttft_s=2.0, tpot_s=0.1)


@pytest.mark.parametrize(
    ("ttft_s", "prompt_tokens", "tokens_per_second", "missed"),
    [
        pytest.param(2.0, 10, 1000.0, False, id="on-time"),
        pytest.param(2.1, 10, 1000.0, True, id="late"),
        pytest.param(9.0, 3000, 1000.0, False, id="long-prompt-within-three-times-its-prefill"),
        pytest.param(9.1, 3000, 1000.0, True, id="long-prompt-late"),
        pytest.param(2.1, 3000, 0.0, True, id="unknown-throughput"),
    ],
)
def test_a_first_token_may_take_the_objective_or_three_times_the_prefill(
    ttft_s: float, prompt_tokens: int, tokens_per_second: float, *, missed: bool
):
    assert OBJECTIVES.misses_ttft(ttft_s, prompt_tokens, tokens_per_second) is missed


@pytest.mark.parametrize(("tokens", "missed"), [(1, False), (2, True), (11, False), (10, True)])
def test_the_mean_time_per_token_counts_from_the_second_token_on(tokens: int, *, missed: bool):
    assert OBJECTIVES.misses_tpot(1.0, tokens) is missed


def test_the_server_reads_what_the_operator_writes():
    assert LatencyObjectives.from_json(OBJECTIVES.to_json()) == OBJECTIVES


def test_keys_of_a_newer_operator_are_ignored():
    text = '{"ttft_seconds": 2, "time_per_output_token_seconds": 0.1, "later_seconds": 1}'
    assert LatencyObjectives.from_json(text) == OBJECTIVES


def test_an_error_names_the_key_the_expected_and_the_found_value():
    with pytest.raises(ValueError, match="ttft_seconds must be a number above 0 and at most 600, found -1"):
        LatencyObjectives.from_json('{"ttft_seconds": -1, "time_per_output_token_seconds": 0.1}')
