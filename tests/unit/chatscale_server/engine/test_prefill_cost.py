"""A step reads as many prompt tokens as streams can wait for, and no fewer than pay for the pass."""

import pytest

from chatscale_server.engine.prefill_cost import PrefillCost


@pytest.mark.parametrize(
    ("cost", "tokens", "burst"),
    [
        pytest.param(PrefillCost(0.02, 0.0005), 460, 8, id="a fast machine: a quarter of a second"),
        pytest.param(PrefillCost(0.12, 0.002), 240, 3, id="a dear pass: four times what it costs"),
        pytest.param(PrefillCost(0.3, 0.005), 90, 2, id="a slow machine: three quarters of a second"),
        pytest.param(PrefillCost(2.0, 0.05), 64, 1, id="the least"),
        pytest.param(PrefillCost(0.001, 0.0001), 1024, 19, id="the most"),
    ],
)
def test_a_step_is_as_long_as_efficiency_requires_within_the_stall_limits(cost, tokens, burst):
    assert (cost.step_tokens, cost.burst_factor) == (tokens, burst)
    assert cost.tokens_per_second == pytest.approx(tokens / (cost.pass_s + tokens * cost.token_s))


def test_the_costs_of_a_pass_and_of_a_token_are_measured_separately():
    cost = PrefillCost.of_probes((32, 0.184), (128, 0.376))
    assert (cost.pass_s, cost.token_s) == (pytest.approx(0.12), pytest.approx(0.002))


@pytest.mark.parametrize("few_s", [pytest.param(0.5, id="the shorter took longer"), pytest.param(0.01, id="too short")])
def test_noise_never_gives_a_negative_cost(few_s):
    assert PrefillCost.of_probes((32, few_s), (128, 0.4)) == PrefillCost(0.0, 0.4 / 128)
