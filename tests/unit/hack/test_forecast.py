"""How far a run is, from what it expects and what it saw."""

import pytest

from hack.cluster.forecast import Forecast, forecast

STEPS = {"base": 100.0, "build": 300.0}


def test_a_run_that_expects_nothing_has_no_forecast():
    assert forecast({}, [], {"x": 5.0}, 10.0) is None


@pytest.mark.parametrize(
    ("ended", "running_s", "elapsed_s", "expected"),
    [
        pytest.param([], {}, 0.0, Forecast(0.0, 400.0), id="start"),
        pytest.param(["base"], {}, 100.0, Forecast(0.25, 300.0), id="as-estimated"),
        pytest.param(["base"], {}, 260.0, Forecast(0.25, 600.0), id="half-as-fast"),
        pytest.param(["base"], {"build": 150.0}, 250.0, Forecast(0.625, 150.0), id="in-the-middle-of-a-step"),
        pytest.param(["base", "unknown"], {}, 100.0, Forecast(0.25, 300.0), id="unexpected-steps-do-not-count"),
        pytest.param(["base", "build"], {}, 400.0, Forecast(1.0, 0.0), id="end"),
    ],
)
def test_scales_the_estimates_by_the_observed_speed(ended, running_s, elapsed_s, expected):
    assert forecast(STEPS, ended, running_s, elapsed_s) == expected


def test_a_step_that_takes_longer_than_estimated_is_not_ended():
    found = forecast(STEPS, ["base"], {"build": 10_000.0}, 10_100.0)
    assert found is not None
    assert found.done < 1
    assert found.remaining_s > 0


def test_reads_as_a_sentence():
    assert Forecast(0.384, 545.0).describe() == "38 % done, about 9 min left"
    assert Forecast(0.99, 20.0).describe() == "99 % done, less than a minute left"
