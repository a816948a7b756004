"""The live snapshot on its way between a gateway and its readers."""

import json
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from chatscale_contract.gateway.live import (
    LiveCost,
    LiveDecision,
    LiveEvent,
    LiveModel,
    LiveReplicas,
    LiveSnapshot,
    LiveTtft,
    LiveWarning,
)

NOW = datetime(2026, 11, 27, 20, 0, tzinfo=UTC)
MODEL = LiveModel(
    namespace="shop",
    name="tiny",
    phase="Available",
    mode="Operator",
    replicas=LiveReplicas(wanted=3, starting=1, ready=1, draining=1),
    held=4,
    queued=2,
    in_flight=9,
    prompt_tokens_per_s=100.5,
    generated_tokens_per_s=20.25,
    ttft=LiveTtft(p50_s=0.2, p95_s=1.5, slo_s=2.0, samples=12, window_s=60.0),
    cost=LiveCost("EUR", Decimal("7.47")),
    decisions=(LiveDecision(NOW, 1, 3, "26 in flight"),),
    events=(LiveEvent("black-friday", NOW, NOW, 3, active=True),),
    warnings=(LiveWarning("ScalingActive", "NoMetrics", "no pod can be read", NOW),),
)
SNAPSHOT = LiveSnapshot(NOW, "gateway-0", 2, 15.0, (MODEL, LiveModel("shop", "new")))


def test_a_snapshot_survives_its_way_through_json() -> None:
    assert LiveSnapshot.from_json(json.loads(json.dumps(SNAPSHOT.to_json()))) == SNAPSHOT


def test_reads_snapshots_of_older_and_newer_gateways() -> None:
    text = {"time": NOW.isoformat(), "colour": "blue", "models": [{"namespace": "shop", "name": "new", "x": [1]}]}
    assert LiveSnapshot.from_json(text) == LiveSnapshot(NOW, "", 0, 0.0, (LiveModel("shop", "new"),))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        pytest.param({"time": "noon"}, "snapshot.time must be an RFC 3339 time, found 'noon'", id="time"),
        pytest.param({"models": {}}, None, id="no models"),
        pytest.param({"models": [{"held": -1}]}, r"snapshot.models\[0\].held must be a number from 0", id="count"),
        pytest.param({"models": [{"cost": {"per_hour": "x"}}]}, "per_hour must be a decimal number", id="amount"),
        pytest.param({"models": ["x"]}, r"models\[0\] must be an object, found str", id="model"),
    ],
)
def test_names_the_field_that_is_wrong(change: dict[str, object], message: str | None) -> None:
    value = {**SNAPSHOT.to_json(), **change}
    if message is None:
        assert LiveSnapshot.from_json(value).models == ()
        return
    with pytest.raises(ValueError, match=message):
        LiveSnapshot.from_json(value)
