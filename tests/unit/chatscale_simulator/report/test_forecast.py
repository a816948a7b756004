"""What `chatscale simulate --chatmodel` plays, and what it says of it."""

import json
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from chatscale_contract.money import Price
from chatscale_simulator.command import simulate
from chatscale_simulator.inputs.chatmodel import read_model
from chatscale_simulator.inputs.events import Event
from chatscale_simulator.inputs.traces import Traffic
from chatscale_simulator.jobs import Job, run_job
from chatscale_simulator.policies.registry import SHIPPED
from chatscale_simulator.policy_choice import CHATSCALE, PolicyChoice, chatscale_with_events
from chatscale_simulator.report import forecast
from chatscale_simulator.simulation.result import REQUEST_OUTCOMES, RequestOutcome
from chatscale_simulator.simulation.scenario import ColdStart, Track
from chatscale_simulator.simulation.snapshot import Column, MetricsSnapshot
from tests.unit.chatscale_simulator.chatmodels import options_of, write_chatmodel, write_traffic

OPERATOR = {"mode": "Operator", "maxReplicas": 20}
PROMETHEUS = {"type": "Prometheus", "prometheusURL": "http://prometheus"}


class Watch:
    """One replica for ever, and what it counted last."""

    period_s = 5.0
    reads_live = True

    def __init__(self) -> None:
        self.slow_tokens = 0.0

    def decide(self, snapshot: MetricsSnapshot) -> int:
        self.slow_tokens = snapshot.total(Column.TPOT_SLOW)
        return 1


@pytest.mark.parametrize(
    ("scaling", "flags", "track"),
    [
        pytest.param(OPERATOR, [], "native", id="reads its pods"),
        pytest.param(OPERATOR, ["--track", "equal"], "equal", id="reads its pods, with a flag"),
        pytest.param({**OPERATOR, "source": PROMETHEUS}, [], "equal", id="reads Prometheus"),
        pytest.param(
            {**OPERATOR, "source": PROMETHEUS}, ["--track", "native"], "native", id="reads Prometheus, with a flag"
        ),
        pytest.param({**OPERATOR, "mode": "HPA"}, [], "equal", id="HPA"),
    ],
)
def test_a_chatmodel_runs_in_its_own_track_by_default(
    tmp_path: Path, scaling: dict[str, Any], flags: list[str], track: str, capsys: pytest.CaptureFixture[str]
) -> None:
    model, out = write_chatmodel(tmp_path, autoscaling=scaling), tmp_path / "out.json"
    trace = write_traffic(tmp_path, requests=30).path

    simulate(options_of("--chatmodel", str(model), "--trace", str(trace), "--json", str(out), *flags))

    assert [row["track"] for row in json.loads(out.read_text())] == [track]
    assert f"track {track}" in capsys.readouterr().out


def test_policies_are_compared_in_the_equal_track_by_default(tmp_path: Path) -> None:
    trace, out = write_traffic(tmp_path, requests=30).path, tmp_path / "out.json"

    simulate(options_of("--policy", CHATSCALE, "--trace", str(trace), "--json", str(out)))

    assert [row["track"] for row in json.loads(out.read_text())] == ["equal"]


@pytest.mark.parametrize(
    ("flags", "routing"),
    [
        pytest.param([], "gateway", id="as the chart installs it"),
        pytest.param(["--routing", "service"], "service", id="without a gateway"),
    ],
)
def test_the_requests_of_a_chatmodel_come_through_the_gateway_by_default(
    tmp_path: Path, flags: list[str], routing: str
) -> None:
    model, out = write_chatmodel(tmp_path, autoscaling=OPERATOR), tmp_path / "out.json"
    trace = write_traffic(tmp_path, requests=30).path

    simulate(options_of("--chatmodel", str(model), "--trace", str(trace), "--json", str(out), *flags))

    assert [row["routing"] for row in json.loads(out.read_text())] == [routing]


def test_a_model_with_scale_to_zero_is_paid_for_only_while_it_has_requests(tmp_path: Path) -> None:
    path = tmp_path / "rare.csv"
    rows = "".join(f"{3600 * at},500,100\n" for at in range(5))
    path.write_text("arrival_s,input_tokens,output_tokens\n" + rows, encoding="utf-8")
    scaling = {**OPERATOR, "scaleToZero": {"idleSeconds": 300}}
    model = read_model(write_chatmodel(tmp_path, autoscaling=scaling), None)

    result, row = forecast.simulate_model(model, Traffic(path), ColdStart.CACHED, Track.NATIVE, 0)

    served = REQUEST_OUTCOMES.index(RequestOutcome.SERVED)
    assert [int(outcome) for outcome in result.outcomes] == [served] * 5
    assert [count for _, count in result.counts] == [1, 0, 1, 0, 1, 0, 1, 0, 1]
    assert row["mean_replicas"] < 0.35


def test_is_scored_by_its_own_slo(tmp_path: Path) -> None:
    traffic, rows, first = replace(write_traffic(tmp_path), load_factor=4), {}, {}
    for tpot_ms in (100, 1):
        scaling = {**OPERATOR, "slo": {"tpotMilliseconds": tpot_ms}}
        model = read_model(write_chatmodel(tmp_path, autoscaling=scaling), None)
        result, rows[tpot_ms] = forecast.simulate_model(model, traffic, ColdStart.CACHED, Track.NATIVE, 0)
        first[tpot_ms] = result.counts[0][1]

    # No step of that machine takes less than 1 ms, so every request misses.
    assert (rows[100]["slo_attainment"], rows[1]["slo_attainment"]) == (1.0, 0.0)
    assert first == {100: 1, 1: 3}


def test_replicas_count_the_misses_of_its_own_slo(tmp_path: Path) -> None:
    scaling, watch = {**OPERATOR, "slo": {"tpotMilliseconds": 1}}, Watch()
    model = read_model(write_chatmodel(tmp_path, autoscaling=scaling), None)

    forecast.simulate_model(
        replace(model, make_policy=lambda _: watch),
        write_traffic(tmp_path, requests=60),
        ColdStart.CACHED,
        Track.NATIVE,
        0,
    )

    assert watch.slow_tokens > 50


@pytest.mark.parametrize(
    ("event", "first"),
    [
        pytest.param(Event(0.0, 0.2, 9), 9, id="from the first second on"),
        pytest.param(Event(0.05, 0.2, 9), 9, id="prepared for since three minutes before its start"),
        pytest.param(Event(0.2, 0.4, 9), 2, id="later"),
        pytest.param(Event(0.0, 0.2, 1), 2, id="fewer than minReplicas"),
    ],
)
def test_an_event_that_is_active_at_second_0_has_its_replicas(tmp_path: Path, event: Event, first: int) -> None:
    model = write_chatmodel(tmp_path, autoscaling={**OPERATOR, "minReplicas": 2})

    result, _ = forecast.simulate_model(
        read_model(model, None, [event]), write_traffic(tmp_path), ColdStart.CACHED, Track.NATIVE, 0
    )

    assert result.counts[0] == (0.0, first)
    assert sum(pod.ready_s == 0.0 for pod in result.pods) == first


def test_an_event_does_not_change_the_initial_replicas_of_other_policies(tmp_path: Path) -> None:
    traffic = write_traffic(tmp_path, requests=90)
    first = {
        choice.policy: run_job(Job(traffic, "S", ColdStart.CACHED, Track.EQUAL, choice, 0))[0].counts[0][1]
        for choice in (PolicyChoice(CHATSCALE, SHIPPED), chatscale_with_events([Event(0.0, 0.2, 7)]))
    }

    assert first == {"chatscale": 1, "chatscale-announced": 7}


def test_the_forecast_has_cost_then_latencies_then_load_over_time(tmp_path: Path) -> None:
    scaling = {"mode": "Fixed", "slo": {"ttftMilliseconds": 500, "tpotMilliseconds": 50, "objectivePercent": 95}}
    model = read_model(write_chatmodel(tmp_path, replicas=2, autoscaling=scaling), None)
    traffic = write_traffic(tmp_path, requests=901)

    result, row = forecast.simulate_model(model, traffic, ColdStart.CACHED, model.track, 0)
    lines = forecast.format_forecast(model, traffic, result, row, Price(gpu_hour=Decimal("2.5"))).splitlines()

    within = "first token in 0.5 s, or 3 times its time on an idle replica if longer"
    assert lines[:-2] == [
        "Traffic      calm: 901 requests in 0.5 h, 0.50 a second, 0.52 at most",
        "Model        shop: 2 fixed replicas, profile S, cold start cached, track equal, routing gateway",
        "Cost         1.0 GPU-hours; at this rate 48 a day, 1460 a month: 120.00 a day, 3,650.00 a month in EUR",
        "Replicas     2.0 on average, 2 at most",
        "First token  half within 0.04 s, 95 % within 0.04 s, 99 % within 0.04 s",
        "Each token   half within 0.010 s, 99 % within 0.010 s",
        f"Within SLO   100.00 %, objective 95 % ({within}; 0.05 s a token)",
        "Refused      0.00 % (queue full, or waited more than 300 s)",
    ]
    assert lines[-2].startswith("Load         █")
    assert lines[-1] == "Replicas     " + 72 * "█"
