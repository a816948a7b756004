"""Promise: an announced sale finds its replicas ready when it starts, and they go when it is over."""

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from hack import kube
from tests.e2e.support import Model, autoscaling, watching

LEAD_S = 30
"""Longer than the Simulated engine's start."""


@pytest.mark.parametrize("mode", ["Operator", "HPA"])
def test_prepares_for_an_announced_event(make_model: Callable[..., Model], mode: str) -> None:
    model = make_model(autoscaling=autoscaling(mode))
    model.wait_ready(1)
    start = datetime.fromtimestamp(int(time.time()), UTC) + timedelta(seconds=LEAD_S)
    sale = {
        "name": "sale",
        "start": start.isoformat(),
        "end": (start + timedelta(seconds=20)).isoformat(),
        "minReplicas": 3,
        "leadSeconds": LEAD_S,
    }

    with watching(model) as timeline:
        model.manifest["spec"]["autoscaling"]["events"] = [sale]
        model.apply()
        model.wait_ready(3, within_s=LEAD_S + 20)
        ready_at = datetime.fromtimestamp(time.time(), UTC)
        status = kube.get("chatmodel", model.name, model.namespace)["status"]["autoscaling"]
        model.wait_ready(1, within_s=180)

    if mode == "Operator":
        assert ready_at <= start, f"ready {ready_at - start} after the start"
        model.wait_event("ScaledUp", "event sale asks for 3")
    assert status["activeEvent"] == "sale"
    assert max(timeline.changes) == 3
