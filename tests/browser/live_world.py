"""A gateway front with a live state that the test writes, so that ten minutes pass within seconds."""

import math
import random
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from chatscale_contract.gateway.key_secret import StoredKey
from chatscale_contract.gateway.keys import KeyId, KeyPolicy, hash_key
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
from chatscale_gateway.dispatch.dispatcher import HoldingDispatcher
from chatscale_gateway.http.authentication import Authentication
from chatscale_gateway.http.options import HttpOptions
from chatscale_gateway.http.serve import Ports, listening
from chatscale_gateway.keys.key_ring import FoundKey, KeyRing
from chatscale_gateway.upstream.client import ReplicaClient

LIVE_KEY, CHAT_KEY = "csk-that-sees-the-live-page", "csk-that-chats-only"
BEGIN = datetime(2026, 11, 27, 19, 50, tzinfo=UTC)
MARKUP = "<img src=x onerror=alert(1)>&amp;<b>bold</b>"
STILL = LiveModel(
    namespace="shop",
    name="assistant",
    phase="Ready",
    mode="Operator",
    replicas=LiveReplicas(wanted=3, starting=1, ready=2, draining=1),
    held=4,
    queued=5,
    in_flight=16,
    prompt_tokens_per_s=812.5,
    generated_tokens_per_s=341.2,
    ttft=LiveTtft(p50_s=0.412, p95_s=2.345, slo_s=2.0, samples=120, window_s=60.0),
    cost=LiveCost("EUR", Decimal("10.00")),
    decisions=(LiveDecision(BEGIN, 2, 3, "SloAtRisk: 26 requests in flight"),),
    events=(LiveEvent("black-friday", BEGIN, BEGIN + timedelta(hours=4), 3, active=True),),
    warnings=(LiveWarning("ScalingActive", "MetricsUnavailable", "no pod can be read", BEGIN),),
)
"""Every field has a value of its own."""


@dataclass
class WrittenState:
    """A `LiveSource`: the models at each second since `BEGIN`."""

    models: Callable[[int], tuple[LiveModel, ...]]
    second: int = 0
    step: int = 1
    last: int = 10**9
    """The state does not change after this second."""
    gateways: int = 2

    def sample(self) -> None:
        self.second = min(self.last, self.second + self.step)

    def snapshot(self) -> LiveSnapshot:
        now = BEGIN + timedelta(seconds=self.second)
        return LiveSnapshot(now, "gateway-0", self.gateways, 10.0, self.models(self.second))


@dataclass
class Keys:
    ring: KeyRing | None


@dataclass(frozen=True, slots=True)
class LiveGateway:
    port: int
    keys: Keys

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@asynccontextmanager
async def a_live_gateway(state: WrittenState, *, port: int = 0, period_s: float = 0.2) -> AsyncIterator[LiveGateway]:
    """The real HTTP front with keys. period_s: real seconds between two snapshots."""
    dispatcher = HoldingDispatcher(
        gateway="gateway-0", instance="i", now=time.monotonic, rng=random.Random(1), max_held_bytes=10**9
    )
    found = [
        FoundKey(KeyId("system", name), StoredKey(hash_key(token), KeyPolicy(live=is_live)))
        for name, token, is_live in (("viewer", LIVE_KEY, True), ("chatter", CHAT_KEY, False))
    ]
    keys = Keys(KeyRing(found, "system"))
    async with (
        ReplicaClient(response_timeout_s=5.0) as upstream,
        listening(
            dispatcher,
            upstream,
            HttpOptions(live_period_s=period_s, live_key_check_s=0.5, endpoint_delay_s=0.0, grace_period_s=1.0),
            host="127.0.0.1",
            ports=Ports(port, 0, 0),
            write_line=lambda _line: None,
            authentication=Authentication(keys),
            live=state,
        ) as gateway,
    ):
        yield LiveGateway(gateway.ports.api, keys)


def black_friday(second: int) -> tuple[LiveModel, ...]:
    """Ten minutes of a shop: a surge of traffic, an announced event, a model at zero and a model with a warning."""
    now = BEGIN + timedelta(seconds=second)
    dice = random.Random(second)
    load = 9 + 4 * math.sin(second / 50) + 26 / (1 + math.exp(-(second - 300) / 22)) + dice.uniform(-1.5, 1.5)
    wanted = 2 + (second >= 120) + 2 * (second >= 292) + (second >= 330)
    ready = 2 + (second >= 165) + 2 * (second >= 338) + (second >= 378)
    full = max(0.0, load - 8 * ready)
    p95 = 0.34 + 0.05 * dice.random() + 0.16 * full + 0.01 * load
    decisions = [
        LiveDecision(at(330), 5, 6, "SloAtRisk: 41 requests in flight, a replica keeps the SLO with 8"),
        LiveDecision(at(292), 3, 5, "Panic: load doubled within 30 s"),
        LiveDecision(at(120), 2, 3, "Scheduled: event black-friday needs 3 replicas from 19:53:00"),
    ]
    assistant = replace(
        STILL,
        replicas=LiveReplicas(wanted, max(0, wanted - ready), ready, 0),
        held=round(max(0.0, full - 6)),
        queued=round(min(full, 6.0)),
        in_flight=round(min(load, 8 * ready + 6)),
        prompt_tokens_per_s=round(19 * min(load, 8 * ready), 1),
        generated_tokens_per_s=round(11.5 * min(load, 8 * ready), 1),
        ttft=LiveTtft(round(p95 * 0.45, 3), round(p95, 3), 2.0, round(load * 4), 60.0),
        cost=LiveCost("EUR", Decimal("2.50") * wanted),
        decisions=tuple(each for each in decisions if each.time <= now),
        events=(LiveEvent("black-friday", at(180), at(180) + timedelta(hours=4), 3, active=second >= 120),),
        warnings=(),
    )
    search = replace(
        STILL,
        name="search-embeddings",
        replicas=LiveReplicas(1, 0, 1, 0),
        held=0,
        queued=0,
        in_flight=dice.randrange(3),
        ttft=LiveTtft(None, None, 2.0, 0, 60.0),
        generated_tokens_per_s=0.0,
        prompt_tokens_per_s=round(dice.uniform(900, 1100), 1),
        cost=LiveCost("EUR", Decimal("2.50")),
        decisions=(),
        events=(),
        warnings=(),
    )
    translator = LiveModel(
        "shop", "translator", phase="ScaledToZero", mode="Operator", ttft=LiveTtft(slo_s=4.0, window_s=60.0),
        cost=LiveCost("EUR", Decimal("0.00")),
    )  # fmt: skip
    return (assistant, search, translator)


def at(second: int) -> datetime:
    return BEGIN + timedelta(seconds=second)
