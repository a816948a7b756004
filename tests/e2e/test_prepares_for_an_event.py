"""Promise: an announced sale finds its replicas ready when it starts, and they go when it is over."""

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from hack import kube
from tests.e2e.support import Model, autoscaling, watching

LEAD_S = 45
"""The HPA looks every 15 s, and the Simulated engine takes a few to start."""
AHEAD_S = 20
"""The sale is announced so long before its lead begins."""


def now() -> datetime:
    return datetime.fromtimestamp(time.time(), UTC)


def a_sale(start: datetime, end: datetime) -> dict[str, Any]:
    times = {"start": start.isoformat(), "end": end.isoformat()}
    return {"name": "sale", **times, "minReplicas": 3, "leadSeconds": LEAD_S}


@pytest.mark.parametrize("mode", ["Operator", "HPA"])
def test_prepares_for_an_announced_event(make_model: Callable[..., Model], mode: str) -> None:
    model = make_model(autoscaling=autoscaling(mode))
    model.wait_ready(1)
    start = now().replace(microsecond=0) + timedelta(seconds=AHEAD_S + LEAD_S)

    with watching(model) as timeline:
        model.manifest["spec"]["autoscaling"]["events"] = [a_sale(start, start + timedelta(hours=1))]
        model.apply()
        kube.wait_for("three replicas wanted", lambda: model.deployment_replicas() == 3, AHEAD_S + LEAD_S)
        raised_at = now()
        model.wait_ready(3)
        ready_at, told = now(), model.status()["autoscaling"]
        model.manifest["spec"]["autoscaling"]["events"] = [
            a_sale(now() - timedelta(hours=1), now() + timedelta(seconds=5))
        ]
        model.apply()
        model.wait_ready(1, within_s=180)

    assert raised_at >= start - timedelta(seconds=LEAD_S), "raised before its lead"
    assert ready_at <= start, f"ready {ready_at - start} after the start"
    assert told["activeEvent"] == "sale"
    assert told["coldStartSeconds"] > 0
    assert "activeEvent" not in model.status()["autoscaling"]
    assert max(timeline.changes) == 3
    if mode == "Operator":
        model.wait_event("ScaledUp", "minReplicas of event sale is 3")
