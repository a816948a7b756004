"""What of a ChatModel is simulated: its bounds, its promise, its signals, and the autoscaler that it would have."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from chatscale.api.v1alpha1 import MetricType
from chatscale_simulator.inputs.chatmodel import Subject, read_subject
from chatscale_simulator.policies.behavior import HpaBehavior, Rate
from chatscale_simulator.policies.hpa import Hpa, HpaMetric, HpaSettings
from chatscale_simulator.policies.static import Static
from chatscale_simulator.simulation.outcome import Track
from chatscale_simulator.simulation.profiles import SERVERS, SloTarget
from chatscale_simulator.simulation.shipping import Shipping
from chatscale_simulator.simulation.view import Column, View
from tests.unit.chatscale_simulator.chatmodels import write_chatmodel
from tests.unit.chatscale_simulator.simulation.views import a_view

PROMETHEUS = {"type": "Prometheus", "prometheusURL": "http://prometheus", "intervalSeconds": 20}
KV_TOKENS = SERVERS["S"].steps.kv_tokens


def a_subject(folder: Path, *, slots: int = 10, **scaling: Any) -> Subject:
    path = write_chatmodel(folder, server={"maxConcurrency": slots}, autoscaling={"maxReplicas": 20, **scaling})
    return read_subject(path, None)


def hpa_of(subject: Subject) -> HpaSettings:
    policy = subject.make_policy(subject.track)
    assert isinstance(policy, Hpa)
    return policy.settings


@pytest.mark.parametrize(
    ("scaling", "track"),
    [
        pytest.param({"mode": "Operator"}, Track.NATIVE, id="reads its pods"),
        pytest.param({"mode": "Operator", "source": PROMETHEUS}, Track.EQUAL, id="asks Prometheus"),
        pytest.param({"mode": "HPA"}, Track.EQUAL, id="HPA"),
        pytest.param({"mode": "Fixed"}, Track.EQUAL, id="Fixed"),
    ],
)
def test_signals_are_its_own_where_the_operator_reads_pods(
    tmp_path: Path, scaling: dict[str, Any], track: Track
) -> None:
    assert a_subject(tmp_path, **scaling).track is track


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        pytest.param({}, (True, 5.0), id="pods"),
        pytest.param({"intervalSeconds": 2}, (True, 2.0), id="pods, oftener"),
        pytest.param(PROMETHEUS, (False, 20.0), id="Prometheus"),
    ],
)
def test_on_its_own_track_it_reads_as_often_as_its_source_says(
    tmp_path: Path, source: dict[str, Any], expected: tuple[bool, float]
) -> None:
    policy = a_subject(tmp_path, source=source).make_policy(Track.NATIVE)

    assert (policy.direct, policy.period_s) == expected


def scraped_25_s_ago(now_s: float) -> View:
    """As every view is right before a scrape that follows a lost one."""
    busy = a_view(now_s).with_ready(2).with_total(Column.RUNNING, 4).build()
    return replace(busy, age_s=np.full(2, 25.0), ready_since_s=np.full(2, -900.0), created_s=np.full(2, -990.0))


def test_on_the_equal_track_a_lost_scrape_is_no_outage(tmp_path: Path) -> None:
    reasons = {}
    for track in Track:
        policy = a_subject(tmp_path).make_policy(track)
        assert isinstance(policy, Shipping)
        policy.decide(scraped_25_s_ago(60.0))
        reasons[track] = policy.reason

    assert "none of 2 ready replicas could be read" in reasons[Track.NATIVE]
    assert "could be read" not in reasons[Track.EQUAL]


def test_the_promise_is_the_specs(tmp_path: Path) -> None:
    told = {"ttftMilliseconds": 800, "tpotMilliseconds": 40, "objectivePercent": 95}
    subject = a_subject(tmp_path, slo=told)

    assert (subject.slo, subject.objective_percent) == (SloTarget(ttft_s=0.8, tpot_s=0.04), 95)


def test_a_fixed_fleet_has_its_replicas_whatever_comes(tmp_path: Path) -> None:
    subject = read_subject(write_chatmodel(tmp_path, replicas=3, autoscaling={"mode": "Fixed"}), None)
    policy = subject.make_policy(subject.track)

    assert (subject.min_replicas, subject.max_replicas, subject.scaling) == (3, 3, "3 fixed replicas")
    assert isinstance(policy, Static)
    assert policy.decide(a_view().with_ready(3).with_total(Column.WAITING, 900).build()) == 3


def test_an_hpa_follows_the_queue_and_beside_it_running_requests(tmp_path: Path) -> None:
    subject = a_subject(tmp_path, mode="HPA", minReplicas=2)

    assert subject.scaling == "mode HPA, 2 to 20 replicas"
    assert hpa_of(subject) == HpaSettings(
        metrics=(HpaMetric((Column.WAITING,), 4.0), HpaMetric((Column.RUNNING,), 8.0)),
        behavior=HpaBehavior(
            min_replicas=2,
            max_replicas=20,
            up=(Rate(percent=100.0), Rate(pods=4)),
            down_stabilization_s=630.0,
            down=(Rate(percent=100.0),),
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
def test_an_hpa_has_the_metrics_that_ship(
    tmp_path: Path, metrics: list[tuple[str, int]], expected: dict[Column, float]
) -> None:
    told = [{"type": kind, "target": target} for kind, target in metrics]
    found = hpa_of(a_subject(tmp_path, slots=7, mode="HPA", metrics=told)).metrics

    assert {metric.columns: metric.target for metric in found} == {
        (column,): pytest.approx(target) for column, target in expected.items()
    }


@pytest.mark.parametrize("kind", MetricType)
def test_every_metric_can_be_simulated_in_mode_hpa(tmp_path: Path, kind: MetricType) -> None:
    assert hpa_of(a_subject(tmp_path, mode="HPA", metrics=[{"type": kind.value, "target": 9}])).metrics


def test_an_hpa_moves_as_fast_as_behavior_says(tmp_path: Path) -> None:
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

    assert hpa_of(a_subject(tmp_path, mode="HPA", behavior=behavior)).behavior == HpaBehavior(
        max_replicas=20,
        up_stabilization_s=30.0,
        up=(Rate(percent=50.0, period_s=60.0),),
        down_stabilization_s=120.0,
        down=(Rate(pods=1, period_s=30.0), Rate(percent=10.0, period_s=300.0)),
    )
