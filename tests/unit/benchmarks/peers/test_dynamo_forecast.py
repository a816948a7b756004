"""Values worked out by hand; the Kalman filter's from its matrices."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.benchmarks.autoscaling.peers.dynamo_forecast import Arima, Kalman, _kpss


def test_kalman_repeats_the_first_value_and_then_trusts_the_new_ones():
    kalman = Kalman()
    kalman.add(10)
    assert kalman.next() == 10
    # Predicted P: level 2001, both 1000, trend 1000.1. Gains 2001 / 2011 and 1000 / 2011 on a surprise of 2.
    kalman.add(12)
    assert kalman.next() == pytest.approx(10 + 2 * 2001 / 2011 + 2 * 1000 / 2011)


def test_kalman_gives_the_same_forecast_twice():
    kalman = Kalman()
    for value in (10, 12):
        kalman.add(value)
    assert kalman.next() == kalman.next()


def test_kalman_agrees_with_the_filter_in_matrices():
    transition, seen = np.array([[1.0, 1.0], [0.0, 1.0]]), np.array([[1.0, 0.0]])
    noise = np.diag([1.0, 0.1])
    state, covariance = np.array([[50.0], [0.0]]), 1000 * np.eye(2)
    kalman = Kalman()
    kalman.add(50)
    for value in (60, 55, 80, 20, 90, 91):
        state, covariance = transition @ state, transition @ covariance @ transition.T + noise
        assert kalman.next() == pytest.approx(state[0, 0])
        gain = covariance @ seen.T / (covariance[0, 0] + 10)
        state, covariance = state + gain * (value - state[0, 0]), (np.eye(2) - gain @ seen) @ covariance
        kalman.add(value)


def test_zeros_before_the_first_load_are_skipped():
    kalman, arima = Kalman(), Arima()
    for predictor in (kalman, arima):
        for value in (0, 0, 7):
            predictor.add(value)
        assert predictor.next() == 7


def test_arima_repeats_the_last_of_fewer_than_five():
    arima = Arima()
    for value in (3, 9, 4, 8):
        arima.add(value)
    assert arima.next() == 8


def test_arima_finds_an_exact_recurrence():
    arima = Arima()
    for value in (16, 4, 10, 7, 8.5):  # y = 12 - y / 2
        arima.add(value)
    assert arima.next() == pytest.approx(7.75)
    arima.add(7.75)
    assert arima.next() == pytest.approx(8.125)


def test_arima_differences_a_trend():
    assert _kpss(np.array([1.0, 2, 3, 4, 5])) == pytest.approx(0.52), "above the critical 0.463"
    arima = Arima()
    for value in (10, 20, 30, 40, 50):
        arima.add(value)
    assert 55 < arima.next() < 65


def test_arima_keeps_the_order_of_its_first_five_points_unless_told_otherwise():
    once, again = Arima(), Arima(reselect=True)
    values = [16, 4, 10, 7, 8.5, *range(10, 100, 10)]
    for value in values:
        for predictor in (once, again):
            predictor.add(value)
            predictor.next()
    assert once._order is not None
    assert once._order.differences == 0
    assert again._order is not None
    assert again._order.differences == 1


def test_constant_data_is_repeated():
    arima = Arima()
    for _ in range(9):
        arima.add(6)
    assert arima.next() == 6


@given(st.lists(st.floats(0, 1e6), max_size=40), st.booleans())
def test_forecasts_are_finite_and_not_negative(values, reselect):
    for predictor in (Kalman(), Arima(reselect=reselect)):
        for value in values:
            predictor.add(value)
            forecast = predictor.next()
            assert np.isfinite(forecast)
            assert forecast >= 0
