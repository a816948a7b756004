import numpy as np
import pytest

from chatscale_assistant.evaluation.intervals import auc, bootstrap, exact, mean, quantile, share
from chatscale_assistant.evaluation.measurement import Measurement


def test_interval_of_a_share_covers_the_true_share_in_95_of_100_samples():
    rng = np.random.default_rng(1)
    covered = 0
    for _ in range(400):
        found = share(list(rng.random(150) < 0.9))
        covered += found.low <= 0.9 <= found.high
    assert 0.92 <= covered / 400 <= 0.98


def test_interval_of_a_share_stays_open_where_every_outcome_is_a_hit():
    found = share([True] * 50)
    assert (found.value, found.high) == (1.0, 1.0)
    assert 0.92 < found.low < 0.94


def test_bootstrap_of_a_mean_agrees_with_the_normal_interval_and_repeats():
    values = np.random.default_rng(2).normal(5, 2, 400).tolist()
    found = mean(values)
    assert found == mean(values)
    half = 1.96 * np.std(values) / 20
    assert found.low == pytest.approx(found.value - half, abs=0.05)
    assert found.high == pytest.approx(found.value + half, abs=0.05)


def test_auc_counts_ties_half():
    assert auc([1, 2, 3], [0, 1]).value == pytest.approx((2 + 2 + 1.5) / 6)
    assert auc([2, 3], [0, 1]).value == 1.0


def test_quantile_lies_within_its_interval():
    found = quantile(list(range(1000)), 0.99)
    assert found.low <= found.value <= found.high
    assert found.value == pytest.approx(989, abs=1)


@pytest.mark.parametrize("estimate", [lambda: share([]), lambda: auc([], [1]), lambda: bootstrap([], np.mean)])
def test_no_estimate_without_a_sample(estimate):
    with pytest.raises(ValueError, match="at least one"):
        estimate()


@pytest.mark.parametrize(
    ("value", "must", "lower_is_better", "reached"),
    [
        pytest.param(0.95, 0.95, False, True, id="at-the-limit"),
        pytest.param(0.9499, 0.95, False, False, id="below"),
        pytest.param(150, 150, True, True, id="lower-at-the-limit"),
        pytest.param(151, 150, True, False, id="lower-above"),
        pytest.param(0.1, None, False, None, id="no-must"),
    ],
)
def test_a_must_is_reached_at_its_limit(value, must, lower_is_better, reached):
    found = Measurement.of("s", "n", exact(value, 1), must=must, lower_is_better=lower_is_better)
    assert found.reached is reached
