"""What the live page shows of a ChatModel, read from its manifest."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from chatscale.api.v1alpha1 import parse_chatmodel
from chatscale_contract.gateway.live import LiveDecision, LiveEvent, LiveWarning
from chatscale_gateway.discovery.live_facts import MESSAGE_CHARS, read_live_facts
from chatscale_gateway.routing.live_facts import LiveFacts
from tests.support.builders import a_chatmodel

SINCE = datetime(2026, 11, 27, 19, 0, tzinfo=UTC)
GPU = {
    "model": {"uri": "hf://o/m"},
    "server": {"engine": "Transformers"},
    "device": "GPU",
    "price": {"gpuHour": "2.50"},
}


def facts(status: dict[str, Any] | None = None, **spec: Any) -> LiveFacts:
    manifest = a_chatmodel().with_spec(**spec).manifest()
    manifest["status"] = status or {}
    return read_live_facts(parse_chatmodel(manifest))


def condition(kind: str, status: str, reason: str, message: str = "") -> dict[str, Any]:
    return {
        "type": kind, "status": status, "reason": reason, "message": message,
        "lastTransitionTime": "2026-11-27T19:00:00Z",
    }  # fmt: skip


def test_reads_decisions_with_their_reasons_from_the_status() -> None:
    history = [{"time": "2026-11-27T19:00:00Z", "from": 1, "to": 3, "reason": "SloAtRisk: 26 in flight"}]
    found = facts({"phase": "Starting", "autoscaling": {"mode": "Operator", "history": history}})
    assert found.phase == "Starting"
    assert found.decisions == (LiveDecision(SINCE, 1, 3, "SloAtRisk: 26 in flight"),)


def test_reads_announced_events_in_order_and_which_one_is_active() -> None:
    events = [
        {"name": "late", "start": "2026-11-28T19:00:00Z", "end": "2026-11-28T20:00:00Z", "minReplicas": 2},
        {"name": "now", "start": "2026-11-27T19:00:00Z", "end": "2026-11-27T20:00:00Z", "minReplicas": 3},
    ]
    autoscaling = {"mode": "Operator", "minReplicas": 1, "maxReplicas": 4, "events": events}
    found = facts({"autoscaling": {"activeEvent": "now"}}, autoscaling=autoscaling)
    assert found.mode == "Operator"
    assert [(each.name, each.min_replicas, each.active) for each in found.events] == [
        ("now", 3, True),
        ("late", 2, False),
    ]
    assert found.events[0] == LiveEvent("now", SINCE, SINCE.replace(hour=20), 3, active=True)


def test_a_warning_is_a_condition_that_is_false_for_a_cause_and_each_cause_is_listed_once() -> None:
    conditions = [
        condition("Ready", "False", "ImagePullFailed", "0 of 1 replicas are ready: no such image"),
        condition("ModelLoaded", "Unknown", "NotStarted"),
        condition("Available", "False", "NoReadyReplicas"),
        condition("Progressing", "False", "ImagePullFailed", "no such image"),
        condition("ScalingActive", "False", "ScalingDisabled"),
        condition("RoutingReady", "False", "AliasConflict", "x" * 10_000),
    ]
    found = facts({"conditions": conditions}).warnings
    assert found[0] == LiveWarning(
        "Ready", "ImagePullFailed", "0 of 1 replicas are ready: no such image", SINCE
    )  # fmt: skip
    assert [each.reason for each in found] == ["ImagePullFailed", "AliasConflict"]
    assert len(found[1].message) == MESSAGE_CHARS


@pytest.mark.parametrize(
    ("spec", "units"),
    [
        pytest.param({**GPU, "resources": {"limits": {"nvidia.com/gpu": 2, "memory": "8Gi"}}}, 2, id="GPUs"),
        pytest.param({**GPU, "resources": {"limits": {"nvidia.com/gpu": "1k"}}}, 1, id="a quantity that is no number"),
        pytest.param({**GPU, "device": "CPU"}, 1, id="CPU"),
    ],
)
def test_the_price_is_that_of_the_gpus_of_a_replica(spec: dict[str, Any], units: int) -> None:
    found = facts(**spec)
    assert (found.price.gpu_hour, found.paid_units_per_replica) == (Decimal("2.50"), units)


def test_a_status_that_cannot_be_read_hides_no_model() -> None:
    assert facts({"autoscaling": {"history": "none"}}).decisions == ()
