"""The live state as a table."""

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from chatscale_cli.status.table import format_snapshot
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


def a_snapshot(*models: LiveModel) -> LiveSnapshot:
    return LiveSnapshot(NOW, "gw-1", 2, 30.0, models)


def test_a_row_for_each_model_and_then_the_reasons():
    busy = LiveModel(
        "demo", "shop", "Available", "Operator", LiveReplicas(5, 1, 3, 1), held=7, queued=2, in_flight=40,
        prompt_tokens_per_s=1000.4, generated_tokens_per_s=234.2, ttft=LiveTtft(0.5, 2.25, 2.0, 90, 60.0),
        cost=LiveCost("EUR", Decimal("7.5")),
        decisions=(
            LiveDecision(NOW - timedelta(seconds=12), 3, 5, "26 in flight, target 8"),
            LiveDecision(NOW - timedelta(hours=1), 1, 3, "older"),
        ),
        events=(LiveEvent("sale", NOW, NOW + timedelta(hours=2), 6, active=True),),
        warnings=(LiveWarning("ScalingActive", "StaleMetrics", "no scrape for 60 s"),),
    )  # fmt: skip
    head, first, second, *rest = format_snapshot(a_snapshot(busy, LiveModel("demo", "night"))).splitlines()
    titles = "MODEL PHASE WANTED READY STARTING DRAINING HELD QUEUED IN-FLIGHT TOKENS/S TTFT-P50 TTFT-P95 SLO COST/H"
    assert re.split(" {2,}", head) == [title.replace("-", " ") for title in titles.split()]
    assert re.split(" {2,}", first) == [
        "demo/shop", "Available", "5", "3", "1", "1", "7", "2", "40", "1,235", "0.50 s", "2.25 s!", "2.00 s",
        "7.50 EUR",
    ]  # fmt: skip
    assert re.split(" {2,}", second) == ["demo/night", "-", *"0000000", "0", "-", "-", "-", "-"]
    assert rest == [
        "",
        "demo/shop: 3 -> 5 replicas, 12 s ago: 26 in flight, target 8",
        "demo/shop: event sale is active, 2026-11-27 20:00 to 2026-11-27 22:00, at least 6 replicas",
        "demo/shop: warning ScalingActive StaleMetrics: no scrape for 60 s",
    ]


def test_no_model_is_said():
    assert format_snapshot(a_snapshot()) == "the API key opens no model\n"


def test_texts_of_chatmodels_cannot_control_the_terminal():
    model = LiveModel("demo", "shop", decisions=(LiveDecision(NOW - timedelta(days=3), 1, 2, "a\x1b[2J\nb"),))
    assert format_snapshot(a_snapshot(model)).endswith("\ndemo/shop: 1 -> 2 replicas, 3 d ago: a\u241b[2J b\n")
