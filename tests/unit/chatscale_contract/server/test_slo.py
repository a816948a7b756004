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
