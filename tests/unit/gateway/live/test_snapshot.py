"""The live state of all models, from the catalog and the reports of all gateways."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from chatscale_contract.gateway.demand import GatewayDemand, ModelDemand
from chatscale_contract.gateway.latencies import WINDOW_S, bucket_of
from chatscale_contract.gateway.live import (
    LiveCost,
    LiveDecision,
    LiveEvent,
    LiveModel,
    LiveReplicas,
    LiveTtft,
    LiveWarning,
)
from chatscale_contract.money import Price
from chatscale_contract.server.load import ReplicaLoad
from chatscale_gateway.live.board import LiveBoard
from chatscale_gateway.live.snapshot import build_snapshot
from chatscale_gateway.routing.catalog import Catalog, Model
from chatscale_gateway.routing.live_facts import LiveFacts
from tests.support.gateway_world import TINY, a_catalog, a_model, a_replica

NOW = datetime(2026, 11, 27, 20, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)


def report(gateway: str, model: ModelDemand) -> GatewayDemand:
    return GatewayDemand(gateway, f"i-{gateway}", 0, draining=False, models={str(TINY): model})


def snapshot_of(model: Model, *demands: ModelDemand, **fields) -> LiveModel:
    reports = [report(f"gateway-{n}", demand) for n, demand in enumerate(demands or (ModelDemand(),))]
    replicas = fields.pop("replicas", ())
    catalog = Catalog({model.key: model}, {model.key: replicas})
    return build_snapshot(catalog, reports, {}, {}, NOW).models[0]


def test_counts_replicas_by_what_they_do() -> None:
    replicas = (
        a_replica("a"),
        a_replica("b"),
        a_replica("c", ready=False),
        a_replica("d", leaving=True),
        a_replica("e", ready=False, leaving=True),
    )
    assert snapshot_of(a_model(replicas=3), replicas=replicas).replicas == LiveReplicas(
        wanted=3, starting=1, ready=2, draining=2
    )


def test_adds_up_the_requests_of_all_gateways() -> None:
    found = snapshot_of(a_model(), ModelDemand(held=2, in_flight=5), ModelDemand(held=3, in_flight=7))
    assert (found.held, found.in_flight) == (5, 12)


def test_merges_the_latencies_of_all_gateways() -> None:
    found = snapshot_of(
        a_model(),
        ModelDemand(recent_ttft={bucket_of(0.1): 90}),
        ModelDemand(recent_ttft={bucket_of(4.0): 10}),
    ).ttft
    assert (found.p50_s, found.p95_s) == (pytest.approx(0.1, rel=0.03), pytest.approx(4.0, rel=0.03))
    assert (found.slo_s, found.samples, found.window_s) == (2.0, 100, WINDOW_S)


def test_without_answers_there_are_no_latencies() -> None:
    assert snapshot_of(a_model()).ttft == LiveTtft(None, None, slo_s=2.0, window_s=WINDOW_S)


def test_all_pods_that_exist_cost_money() -> None:
    facts = LiveFacts(price=Price("USD", gpu_hour=Decimal("2.50")), paid_units_per_replica=2)
    replicas = (a_replica("a"), a_replica("b", ready=False), a_replica("c", leaving=True))
    assert snapshot_of(replace(a_model(), live=facts), replicas=replicas).cost == LiveCost("USD", Decimal("15.00"))
    assert snapshot_of(a_model(), replicas=replicas).cost is None


def test_shows_decisions_events_and_warnings_but_no_event_that_has_ended() -> None:
    over = LiveEvent("over", NOW - 2 * HOUR, NOW - HOUR, 4, active=True)
    runs = LiveEvent("runs", NOW - HOUR, NOW + HOUR, 3, active=True)
    decision = LiveDecision(NOW, 1, 3, "runs starts")
    warning = LiveWarning("ScalingActive", "MetricsUnavailable", "no pod can be read", NOW)
    facts = LiveFacts("Ready", "Operator", decisions=(decision,), events=(over, runs), warnings=(warning,))
    found = snapshot_of(replace(a_model(), live=facts))
    assert (found.phase, found.mode) == ("Ready", "Operator")
    assert (found.decisions, found.events, found.warnings) == ((decision,), (runs,), (warning,))


def test_lists_models_without_replicas_in_order() -> None:
    catalog = a_catalog({"zebra": 0, "ant": 1})
    snapshot = build_snapshot(catalog, [report("gateway-0", ModelDemand())], {}, {}, NOW)
    assert [model.key for model in snapshot.models] == ["demo/ant", "demo/zebra"]
    assert (snapshot.gateway, snapshot.gateways, snapshot.time) == ("gateway-0", 1, NOW)


def test_the_board_reads_queues_of_replicas_and_counts_itself_once() -> None:
    own = report("gateway-0", ModelDemand(held=1))
    board = LiveBoard(lambda: own, lambda: 10.0, NOW.timestamp)
    board.catalog_changed(a_catalog({"tiny": 2}))
    board.loads_read(
        {"tiny-0": ReplicaLoad(4, 3, 4), "tiny-1": ReplicaLoad(4, 2, 4), "gone-0": ReplicaLoad(1, 9, 1)}, 1
    )
    board.loads_read({"tiny-0": ReplicaLoad(4, 1, 4), "tiny-1": None}, 2)
    board.peers_read({"gateway-0": own, "gateway-1": report("gateway-1", ModelDemand(held=4))})
    board.sample()
    snapshot = board.snapshot()
    assert snapshot.gateways == 2
    assert [(model.queued, model.held) for model in snapshot.models] == [(3, 5)]
    assert snapshot.time == NOW
