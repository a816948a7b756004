"""What of a ChatModel is simulated: its bounds, its promise, its signals, and the autoscaler that it would have."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from chatscale.api.v1alpha1 import MetricType
from chatscale_simulator.inputs.chatmodel import SimulatedModel, read_model
from chatscale_simulator.policies.behavior import HpaBehavior, RateLimit
from chatscale_simulator.policies.chatscale import ChatscalePolicy
from chatscale_simulator.policies.hpa import Hpa, HpaMetric, HpaSettings
from chatscale_simulator.policies.static import Static
from chatscale_simulator.simulation.profiles import SERVERS, SloTarget
from chatscale_simulator.simulation.scenario import Track
from chatscale_simulator.simulation.snapshot import Column, MetricsSnapshot
from tests.unit.chatscale_simulator.chatmodels import write_chatmodel
from tests.unit.chatscale_simulator.simulation.snapshots import a_snapshot

PROMETHEUS = {"type": "Prometheus", "prometheusURL": "http://prometheus", "intervalSeconds": 20}
KV_TOKENS = SERVERS["S"].steps.kv_tokens


def a_model(folder: Path, *, slots: int = 10, **scaling: Any) -> SimulatedModel:
    path = write_chatmodel(folder, server={"maxConcurrency": slots}, autoscaling={"maxReplicas": 20, **scaling})
    return read_model(path, None)


def hpa_of(model: SimulatedModel) -> HpaSettings:
    policy = model.make_policy(model.track)
    assert isinstance(policy, Hpa)
    return policy.settings


@pytest.mark.parametrize(
    ("scaling", "track"),
    [
        pytest.param({"mode": "Operator"}, Track.NATIVE, id="reads its pods"),
        pytest.param({"mode": "Operator", "source": PROMETHEUS}, Track.EQUAL, id="reads Prometheus"),
        pytest.param({"mode": "HPA"}, Track.EQUAL, id="HPA"),
        pytest.param({"mode": "Fixed"}, Track.EQUAL, id="Fixed"),
    ],
)
def test_the_track_is_native_where_the_operator_reads_pods(
    tmp_path: Path, scaling: dict[str, Any], track: Track
) -> None:
    assert a_model(tmp_path, **scaling).track is track


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        pytest.param({}, (True, 2.0), id="pods"),
        pytest.param({"intervalSeconds": 1}, (True, 1.0), id="pods, oftener"),
        pytest.param(PROMETHEUS, (False, 20.0), id="Prometheus"),
    ],
)
def test_in_the_native_track_the_interval_is_that_of_its_source(
    tmp_path: Path, source: dict[str, Any], expected: tuple[bool, float]
) -> None:
    policy = a_model(tmp_path, source=source).make_policy(Track.NATIVE)

    assert (policy.reads_live, policy.period_s) == expected


def scraped_25_s_ago(now_s: float) -> MetricsSnapshot:
    """As every snapshot is right before a scrape that follows a lost one."""
    busy = a_snapshot(now_s).with_ready(2).with_total(Column.RUNNING, 4).build()
    return replace(busy, age_s=np.full(2, 25.0), ready_since_s=np.full(2, -900.0), created_s=np.full(2, -990.0))


def test_on_the_equal_track_a_lost_scrape_is_no_outage(tmp_path: Path) -> None:
    reasons = {}
    for track in Track:
        policy = a_model(tmp_path).make_policy(track)
        assert isinstance(policy, ChatscalePolicy)
        policy.decide(scraped_25_s_ago(60.0))
        reasons[track] = policy.last_message

    assert "none of 2 ready replicas could be read" in reasons[Track.NATIVE]
    assert "could be read" not in reasons[Track.EQUAL]


def test_the_slo_is_the_one_of_the_spec(tmp_path: Path) -> None:
    slo = {"ttftMilliseconds": 800, "tpotMilliseconds": 40, "objectivePercent": 95}
    model = a_model(tmp_path, slo=slo)

    assert (model.slo, model.objective_percent) == (SloTarget(ttft_s=0.8, tpot_s=0.04), 95)


def test_a_fixed_fleet_keeps_its_replicas(tmp_path: Path) -> None:
    model = read_model(write_chatmodel(tmp_path, replicas=3, autoscaling={"mode": "Fixed"}), None)
    policy = model.make_policy(model.track)

    assert (model.min_replicas, model.max_replicas, model.scaling) == (3, 3, "3 fixed replicas")
    assert isinstance(policy, Static)
    assert policy.decide(a_snapshot().with_ready(3).with_total(Column.WAITING, 900).build()) == 3


def test_an_hpa_follows_the_queue_and_running_requests(tmp_path: Path) -> None:
    model = a_model(tmp_path, mode="HPA", minReplicas=2)

    assert model.scaling == "mode HPA, 2 to 20 replicas"
    assert hpa_of(model) == HpaSettings(
        metrics=(HpaMetric((Column.WAITING,), 4.0), HpaMetric((Column.RUNNING,), 8.0)),
        behavior=HpaBehavior(
            min_replicas=2,
            max_replicas=20,
            up=(RateLimit(percent=100.0), RateLimit(pods=16)),
            down_stabilization_s=630.0,
            down=(RateLimit(percent=100.0),),
        ),
    )


@pytest.mark.parametrize(
    ("metrics", "expected"),
    [
        pytest.param([("QueueDepth", 2)], {Column.WAITING: 2.0, Column.RUNNING: 5.6}, id="queue"),
        pytest.param([("ActiveRequests", 5)], {Column.RUNNING: 5.0, Column.WAITING: 5.0}, id="active"),
        pytest.param([("ActiveRequests", 9)], {Column.RUNNING: 7.0, Column.WAITING: 9.0}, id="active above the slots"),
        pytest.param([("KVCacheUtilization", 70)], {Column.KV_TOKENS: 0.7 * KV_TOKENS}, id="cache"),
        pytest.param(
            [("QueueDepth", 4), ("ActiveRequests", 3), ("KVCacheUtilization", 50)],
            {Column.WAITING: 3.0, Column.RUNNING: 3.0, Column.KV_TOKENS: 0.5 * KV_TOKENS},
            id="of two targets for one metric the stricter",
        ),
    ],
)
def test_an_hpa_has_the_metrics_of_the_operators_manifest(
    tmp_path: Path, metrics: list[tuple[str, int]], expected: dict[Column, float]
) -> None:
    targets = [{"type": kind, "target": target} for kind, target in metrics]
    found = hpa_of(a_model(tmp_path, slots=7, mode="HPA", metrics=targets)).metrics

    assert {metric.columns: metric.target for metric in found} == {
        (column,): pytest.approx(target) for column, target in expected.items()
    }


@pytest.mark.parametrize("kind", MetricType)
def test_every_metric_can_be_simulated_in_mode_hpa(tmp_path: Path, kind: MetricType) -> None:
    assert hpa_of(a_model(tmp_path, mode="HPA", metrics=[{"type": kind.value, "target": 9}])).metrics


def test_an_hpa_has_the_rate_limits_of_behavior(tmp_path: Path) -> None:
    behavior = {
        "scaleUp": {
            "stabilizationWindowSeconds": 30,
            "policies": [{"type": "Percent", "value": 50, "periodSeconds": 60}],
        },
        "scaleDown": {
            "stabilizationWindowSeconds": 120,
            "policies": [
                {"type": "Pods", "value": 1, "periodSeconds": 30},
                {"type": "Percent", "value": 10, "periodSeconds": 300},
            ],
        },
    }

    assert hpa_of(a_model(tmp_path, mode="HPA", behavior=behavior)).behavior == HpaBehavior(
        max_replicas=20,
        up_stabilization_s=30.0,
        up=(RateLimit(percent=50.0, period_s=60.0),),
        down_stabilization_s=120.0,
        down=(RateLimit(pods=1, period_s=30.0), RateLimit(percent=10.0, period_s=300.0)),
    )


@pytest.mark.parametrize(
    ("server", "slots"),
    [
        pytest.param({"engine": "Simulated", "simulated": {"profile": "8b-a10g"}}, 64, id="A10G"),
        pytest.param({"engine": "Simulated", "simulated": {"profile": "smollm2-135m-cpu"}}, 32, id="CPU"),
        pytest.param({"engine": "Simulated", "maxConcurrency": 5}, 5, id="set"),
    ],
)
def test_replicas_have_the_slots_that_they_would_choose(tmp_path: Path, server: dict[str, Any], slots: int) -> None:
    path = write_chatmodel(tmp_path, server=server, autoscaling={"maxReplicas": 20})

    assert read_model(path, None).server.max_sequences == slots
