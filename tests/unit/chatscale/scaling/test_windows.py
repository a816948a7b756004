from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from chatscale.scaling.windows import BUCKETS, Window
from tests.support.replicas import at

MINUTE = timedelta(seconds=60)


def window(*values: tuple[float, float], span: timedelta = MINUTE) -> Window:
    found = Window()
    for seconds, value in values:
        found = found.with_value(at(seconds), value, span)
    return found


def test_takes_mean_lowest_and_highest_of_the_span() -> None:
    found = window((0, 10), (30, 20), (59, 60))

    assert found.mean(at(59), MINUTE) == 30
    assert found.low(at(59), MINUTE) == 10
    assert found.high(at(59), MINUTE) == 60


def test_drops_values_as_old_as_the_span() -> None:
    found = window((0, 10), (30, 20))

    assert found.mean(at(60), MINUTE) == 20
    assert found.high(at(60), MINUTE) == 20


def test_a_span_shorter_than_the_interval_has_the_newest_value() -> None:
    assert window((0, 10), (5, 20)).mean(at(9), timedelta(seconds=1)) == 20


def test_a_span_of_zero_has_the_present_value() -> None:
    found = window((0, 10), (5, 20), (5, 30), span=timedelta())

    assert (found.low(at(5), timedelta()), found.high(at(5), timedelta())) == (20, 30)


def test_an_empty_window_is_zero() -> None:
    assert (Window().mean(at(0), MINUTE), Window().low(at(0), MINUTE), Window().high(at(0), MINUTE)) == (0, 0, 0)


@given(st.lists(st.floats(0, 100), min_size=1, max_size=300), st.floats(0.1, 5))
def test_stays_small_and_keeps_its_extremes_at_any_tick(values: list[float], tick: float) -> None:
    span = timedelta(seconds=tick * len(values) + 1)
    found = window(*((tick * index, value) for index, value in enumerate(values)), span=span)
    now = at(tick * (len(values) - 1))

    assert len(found.buckets) <= BUCKETS + 1
    assert found.high(now, span) == max(values)
    assert found.low(now, span) == min(values)
    assert abs(found.mean(now, span) - sum(values) / len(values)) < 1e-6
