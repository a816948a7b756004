"""`chatscale simulate` with events: what is told of them, and what an announcement does to a run."""

import argparse
from datetime import UTC, datetime
from pathlib import Path

import pytest

from chatscale_simulator.errors import InputError
from chatscale_simulator.inputs.chatmodel import read_model
from chatscale_simulator.inputs.events import Event, parse_event
from chatscale_simulator.inputs.traces import Traffic
from chatscale_simulator.jobs import Job, run_job
from chatscale_simulator.options import add_options
from chatscale_simulator.policies.registry import SHIPPED
from chatscale_simulator.policy_choice import CHATSCALE, PolicyChoice, chatscale_with_events
from chatscale_simulator.report import forecast
from chatscale_simulator.simulation.scenario import ColdStart, Track

SALE = """\
apiVersion: chatscale.dev/v1alpha1
kind: ChatModel
metadata: {name: shop}
spec:
  model: {uri: "hf://example/shop"}
  resources: {limits: {nvidia.com/gpu: 1}}
  autoscaling:
    mode: Operator
    maxReplicas: 20
    events: [{name: sale, start: "2026-11-27T20:10:00+01:00", end: "2026-11-27T20:20:00+01:00", minReplicas: 9}]
"""


@pytest.fixture
def traffic(tmp_path: Path) -> Traffic:
    """A request every two seconds for half an hour."""
    path = tmp_path / "calm.csv"
    rows = "".join(f"{2 * at},500,100\n" for at in range(900))
    path.write_text("arrival_s,input_tokens,output_tokens\n" + rows)
    return Traffic(path)


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    path = tmp_path / "shop.yaml"
    path.write_text(SALE)
    return path


def test_an_event_is_read_as_it_is_written() -> None:
    assert parse_event("20-22.5=12") == Event(20.0, 22.5, 12)
    assert parse_event("20-22.5=12").label == "20-22.5=12"


@pytest.mark.parametrize("text", ["22-20=12", "20-22=0", "20-22", "20:00-22:00=3", "nan-2=3"])
def test_a_malformed_event_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=f"such as 20-22.5=12, found '{text}'"):
        parse_event(text)


def test_a_start_without_its_zone_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    parser = argparse.ArgumentParser()
    add_options(parser)

    with pytest.raises(SystemExit):
        parser.parse_args(["--trace", "x.csv", "--starts-at", "2026-11-27T20:00:00"])

    assert "must be a time with its zone" in capsys.readouterr().err


def test_an_announced_run_has_its_replicas_when_the_event_starts(traffic: Traffic) -> None:
    told = chatscale_with_events([Event(0.25, 0.4, 7)])
    outcomes = {
        choice.policy: run_job(Job(traffic, "S", ColdStart.CACHED, Track.EQUAL, choice, 1))
        for choice in (PolicyChoice(CHATSCALE, SHIPPED), told)
    }

    assert outcomes[CHATSCALE][1].peak_replicas < 7
    assert outcomes[told.policy][1].peak_replicas == 7
    started = sorted(pod.ready_s or 0.0 for pod in outcomes[told.policy][0].pods)[:7]
    assert max(started) <= 0.25 * 3600


def test_events_of_a_chatmodel_follow_the_wall_clock(traffic: Traffic, shop: Path) -> None:
    start = datetime(2026, 11, 27, 19, 0, tzinfo=UTC)
    subject = read_model(shop, None, starts_at=start)

    _, row = forecast.simulate_model(subject, traffic, ColdStart.FAST, Track.EQUAL, 1)

    assert row["peak_replicas"] == 9


def test_events_of_a_chatmodel_need_a_wall_clock(shop: Path) -> None:
    with pytest.raises(InputError, match=r"need --starts-at, the wall clock at the start of the trace"):
        read_model(shop, None)


def test_events_are_simulated_in_mode_operator_only(shop: Path) -> None:
    shop.write_text(SALE.replace("mode: Operator", "mode: HPA"))

    with pytest.raises(InputError, match=r"in mode Operator only, found mode HPA"):
        read_model(shop, None, starts_at=datetime(2026, 11, 27, tzinfo=UTC))
