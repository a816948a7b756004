"""A jump of the arrival rate is found at once, and noise is no jump."""

import math
import random
from datetime import datetime, timedelta

import pytest

from chatscale.scaling.jump import ArrivalNoise, Jump, find_jump
from chatscale.scaling.tuning import LOAD_WINDOW
from chatscale.scaling.windows import Window
from tests.support.replicas import at

INTERVAL_S = 2.0


class Counter:
    """Readings every two seconds."""

    def __init__(self, dispersion: float = 1.0) -> None:
        self.arrivals, self.spans_s, self.now_s = Window(), Window(), 0.0
        self.noise = ArrivalNoise(dispersion)
        self.jump: Jump | None = None

    def reads(self, *requests: float) -> Jump | None:
        for count in requests:
            self.now_s += INTERVAL_S
            self.arrivals = self.arrivals.with_value(self.now, count, LOAD_WINDOW)
            self.spans_s = self.spans_s.with_value(self.now, INTERVAL_S, LOAD_WINDOW)
            self.jump = find_jump(self.arrivals, self.spans_s, self.noise, self.jump, self.now)
        return self.jump

    @property
    def now(self) -> datetime:
        return at(self.now_s)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        pytest.param(0, [8], id="from idle, in the first reading"),
        pytest.param(2, [20], id="tenfold, in the first reading"),
        pytest.param(10, [50], id="fivefold, in the first reading"),
        pytest.param(10, [26, 26, 26], id="little more than double, within three readings"),
        pytest.param(1, [6, 6, 6], id="sixfold at a low rate, within three readings"),
    ],
)
def test_a_jump_is_found(before: float, after: list[float]) -> None:
    counter = Counter()
    counter.reads(*[before] * 30)

    assert counter.reads(*after) is not None


def test_the_average_starts_at_the_jump_and_not_before() -> None:
    counter = Counter()
    counter.reads(*[2] * 30)

    assert counter.reads(10, 30) == Jump(since=at(60), seen_at=at(62), rps_before=1.0)


def test_a_jump_ends_when_a_whole_window_has_been_read_after_it() -> None:
    counter = Counter()
    counter.reads(*[2] * 30)

    assert counter.reads(*[30] * 29) is not None
    assert counter.reads(30) is None


def test_a_second_jump_within_the_window_of_the_first_is_found() -> None:
    counter = Counter()
    counter.reads(*[2] * 30, *[20] * 5)

    assert counter.reads(100) == Jump(since=at(70), seen_at=at(72), rps_before=10.0)


@pytest.mark.parametrize("rps", [0.2, 2.0, 20.0, 200.0])
def test_independent_arrivals_are_no_jump(rps: float) -> None:
    random_numbers = random.Random(3)
    counter, jumps = Counter(), 0
    for _ in range(3600):
        jumps += counter.reads(_poisson(random_numbers, rps * INTERVAL_S)) is not None

    assert jumps == 0


def test_bursty_traffic_needs_a_larger_jump() -> None:
    calm, bursty = Counter(), Counter(dispersion=9.0)
    calm.reads(*[10] * 30)
    bursty.reads(*[10] * 30)

    assert calm.reads(40) is not None
    assert bursty.reads(40) is None


def test_the_noise_of_bursty_arrivals_is_learned() -> None:
    noise = ArrivalNoise()
    for reading in range(900):
        noise = noise.with_reading(16.0 if reading % 2 else 4.0, INTERVAL_S, 5.0)

    assert noise.dispersion == pytest.approx(3.6, rel=0.2)
    assert ArrivalNoise().with_reading(10.0, INTERVAL_S, 5.0).dispersion == 1.0


def _poisson(random_numbers: random.Random, mean: float) -> float:
    if mean > 50:
        return max(round(random_numbers.gauss(mean, math.sqrt(mean))), 0)
    limit, count, product = math.exp(-mean), 0, random_numbers.random()
    while product > limit:
        count += 1
        product *= random_numbers.random()
    return count


def test_one_reading_is_no_jump() -> None:
    assert Counter().reads(50) is None


def test_readings_of_fifteen_seconds_are_compared_one_by_one() -> None:
    arrivals, spans_s = Window(), Window()
    for reading, requests in enumerate((15, 15, 15, 90), start=1):
        now = at(15 * reading)
        arrivals = arrivals.with_value(now, requests, LOAD_WINDOW)
        spans_s = spans_s.with_value(now, 15.0, LOAD_WINDOW)

    found = find_jump(arrivals, spans_s, ArrivalNoise(), None, at(60))

    assert found == Jump(since=at(45), seen_at=at(60), rps_before=1.0)
    assert at(60) - found.since == timedelta(seconds=15)
