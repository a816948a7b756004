"""What the page of `make bench-gateway` shows, from numbers of a test."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from tests.benchmarks.gateway.capacity import Capacity
from tests.benchmarks.gateway.costs import LOADS, Cost, Costs
from tests.benchmarks.gateway.fairness import Fairness, measure_fairness
from tests.benchmarks.gateway.kind_results import Beside, KindFairness, Run, note, rows
from tests.benchmarks.gateway.limits import Limits
from tests.benchmarks.gateway.page import render
from tests.benchmarks.gateway.peers import BARE, DIRECT, GATEWAY, NGINX
from tests.benchmarks.gateway.prefixes import Routed
from tests.benchmarks.gateway.results import LEAST_LOAD, ONE_GATEWAY, TWO_GATEWAYS, Results, goals, load, save
from tests.benchmarks.gateway.wire import Plan, body

ROUND = {DIRECT: Cost(0, 0.001, 0.002), BARE: Cost(0.001, 0.002, 0.003), GATEWAY: Cost(0.0012, 0.0024, 0.004)}
"""The gateway needs 1.2 times the CPU time of the bare proxy and adds 1.4 times its latency."""


def results(**changes: object) -> Results:
    found = Results(
        date="2026-11-27",
        revision="0123456789ab",
        machine="a CPU",
        load_average=(0.5, 1.5),
        costs=Costs({each.name: [ROUND] * 5 for each in LOADS}),
        missing={NGINX: "left out of this run"},
        capacity=Capacity(50.0, 94.0, 1000, 1000, 0.02, 0.001, 200, 1.0),
        routed={
            ONE_GATEWAY: Routed(0.95, 1.2, 1.3),
            TWO_GATEWAYS: Routed(0.9, 1.24, 1.3),
            LEAST_LOAD: Routed(0.6, 1, 1),
        },
        limits=Limits(36_000, 36_360, 1800, 300, 900, 0.0520, 0.0546, 9990.0),
        fairness=Fairness(0.8, 0.84, 1.2, 0),
    )
    return replace(found, **changes)


def test_every_goal_can_be_reached() -> None:
    assert [goal.name for goal in goals(results()) if not goal.reached] == []


@pytest.mark.parametrize(
    ("changes", "row"),
    [
        pytest.param(
            {"capacity": Capacity(50.0, 151.0, 1000, 1000, 0.02, 0.001, 200, 1.0)},
            "| memory with 1,000 open streams | <= 150 MiB | 151.00 MiB | **no** |",
            id="memory",
        ),
        pytest.param(
            {"capacity": Capacity(50.0, 94.0, 1000, 999, 2.0, 0.001, 200, 1.0)},
            "| disconnects that stop the replica's work within 1 s | 1,000 | 999 | **no** |",
            id="a disconnect",
        ),
        pytest.param(
            {"costs": Costs({each.name: [{**ROUND, GATEWAY: Cost(0.002, 0.0024, 0.004)}] for each in LOADS})},
            "| CPU time per request over the bare proxy, answers | <= 1.3x | 2.00x (2.00 to 2.00) | **no** |",
            id="CPU time",
        ),
        pytest.param(
            {"limits": Limits(36_000, 38_000, 1800, 300, 900, 0.052, 0.054, 9990.0)},
            "| output tokens of a limited key over two gateways, of those allowed | 95 % to 105 % | 105.6% | **no** |",
            id="a limit",
        ),
        pytest.param(
            {"fairness": Fairness(0.8, 0.9, 1.2, 0)},
            "| p99 TTFT of a live key beside 10 times its load in batch, virtual time | <= 1.1x | 1.12x | **no** |",
            id="fairness",
        ),
    ],
)  # fmt: skip
def test_a_goal_that_is_not_reached_is_shown_as_not_reached(changes: dict, row: str) -> None:
    assert row in render(results(**changes))


def test_the_page_says_which_peers_were_not_measured() -> None:
    assert "Not measured: nginx (left out of this run)." in render(results())


def test_the_json_file_gives_the_same_page(tmp_path: Path) -> None:
    path = tmp_path / "gateway.json"
    save(results(), path)

    assert render(load(path)) == render(results())


def test_results_without_keys_still_give_a_page(tmp_path: Path) -> None:
    path = tmp_path / "gateway.json"
    save(results(limits=None, fairness=None), path)
    page = render(load(path))

    assert "limited key" not in page
    assert "## Machine" in page


def test_a_batch_key_moves_the_p99_of_a_live_key_by_at_most_a_tenth() -> None:
    found = measure_fairness(150, with_equal=False)

    assert found.growth() <= 0.1
    assert found.refused == 0


def run(*ttfts_s: float, failed: int = 0, load: float = 1.0) -> Run:
    return Run(ttfts_s, failed, 0, load, 0.5)


def on_kind() -> KindFairness:
    """The live key alone needs 0.1 to 0.2 s; the batch keys double and triple it."""
    first = {
        Beside.NOTHING: run(0.1, 0.1, load=0.5),
        Beside.BACKGROUND: run(0.2, 0.2, failed=1),
        Beside.EQUAL: run(0.3, 0.3),
    }
    second = {
        Beside.NOTHING: run(0.1, 0.2),
        Beside.BACKGROUND: run(0.2, 0.4),
        Beside.EQUAL: run(0.3, 0.6, load=2.5),
    }
    return KindFairness((first, second), 30.0, "a CPU", "2026-11-27, revision 0123456789ab")


def test_quantiles_on_kind_are_those_of_all_rounds_together() -> None:
    found = on_kind()

    assert [found.quantile_s(beside, 0.5) for beside in Beside] == [0.1, 0.2, 0.3]
    assert [found.quantile_s(beside, 0.99) for beside in Beside] == [0.2, 0.4, 0.6]
    assert found.ratio(Beside.BACKGROUND, 0.99) == 2.0


def test_the_page_shows_the_fairness_on_kind() -> None:
    assert rows(on_kind()) == [
        ("on kind: p50 and p99 TTFT of the live key, alone", "0.100 s, 0.200 s"),
        ("on kind: the same beside a batch key of priority -10", "0.200 s (2.00x), 0.400 s (2.00x)"),
        ("on kind: the same beside a batch key of the same priority", "0.300 s (3.00x), 0.600 s (3.00x)"),
        ("on kind: live requests answered in these runs", "4, 4, 4"),
        ("on kind: live requests refused or lost", "1"),
    ]
    page = render(results(kind=on_kind()))
    assert "| on kind: live requests refused or lost | 1 |" in page
    assert note(on_kind()) in page
    assert "Load average after the runs 0.5 to 2.5." in page


def test_the_json_file_keeps_the_fairness_on_kind(tmp_path: Path) -> None:
    path = tmp_path / "gateway.json"
    save(results(kind=on_kind()), path)

    assert load(path).kind == on_kind()


def test_a_request_carries_its_plan_to_the_replica() -> None:
    plan = Plan(tokens=3, first_s=1.0, every_s=0.5)

    assert Plan.of(json.loads(body(plan, streamed=True))) == plan
