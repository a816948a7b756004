"""The reserve above the load: learned from forecast errors and SLO misses."""

import math
from dataclasses import replace

import pytest

from chatscale.api.v1alpha1 import AutoscalingStatus, LearnedStatus, SloSpec
from chatscale.scaling.reserve import Reserve, learn_reserve
from chatscale.scaling.tuning import BUDGET_SHARE, MAX_RESERVE, MIN_RESERVE
from chatscale.scaling.work import Work, count_work
from tests.support.replicas import at
from tests.support.workers import Fleet

SLO = SloSpec()


class Student:
    """Learns from a fleet, tick after tick."""

    def __init__(self, count: int = 4) -> None:
        self.fleet, self.work, self.reserve = Fleet(count), Work(), Reserve()

    def watches(self, seconds: int, requests_per_s: float, missed: float = 0.0) -> None:
        for _ in range(seconds // 15):
            seen = self.fleet.after(15, requests_per_s, missed)
            self.work = count_work(self.work, seen.replicas, seen.taken_at)
            self.reserve = learn_reserve(self.reserve, self.work, SLO, seen.taken_at)


def test_the_need_matches_a_calculation_by_hand() -> None:
    student = Student()
    student.watches(600, 24)
    plain = replace(student.reserve, factor=1.0, error_variance=0.0)

    need = plain.sized_for(student.work, SLO, at(600))

    # 24 requests/s of 1000 tokens on 8000 tokens/s; 0.125 s of work each, 2 s for the first token.
    assert need.load == need.expected == pytest.approx(3.0, rel=0.01)
    assert need.spare == pytest.approx(2 * math.sqrt(0.125 / 2) * 3.0**0.75, rel=0.01)


def test_hours_without_misses_shrink_the_reserve_and_misses_raise_it() -> None:
    student = Student()
    student.watches(3600, 24)
    calm = student.reserve.factor
    student.watches(1800, 24, missed=0.05)

    assert calm == pytest.approx(math.exp(-0.15), rel=0.02)
    assert student.reserve.factor > calm * 1.2


def test_misses_at_the_budget_leave_the_reserve_as_it_is() -> None:
    student = Student()
    student.watches(3600, 24, missed=BUDGET_SHARE * 0.01)

    assert student.reserve.factor == pytest.approx(1.0, abs=0.01)


@pytest.mark.parametrize(("missed", "bound"), [pytest.param(0.0, MIN_RESERVE, id="never"), (1.0, MAX_RESERVE)])
def test_what_is_learned_has_bounds(missed: float, bound: float) -> None:
    student = Student()
    student.watches(8 * 3600, 24, missed)

    assert student.reserve.factor == bound


def test_misses_beyond_half_of_the_requests_count_as_half() -> None:
    half, all_ = Student(), Student()
    half.watches(60, 24, missed=0.5)
    all_.watches(60, 24, missed=1.0)

    assert all_.reserve.factor == half.reserve.factor > 1.0


def test_load_that_rises_within_a_cold_start_widens_the_forecast() -> None:
    steady, bursty = Student(), Student()
    steady.watches(3600, 24)
    for _ in range(6):
        bursty.watches(300, 24)
        bursty.watches(300, 48)

    assert bursty.reserve.error_variance > 5 * steady.reserve.error_variance


def test_the_first_load_after_an_idle_hour_is_a_bounded_error() -> None:
    student = Student(1)
    student.watches(3600, 0)
    student.watches(300, 4)
    need = student.reserve.sized_for(student.work, SLO, at(3900))

    # 4 requests/s of 1000 tokens on 8000 tokens/s.
    assert need.load == pytest.approx(0.5, rel=0.1)
    assert need.expected < 1.0


def test_an_unannounced_spike_does_not_keep_replicas_for_hours() -> None:
    student = Student()
    student.watches(1800, 24)
    student.watches(120, 24 * 12)
    student.watches(600, 24)

    assert math.sqrt(student.reserve.error_variance) < 0.35


def test_falling_load_is_no_error() -> None:
    student = Student()
    student.watches(1800, 48)
    before = student.reserve.error_variance
    student.watches(600, 12)

    assert student.reserve.error_variance <= before


def test_a_new_process_continues_with_what_the_last_one_learned() -> None:
    learned = LearnedStatus(reserve_percent=150, forecast_error_percent=20, prompt_tokens=1, generated_tokens=1)

    reserve = Reserve.learned(AutoscalingStatus(cold_start_seconds=120, scheduling_seconds=40, learned=learned))

    assert (reserve.factor, reserve.starts.until_ready_s) == (1.5, 160.0)
    assert reserve.error_variance == pytest.approx(0.04)
