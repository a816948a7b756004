"""Promise: comparisons and criteria match calculations by hand."""

from typing import Any

import pytest

from chatscale_simulator.policies.registry import SHIPPED
from chatscale_simulator.policy_choice import CHATSCALE
from tests.benchmarks.autoscaling.acceptance import Criterion, check, interval, scenes
from tests.benchmarks.autoscaling.plan import Trace
from tests.benchmarks.autoscaling.variants import TUNED

DAY = Trace("day", {"M": 1}, daily=True)
CALM: dict[str, Any] = {
    "trace": "day",
    "profile": "M",
    "cold_start": "cached",
    "track": "equal",
    "load_factor": 1,
    "reversals_per_hour": 0.5,
    "dropped_ratio": 0.0,
}


def runs(policy: str, variant: str, attainment: float, gpu_hours: float, **more: Any) -> list[dict[str, Any]]:
    """Two seeds with the same numbers."""
    row = CALM | {"policy": policy, "variant": variant, "slo_attainment": attainment, "gpu_hours": gpu_hours} | more
    return [row | {"seed": seed} for seed in (1, 2)]


def criteria(*groups: list[dict[str, Any]]) -> dict[str, Criterion]:
    rows = [row for group in groups for row in group]
    return {criterion.name: criterion for criterion in check(scenes(rows), [DAY])}


CHATSCALE_AT_80 = runs(CHATSCALE, SHIPPED, 0.992, 80)


def test_the_best_peer_is_the_cheapest_tuned_peer_with_the_same_attainment() -> None:
    rows = [
        *CHATSCALE_AT_80,
        *runs("cheap", TUNED, 0.95, 10),
        *runs("near", TUNED, 0.9915, 100),
        *runs("dear", TUNED, 0.999, 200),
    ]
    (scene,) = scenes(rows)

    assert scene.best_peer is not None
    assert (scene.best_peer.policy, scene.best_ratio) == ("near", pytest.approx(0.8))


def test_a_clear_win_meets_every_criterion() -> None:
    checked = criteria(
        CHATSCALE_AT_80,
        runs("near", TUNED, 0.992, 100),
        runs("near", SHIPPED, 0.9, 70),
        runs("reachable-optimum", "reference", 0.99, 70),
    )

    assert {criterion.met for criterion in checked.values()} == {True}


@pytest.mark.parametrize(
    ("name", "peer"),
    [
        pytest.param(
            "W1 attainment", runs("p", TUNED, 0.995, 500) + runs(CHATSCALE, SHIPPED, 0.98, 80), id="too little kept"
        ),
        pytest.param("W2 tuned <= 0.90", CHATSCALE_AT_80 + runs("p", TUNED, 0.992, 85), id="not cheaper"),
        pytest.param("W2 shipped <= 0.80 or +5 points", CHATSCALE_AT_80 + runs("p", SHIPPED, 0.99, 85), id="as good"),
        pytest.param("W4 dropped <= 0.1 %", runs(CHATSCALE, SHIPPED, 0.992, 80, dropped_ratio=0.002), id="dropped"),
        pytest.param("W4 reversals", runs(CHATSCALE, SHIPPED, 0.992, 80, reversals_per_hour=2.1), id="restless"),
        pytest.param(
            "W3 <= 1.2 x reachable-optimum",
            CHATSCALE_AT_80 + runs("reachable-optimum", "reference", 0.99, 60),
            id="far from the optimum",
        ),
    ],
)
def test_missed_criteria_are_reported(name: str, peer: list[dict[str, Any]]) -> None:
    assert criteria(peer)[name].met is False


def test_the_best_tuned_peer_is_the_bound_where_none_reaches_the_objective() -> None:
    assert criteria(runs(CHATSCALE, SHIPPED, 0.95, 80), runs("p", TUNED, 0.94, 100))["W1 attainment"].met is True


def test_a_criterion_without_its_reference_is_not_checked() -> None:
    assert criteria(CHATSCALE_AT_80)["W3 <= 1.2 x reachable-optimum"].met is None


def test_differences_are_paired_by_seed() -> None:
    chatscale = [row | {"gpu_hours": hours} for row, hours in zip(CHATSCALE_AT_80, (10.0, 110.0), strict=True)]
    peer = [row | {"policy": "p", "variant": TUNED, "gpu_hours": row["gpu_hours"] + 5} for row in chatscale]
    (scene,) = scenes([*chatscale, *peer])

    assert interval(scene.chatscale, scene.peers(TUNED)[0], "gpu_hours") == (-5.0, -5.0)
