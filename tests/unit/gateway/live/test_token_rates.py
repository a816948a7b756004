"""Tokens per second over all gateways."""

import pytest

from chatscale_contract.gateway.demand import GatewayDemand, ModelDemand
from chatscale_gateway.live.token_rates import WINDOW_S, TokenRates


def report(instance: str, prompt: int, generated: int) -> GatewayDemand:
    models = {"demo/tiny": ModelDemand(prompt_tokens=prompt, passed_tokens=generated)}
    return GatewayDemand(f"gateway-{instance}", instance, 0, draining=False, models=models)


def test_adds_up_what_all_gateways_counted_in_the_window() -> None:
    rates = TokenRates()
    for n in range(31):
        rates.sample(float(n), [report("a", 100 * n, 10 * n), report("b", 0, 20 * n)])
    assert rates.rate("demo/tiny", 30.0) == pytest.approx((100.0, 30.0))
    assert rates.rate("demo/other", 30.0) == (0.0, 0.0)


def test_tokens_leave_the_window() -> None:
    rates = TokenRates()
    rates.sample(0.0, [report("a", 0, 0)])
    for n in range(1, 40):
        rates.sample(float(n), [report("a", 150, 0)])
        assert rates.rate("demo/tiny", float(n))[0] == (pytest.approx(150 / min(n, WINDOW_S)) if n <= WINDOW_S else 0.0)


def test_a_gateway_that_starts_or_restarts_adds_nothing_that_it_counted_before() -> None:
    rates = TokenRates()
    rates.sample(0.0, [report("a", 1_000_000, 0)])
    rates.sample(1.0, [report("a", 1_000_000, 0), report("b", 500_000, 0)])
    rates.sample(2.0, [report("a2", 15, 0), report("b", 500_000, 0)])
    rates.sample(3.0, [report("a2", 45, 0), report("b", 500_000, 0)])
    assert rates.rate("demo/tiny", 3.0) == pytest.approx((10.0, 0.0))
