"""The part of the autoscaling page that compares the gateway with a Service."""

from pathlib import Path
from typing import Any

import pytest

from chatscale_simulator.simulation.scenario import Routing, Track
from tests.benchmarks.autoscaling import plan, routing
from tests.benchmarks.autoscaling.__main__ import PAGES, ROUTING_ROWS
from tests.benchmarks.autoscaling.pages.routed import TITLE, routing_section, with_section
from tests.benchmarks.autoscaling.routing import Recorded


def row(through: Routing, attainment: float, gpu_hours: float, trace: str = "azure2023-conv") -> dict[str, Any]:
    return {
        "trace": trace, "profile": "S", "slots": 8, "routing": through.value, "slo_attainment": attainment,
        "gpu_hours": gpu_hours, "dropped_ratio": 0.01,
    }  # fmt: skip


ROWS = [row(Routing.SERVICE, 0.95, 10.0), row(Routing.GATEWAY, 0.99, 8.0)]


def test_the_part_has_cost_and_attainment_of_both() -> None:
    section = " ".join(routing_section(Recorded("abc", 12.0, ROWS)).split())

    assert "**With the gateway the same traffic costs 20 % fewer GPU-hours** (geometric mean of 1 rows)" in section
    assert "More requests are in time in 1 rows and fewer in 0; the mean difference is +4.0 points." in section
    assert "| `azure2023-conv` | 8B model on 1 A100 | 8 | 950.0 | 990.0 | 10.0 | 10.0 | 10.0 | 8.0 | -20 % |" in section


def test_a_track_with_one_of_the_two_runs_is_left_out() -> None:
    alone = row(Routing.SERVICE, 0.95, 10.0, "mooncake-conversation")

    assert "mooncake" not in routing_section(Recorded("abc", 12.0, [*ROWS, alone]))


def test_the_part_replaces_the_one_that_the_page_has() -> None:
    page = f"# Page\n\n## Before\n\ntext\n\n{TITLE}\n\nold\n\n## After\n\ntext\n"

    assert with_section(page, f"{TITLE}\n\nnew\n") == page.replace("old", "new")


def test_a_page_without_the_part_is_not_changed() -> None:
    with pytest.raises(ValueError, match="found none"):
        with_section("# Page\n", "new")


def test_what_is_recorded_can_be_read_again(tmp_path: Path) -> None:
    recorded = Recorded("abc", 12.0, ROWS)
    routing.write(tmp_path / "rows.json", recorded)

    assert routing.read(tmp_path / "rows.json") == recorded
    assert routing.read(tmp_path / "none.json") is None


def test_the_runs_of_a_track_differ_only_in_the_routing() -> None:
    jobs = routing.jobs(plan.Set(plan.REDUCED_TRACES[:1], plan.EXCERPTS, 1, {}, {}, profiles=("S",)))

    assert [job.routing for job in jobs] == [Routing.SERVICE, Routing.GATEWAY]
    assert len({(job.traffic, job.profile, job.slots, job.seed) for job in jobs}) == 1
    assert all(job.track is Track.NATIVE for job in jobs)


def test_the_page_in_the_repository_has_the_recorded_rows() -> None:
    page = (PAGES / "autoscaling.md").read_text(encoding="utf-8")

    assert routing_section(routing.read(ROUTING_ROWS)) in page
