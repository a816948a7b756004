"""Latencies that gateways exchange."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatscale_contract.gateway.latencies import LAST_BUCKET, SMALLEST_S, add_counts, bucket_of, quantiles_s

LATENCIES = st.lists(st.floats(SMALLEST_S, 1000.0), min_size=1, max_size=200)


@given(LATENCIES, st.sampled_from([0.5, 0.95, 1.0]))
def test_a_quantile_is_within_three_percent_of_the_exact_one(latencies: list[float], share: float) -> None:
    exact = sorted(latencies)[math.ceil(share * len(latencies)) - 1]
    found = quantiles_s(add_counts({bucket_of(each): 1} for each in latencies), share)
    assert found[0] == pytest.approx(exact, rel=0.03)


@given(LATENCIES, LATENCIES)
def test_the_sum_of_two_gateways_is_what_one_gateway_would_have_counted(left: list[float], right: list[float]) -> None:
    def counts(latencies: list[float]) -> dict[int, int]:
        return add_counts({bucket_of(each): 1} for each in latencies)

    assert add_counts([counts(left), counts(right)]) == counts(left + right)


def test_without_latencies_there_is_no_quantile() -> None:
    assert quantiles_s({}, 0.5, 0.95) == [None, None]


@pytest.mark.parametrize(
    ("latency_s", "bucket"), [(-1.0, 0), (0.0, 0), (SMALLEST_S, 0), (SMALLEST_S * 1.05, 1), (1e9, LAST_BUCKET)]
)
def test_every_latency_has_a_bucket(latency_s: float, bucket: int) -> None:
    assert bucket_of(latency_s) == bucket
