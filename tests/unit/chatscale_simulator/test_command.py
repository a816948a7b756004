"""`chatscale simulate` without a ChatModel: policies side by side, as a table and as JSON."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import fields
from pathlib import Path

import pytest

from chatscale_simulator import command
from chatscale_simulator.command import simulate
from chatscale_simulator.errors import InputError
from chatscale_simulator.jobs import Job, Row
from chatscale_simulator.simulation.score import Score
from tests.unit.chatscale_simulator.chatmodels import options_of, write_traffic

INPUTS = {"trace", "profile", "load_factor", "cold_start", "track", "routing", "slots", "policy", "variant", "seed"}


def test_each_run_is_an_object_with_its_inputs_its_scores_and_the_revision(tmp_path: Path) -> None:
    out = tmp_path / "out.json"
    flags = ["--trace", str(write_traffic(tmp_path, requests=60).path), "--profile", "S", "--seeds", "2"]

    assert simulate(options_of(*flags, "--policy", "chatscale", "static-mean", "--json", str(out))) == 0

    rows = json.loads(out.read_text())
    assert [(row["policy"], row["variant"], row["seed"]) for row in rows] == [
        (policy, variant, seed)
        for seed in (0, 1)
        for policy, variant in (("chatscale", "shipped"), ("static-mean", "shipped"))
    ]
    assert all(row.keys() == INPUTS | {field.name for field in fields(Score)} | {"git_revision"} for row in rows)
    assert all(0 <= row["slo_attainment"] <= 1 and row["gpu_hours"] > 0 for row in rows)


def test_a_run_that_is_stopped_keeps_its_results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "out.json"
    monkeypatch.setattr(command, "_WRITE_EVERY_S", 0.0)
    monkeypatch.setattr(command, "run_jobs", stopped_after_two)

    with pytest.raises(KeyboardInterrupt):
        simulate(options_of("--trace", str(write_traffic(tmp_path, requests=60).path), "--json", str(out)))

    assert len(json.loads(out.read_text())) == 2
    assert list(tmp_path.glob("*.part")) == []


def stopped_after_two(jobs: Sequence[Job], _: int | None) -> Iterator[tuple[Job, Row]]:
    yield from ((job, {"policy": job.choice.policy}) for job in jobs[:2])
    raise KeyboardInterrupt


def test_files_of_one_name_are_refused_before_the_first_run(tmp_path: Path) -> None:
    paths = []
    for folder in (tmp_path / "monday", tmp_path / "tuesday"):
        folder.mkdir()
        paths.append(str(write_traffic(folder, requests=10).path))

    with pytest.raises(InputError, match=r"found .*monday.* and .*tuesday"):
        simulate(options_of("--trace", *paths, "--policy", "chatscale"))


def test_rounded_arrivals_are_reported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "rounded.csv"
    rows = "".join(f"{at},100,10\n" for at in range(30) for _ in range(4))
    path.write_text("arrival_s,input_tokens,output_tokens\n" + rows, encoding="utf-8")

    simulate(options_of("--trace", str(path), "--policy", "static-mean", "--seeds", "1"))

    assert "all arrivals are multiples of 1 s, each is moved at random within that time" in capsys.readouterr().err
