"""The page about bursts on the kind cluster: what it derives from the saved bursts."""

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from tests.benchmarks.reaction.kind.__main__ import turns
from tests.benchmarks.reaction.kind.page import HEADING, with_section
from tests.benchmarks.reaction.kind.results import Burst, Measured, load, save
from tests.benchmarks.reaction.kind.scene import BURST_S, REQUESTS_PER_S, Variant, burst

GOOD = Burst(
    sent=1000,
    refused=5,
    late=100,
    lost=0,
    counts=((0.0, 1), (1.5, 2), (5.0, 4)),
    ready=((0.0, 1),),
    idle_s=80.0,
    load_average=1.5,
    busy=0.5,
    sent_late_p99_s=0.01,
    reasons=("1 -> 2: QueueGrowing",),
)
SLOW = replace(GOOD, refused=105, counts=((0.0, 1), (9.0, 2)))


@pytest.fixture
def measured() -> Measured:
    found = Measured("2026-11-27", "abc", "2 cores").with_fixed(1, SLOW).with_fixed(2, replace(GOOD, refused=0))
    for number in range(3):
        found = found.with_burst(number, Variant.SLO, GOOD)
        found = found.with_burst(number, Variant.QUEUE_DEPTH, SLOW)
        found = found.with_burst(number, Variant.HPA, SLOW)
    return found


def test_a_saved_run_is_read_back(measured: Measured, tmp_path: Path) -> None:
    save(measured, tmp_path / "found.json")

    assert load(tmp_path / "found.json") == measured


def test_times_count_from_the_first_request() -> None:
    assert GOOD.first_write_s == 1.5
    assert GOOD.time_to(3) == 5.0
    assert GOOD.time_to(5) is None
    assert replace(GOOD, counts=((0.0, 1),)).first_write_s is None


def test_the_sufficient_count_is_the_smallest_that_refuses_nothing(measured: Measured) -> None:
    assert measured.sufficient == 2
    with pytest.raises(ValueError, match=r"no fixed count of \[1\] refused nothing"):
        _ = replace(measured, fixed={1: SLOW}).sufficient


def test_the_page_judges_each_goal(measured: Measured) -> None:
    page = with_section("# Simulated\n", measured)

    assert "| only `maxReplicas: 8` (the default policy) | 3 | 1.5 (1.5 to 1.5) | 1.5 (1.5 to 1.5) | 10.5%" in page
    assert "| first write: median at most 2 s | 1.5 s | yes |" in page
    assert "| first write: at most 4 s | 1.5 s | yes |" in page
    assert "| sufficient count within 6 s | 1.5 s, 3 of 3 bursts | yes |" in page
    assert "| late or refused below both others | 10.5%, others 20.5% and 20.5% | yes |" in page


def test_the_page_says_which_goals_are_missed(measured: Measured) -> None:
    late = replace(GOOD, counts=((0.0, 1), (4.5, 1), (7.0, 2)), late=300)
    page = with_section("# Simulated\n", measured.with_burst(1, Variant.SLO, late))

    assert "| first write: median at most 2 s | 1.5 s | yes |" in page
    assert "| first write: at most 4 s | 7.0 s | **no** |" in page
    assert "| sufficient count within 6 s | 7.0 s, 2 of 3 bursts | **no** |" in page


def test_a_new_section_replaces_the_earlier_one(measured: Measured) -> None:
    once = with_section("# Simulated\n\ntext\n", measured)

    assert with_section(once, measured) == once
    assert once.startswith("# Simulated\n\ntext\n\n")
    assert once.count(HEADING) == 1


def test_no_variant_always_follows_the_same_one() -> None:
    order = [turn.variant for turn in turns(3)]

    assert sorted(order) == sorted([*Variant] * 3)
    assert len(set(pairwise(order))) > len(Variant)


def test_the_burst_has_the_rate_of_the_scene() -> None:
    arrival_s = burst(seed=1).arrival_s

    assert arrival_s[0] == 0
    assert arrival_s[-1] < BURST_S
    assert len(arrival_s) == pytest.approx(REQUESTS_PER_S * BURST_S, rel=0.1)
