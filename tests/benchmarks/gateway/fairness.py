"""How much a batch key delays a live key: the shipping dispatcher in virtual time.

The live key alone uses a tenth of all slots; the batch key sends ten times as much, so both together need more than
there is. A replica works on as many requests as it has slots, the others wait in it.
"""

import asyncio
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from chatscale.api.v1alpha1.routing import HoldSpec, RoutingSpec
from chatscale_contract.gateway.keys import KeyId, KeyPolicy
from chatscale_contract.openai.errors import ApiError
from chatscale_contract.server.load import ReplicaLoad
from chatscale_contract.server.slo import LatencyObjectives
from chatscale_gateway.dispatch.dispatcher import HoldingDispatcher
from chatscale_gateway.dispatch.interface import Arrival
from chatscale_gateway.keys.caller import Caller
from chatscale_gateway.routing.catalog import Catalog, Model, ModelKey, Replica
from chatscale_gateway.routing.outcomes import Outcome
from tests.support.clock import virtual_time_loop

REPLICAS: Final = 8
SLOTS: Final = 16
PREFILL_S: Final = (0.2, 0.8)
"""Lowest and highest, equally likely between them."""
DECODE_S: Final = 1.5
"""Mean; exponential."""
LIVE_SHARE: Final = 0.1
BATCH_FACTOR: Final = 10
LIVE_REQUESTS: Final = 1000
WARM_UP_S: Final = 20.0
BATCH_PRIORITY: Final = -10
HELD: Final = 200
_READING_S: Final = 1.0
_MODEL: Final = ModelKey("bench", "tiny")
_SERVICE_S: Final = sum(PREFILL_S) / 2 + DECODE_S
LIVE_PER_S: Final = LIVE_SHARE * REPLICAS * SLOTS / _SERVICE_S


@dataclass(frozen=True, slots=True)
class Fairness:
    """p99 of the live key's time to first token, seconds."""

    alone_s: float
    with_background_s: float
    """The batch key has a priority below 0."""
    with_equal_s: float
    """Both keys have the same priority."""
    refused: int
    """Live requests that were refused, in all runs."""

    def growth(self) -> float:
        """By how much the batch key of a priority below 0 moves it: 0.1 is 10 %."""
        return self.with_background_s / self.alone_s - 1


def measure_fairness(live_requests: int = LIVE_REQUESTS, *, with_equal: bool = True) -> Fairness:
    """The same live requests in each run. with_equal: False leaves out the run with equal priorities; it is 0 then."""
    alone, refused_alone = _run(live_requests, None)
    background, refused_background = _run(live_requests, BATCH_PRIORITY)
    equal, refused_equal = _run(live_requests, 0) if with_equal else (0.0, 0)
    return Fairness(alone, background, equal, refused_alone + refused_background + refused_equal)


@dataclass(slots=True)
class _Fleet:
    """The replicas: their slots are taken in the order of arrival."""

    slots: dict[str, asyncio.Semaphore]
    placed: dict[str, int] = field(default_factory=dict)

    def readings(self) -> dict[str, ReplicaLoad | None]:
        """What the gateway reads."""
        found: dict[str, ReplicaLoad | None] = {}
        for uid in self.slots:
            placed = self.placed.get(uid, 0)
            found[uid] = ReplicaLoad(min(placed, SLOTS), max(0, placed - SLOTS), SLOTS)
        return found


@dataclass(slots=True)
class _Live:
    ttfts_s: list[float] = field(default_factory=list)
    refused: int = 0


def _run(live_requests: int, batch_priority: int | None) -> tuple[float, int]:
    """p99 TTFT of the live key and its refusals. batch_priority: None without a batch key."""
    with asyncio.Runner(loop_factory=virtual_time_loop) as runner:
        live = runner.run(_simulate(live_requests, batch_priority))
    live.ttfts_s.sort()
    return live.ttfts_s[int(0.99 * len(live.ttfts_s))], live.refused


async def _simulate(live_requests: int, batch_priority: int | None) -> _Live:
    loop = asyncio.get_running_loop()
    dispatcher = HoldingDispatcher(
        gateway="gateway-0", instance="i", now=loop.time, rng=random.Random(1), max_held_bytes=10**9
    )
    dispatcher.catalog_changed(_catalog())
    fleet = _Fleet({f"uid-{number}": asyncio.Semaphore(SLOTS) for number in range(REPLICAS)})
    reader = loop.create_task(_read_for_ever(dispatcher, fleet))
    live, end_s = _Live(), WARM_UP_S + live_requests / LIVE_PER_S
    async with asyncio.TaskGroup() as group:
        sources = [group.create_task(_send(dispatcher, fleet, _caller("live", 0), LIVE_PER_S, end_s, live, group))]
        if batch_priority is not None:
            caller = _caller("batch", batch_priority)
            sending = _send(dispatcher, fleet, caller, BATCH_FACTOR * LIVE_PER_S, end_s, None, group)
            sources.append(group.create_task(sending))
    reader.cancel()
    return live


async def _send(
    dispatcher: HoldingDispatcher, fleet: _Fleet, caller: Caller, per_s: float, end_s: float,
    live: _Live | None, group: asyncio.TaskGroup,
) -> None:  # fmt: skip
    """Poisson arrivals of one key. live: None if its times are not kept."""
    loop = asyncio.get_running_loop()
    for pause_s, prefill_s, decode_s in _requests(caller.label, per_s):
        await asyncio.sleep(pause_s)
        if loop.time() >= end_s:
            return
        group.create_task(_request(dispatcher, fleet, caller, prefill_s, decode_s, live))


async def _request(
    dispatcher: HoldingDispatcher, fleet: _Fleet, caller: Caller, prefill_s: float, decode_s: float, live: _Live | None
) -> None:
    loop = asyncio.get_running_loop()
    arrived_s = loop.time()
    try:
        lease = await dispatcher.lease(Arrival(_MODEL, 2000, 400, streamed=True, arrived_s=arrived_s, caller=caller))
    except ApiError:
        if live is not None:
            live.refused += 1
        return
    uid = lease.replica.uid
    fleet.placed[uid] = fleet.placed.get(uid, 0) + 1
    async with fleet.slots[uid]:
        await asyncio.sleep(prefill_s)
        if live is not None and arrived_s >= WARM_UP_S:
            live.ttfts_s.append(loop.time() - arrived_s)
        await asyncio.sleep(decode_s)
    fleet.placed[uid] -= 1
    lease.end(Outcome.COMPLETED, loop.time())


def _requests(seed: str, per_s: float) -> Iterator[tuple[float, float, float]]:
    """Pause before it, time of its prompt and of its answer: the same for each run."""
    rng = random.Random(seed)
    while True:
        yield rng.expovariate(per_s), rng.uniform(*PREFILL_S), rng.expovariate(1 / DECODE_S)


async def _read_for_ever(dispatcher: HoldingDispatcher, fleet: _Fleet) -> None:
    loop = asyncio.get_running_loop()
    while True:
        dispatcher.loads_read(fleet.readings(), loop.time())
        await asyncio.sleep(_READING_S)


def _caller(name: str, priority: int) -> Caller:
    return Caller(KeyId("bench", name), KeyPolicy(priority=priority))


def _catalog() -> Catalog:
    model = Model(
        key=_MODEL, uid="uid", served_name="tiny", created=datetime(2026, 1, 1, tzinfo=UTC),
        routing=RoutingSpec(hold=HoldSpec(max_requests=HELD)), slo=LatencyObjectives(), replicas=REPLICAS,
    )  # fmt: skip
    pods = tuple(
        Replica(f"uid-{number}", f"pod-{number}", "10.0.0.1", 8000, ready=True, leaving=False)
        for number in range(REPLICAS)
    )
    return Catalog({_MODEL: model}, {_MODEL: pods})
