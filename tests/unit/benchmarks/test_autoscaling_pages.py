"""Promise: the front page says in plain words what the tables say, and every page is written."""

from itertools import pairwise
from typing import Any

import pytest

from chatscale_simulator.policies.registry import SHIPPED
from chatscale_simulator.policy_choice import CHATSCALE, CHATSCALE_ANNOUNCED
from hack.paths import ROOT
from tests.benchmarks.autoscaling import routing
from tests.benchmarks.autoscaling.__main__ import ROUTING_ROWS
from tests.benchmarks.autoscaling.acceptance import check, scenes
from tests.benchmarks.autoscaling.pages.content import Content, write_pages
from tests.benchmarks.autoscaling.pages.front import Front, front_page
from tests.benchmarks.autoscaling.pages.tables import SceneSummary, Table, summarize
from tests.benchmarks.autoscaling.plan import Trace
from tests.benchmarks.autoscaling.stages import Setting
from tests.benchmarks.autoscaling.variants import TUNED

DAY = Trace("day", {"M": 1}, daily=True, description="an ordinary day")
PAGES = ("acceptance", "method", "results", "scenes", "tuned-settings")


def row(policy: str, variant: str, attainment: float, gpu_hours: float, seed: int = 1) -> dict[str, Any]:
    return {
        "trace": "day", "profile": "M", "cold_start": "cached", "track": "equal", "load_factor": 4,
        "policy": policy, "variant": variant, "seed": seed, "slo_attainment": attainment, "gpu_hours": gpu_hours,
        "reversals_per_hour": 0.5, "dropped_ratio": 0.0, "mean_replicas": 5.0, "peak_replicas": 9,
        "ttft_p50_s": 0.2, "ttft_p99_s": 1.5,
    }  # fmt: skip


ROWS = [row(CHATSCALE, SHIPPED, 0.9961, 80), row("near", TUNED, 0.996, 100), row("near", SHIPPED, 0.7, 60)]


def pages(rows: list[dict[str, Any]], **more: Any) -> dict[str, str]:
    found = scenes(rows)
    return write_pages(
        Content(
            scenes=found,
            criteria=check(found, [DAY]),
            settings={"M": {"near": Setting("near", "target=2 window=60", 0.99, 300)}},
            traces=[DAY],
            revision="abc",
            played="Scored: everything.",
            **more,
        )
    )


def test_the_front_page_has_the_result_in_plain_words() -> None:
    page = pages(ROWS)["autoscaling.md"]

    assert "**Chatscale needed 20 % fewer GPU-hours**" in page
    assert "| `day` | 70B model on 4 H100 | 996 | 80.0 | near | 20 % less |" in page
    assert "80 GPU-hours with Chatscale and 100 with the competitors" in page
    assert "$240 against $300" in page
    assert "- `day`: an ordinary day" in page
    assert "Scored: everything." in page
    assert "Nowhere in this comparison." in page


def test_the_front_page_says_where_chatscale_loses() -> None:
    losing = [row(CHATSCALE, SHIPPED, 0.95, 100), row("near", TUNED, 0.995, 80)]

    page = " ".join(pages(losing)["autoscaling.md"].split())

    assert "**Chatscale needed 25 % more GPU-hours**" in page
    assert "reached the objective of 99 % of requests in time in 0 of 1 combinations" in page
    assert (
        "`day`, 70B model on 4 H100: 950 of 1,000 requests in time; near reaches the objective with 0.8 times" in page
    )
    assert "Chatscale costs 25 % more than near, with as many requests in time." in page


def test_requests_in_time_are_never_rounded_up() -> None:
    summary = SceneSummary("day", "M", 0.99996, 1.0, None, None)

    assert "| 999 |" in front_page(Front([summary], {}))


def test_the_front_page_fits_on_a_screen_or_two() -> None:
    assert len(pages(ROWS)["autoscaling.md"].splitlines()) < 100


def test_every_table_has_its_own_page() -> None:
    written = pages(ROWS)

    assert written.keys() == {"autoscaling.md", *(f"autoscaling/{name}.md" for name in PAGES)}
    assert "| day | M | cached | equal | 99.61 % | 80.0 | near | 0.80 | one seed |" in written["autoscaling/results.md"]
    assert "### day, profile M, load x4" in written["autoscaling/scenes.md"]
    assert "| M | near | `target=2 window=60` | 99.00 % | 300.0 |" in written["autoscaling/tuned-settings.md"]
    assert "met: 99.61 %, worst seed 99.61 %" in written["autoscaling/acceptance.md"]
    assert "Revision `abc`." in written["autoscaling/method.md"]


def test_announced_events_are_beside_the_same_run_without_them() -> None:
    announced = scenes([row(CHATSCALE, SHIPPED, 0.9, 80), row(CHATSCALE_ANNOUNCED, SHIPPED, 0.95, 90)])

    page = pages(ROWS, announced=announced)["autoscaling/results.md"]

    assert "| day | M | cached | no | 1 | 90.00 % | 80.0 |" in page
    assert "| day | M | cached | yes | 1 | 95.00 % | 90.0 |" in page


def test_an_incomplete_benchmark_says_so_on_the_front_page() -> None:
    assert "the time was up in tuning" in pages(ROWS, note="Incomplete, the time was up in tuning.")["autoscaling.md"]


def test_the_summary_names_the_cheapest_peer_that_reaches_the_objective() -> None:
    (scene,) = scenes([row(CHATSCALE, SHIPPED, 0.95, 80), row("a", TUNED, 0.992, 200), row("b", TUNED, 0.99, 150)])

    assert summarize(scene).reaching_peer == ("b", 150)


@pytest.mark.parametrize("name", ["autoscaling", *(f"autoscaling/{name}" for name in PAGES)])
def test_the_committed_pages_have_the_generators_structure(name: str) -> None:
    committed = (ROOT / "docs" / "benchmarks" / f"{name}.md").read_text(encoding="utf-8")
    recorded = routing.read(ROUTING_ROWS)
    generated = pages(ROWS, announced=scenes(ROWS), whole_days=scenes(ROWS), routing=recorded)[f"{name}.md"]

    assert headings(committed) == headings(generated)
    assert tables(generated) <= tables(committed)


def headings(page: str) -> list[str]:
    """Without those of single scenes, cold starts and pictures, which depend on the run."""
    return [line for line in page.splitlines() if line.startswith(("# ", "## ")) and "Cost against" not in line]


def tables(page: str) -> set[str]:
    """The first line of each table. Criteria are columns that depend on the run."""
    lines = page.splitlines()
    heads = {before for before, line in pairwise(lines) if line.startswith("| ---")}
    return {head for head in heads if not head.startswith("| scene |")}


def test_a_table_is_markdown() -> None:
    assert Table(["a", "b"], [["1", "2"]]).markdown() == "| a | b |\n| --- | --- |\n| 1 | 2 |\n"
