"""Tuning's choice, what a store gives back, and the whole bench on committed excerpts."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from chatscale.simulate.contenders import OURS, SHIPPED, Contender
from chatscale.simulate.jobs import Job
from chatscale.simulate.traces import Traffic
from chatscale.simulation.outcome import ColdStart, Track
from tests.benchmarks.autoscaling import __main__ as bench
from tests.benchmarks.autoscaling import plan, store
from tests.benchmarks.autoscaling.stages import Setting, choose, sweep
from tests.benchmarks.autoscaling.verdict import scenes

JOB = Job(
    Traffic(plan.EXCERPTS / "azure2023-conv-excerpt.csv.gz"),
    "S",
    ColdStart.CACHED,
    Track.EQUAL,
    Contender("kubeai", "target=2 window=60", "target=2 window=60"),
    0,
)


def test_the_cheapest_setting_that_keeps_the_promise_is_chosen() -> None:
    chosen = choose([Setting("p", "a", 0.995, 30), Setting("p", "b", 0.991, 20), Setting("p", "c", 0.98, 10)])

    assert chosen["p"].label == "b"


def test_where_none_keeps_it_the_one_that_comes_closest_is() -> None:
    chosen = choose([Setting("p", "a", 0.97, 30), Setting("p", "b", 0.98, 90)])

    assert chosen["p"].label == "b"


def test_windows_count_by_their_requests() -> None:
    def row(trace: str, attainment: float, gpu_hours: float) -> dict[str, Any]:
        return {
            "policy": "p", "variant": "a", "trace": trace, "slo_attainment": attainment, "gpu_hours": gpu_hours,
        }  # fmt: skip

    (setting,) = sweep([row("long", 1.0, 3), row("short", 0.5, 2)], {"long": 900, "short": 100})

    assert (setting.slo_attainment, setting.gpu_hours) == (pytest.approx(0.95), 5)


def test_a_second_go_finds_what_the_first_has_done(tmp_path: Path) -> None:
    store.Store(tmp_path / "runs.jsonl").keep(JOB, {"gpu_hours": 1.0})
    again = store.Store(tmp_path / "runs.jsonl")

    assert again.find(JOB) == {"gpu_hours": 1.0}
    assert again.find(replace(JOB, seed=1)) is None


def test_a_line_that_was_cut_off_is_done_again(tmp_path: Path) -> None:
    path = tmp_path / "runs.jsonl"
    store.Store(path).keep(JOB, {"gpu_hours": 1.0})
    path.write_text(path.read_text() + '{"key": "half')

    assert store.Store(path).find(JOB) == {"gpu_hours": 1.0}


def test_a_change_of_our_policy_leaves_the_peers_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ours = replace(JOB, contender=Contender(OURS, SHIPPED))
    kept = store.Store(tmp_path / "runs.jsonl")
    kept.keep(JOB, {})
    kept.keep(ours, {})
    known = store.revision
    monkeypatch.setattr(store, "revision", lambda *, ours: "another" if ours else known(ours=False))
    again = store.Store(tmp_path / "runs.jsonl")

    assert again.find(JOB) == {}
    assert again.find(ours) is None


def test_the_reduced_set_is_won_in_minutes(tmp_path: Path) -> None:
    """The claim of docs/benchmarks/autoscaling.md in small: the promise kept, and for less than any tuned peer."""
    out = tmp_path / "scores.json"
    arguments = ["--set", "reduced", "--store", str(tmp_path / "runs.jsonl"), "--json", str(out), "--budget", "0.1"]

    assert bench.main(arguments) == 0

    for scene in scenes(json.loads(out.read_text())):
        assert scene.ours.attainment >= 0.99, scene.trace
        assert scene.ratio is None or scene.ratio <= 0.9, (scene.trace, scene.rival)
