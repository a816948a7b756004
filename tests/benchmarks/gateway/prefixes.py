"""Prefix hit rate of two gateways and of one, with the shipping dispatcher in virtual time.

Requests of conversations arrive as a Poisson process; few conversations get most of them (Zipf). A replica keeps the
prefixes that it used last. The gateways read loads and each other once a second, as in a cluster.
"""

import asyncio
import random
from collections import Counter, OrderedDict
from dataclasses import dataclass, field
from datetime import UTC, datetime
from statistics import fmean, median
from typing import Final

from chatscale.api.v1alpha1.routing import RoutingSpec, RoutingStrategy
from chatscale_contract.server.load import ReplicaLoad
from chatscale_contract.server.slo import LatencyObjectives
from chatscale_gateway.dispatch.dispatcher import HoldingDispatcher
from chatscale_gateway.dispatch.interface import Arrival
from chatscale_gateway.routing.catalog import Catalog, Model, ModelKey, Replica
from chatscale_gateway.routing.outcomes import Outcome
from tests.support.clock import virtual_time_loop

REPLICAS: Final = 8
CONVERSATIONS: Final = 200
SLOTS: Final = 16
KEPT_PREFIXES: Final = 40
"""Per replica. All replicas together keep each conversation 1.6 times."""
ARRIVALS_PER_S: Final = 38.0
MEAN_SERVICE_S: Final = 2.0
"""With these, 60 % of all slots are in use."""
REQUESTS: Final = 8000
WARM_UP: Final = 1000
SEEDS: Final = (1, 2, 3)
_READING_S: Final = 1.0
_KEY: Final = ModelKey("bench", "tiny")


@dataclass(frozen=True, slots=True)
class Routed:
    """One run, without its warm-up."""

    hit_rate: float
    """Share of the requests that met their prefix in the replica's cache."""
    requests_max_over_mean: float
    """Requests of the replica with the most, over the mean of all."""
    load_max_over_mean: float
    """Requests in flight of the fullest replica over the mean of all, at the mean arrival."""


@dataclass(slots=True)
class _Fleet:
    """The replicas, as they are."""

    running: Counter[str] = field(default_factory=Counter)
    served: Counter[str] = field(default_factory=Counter)
    kept: dict[str, OrderedDict[int, None]] = field(default_factory=dict)
    hits: int = 0
    imbalances: list[float] = field(default_factory=list)

    def begin(self, uid: str, conversation: int, *, counted: bool) -> None:
        """A request starts on a replica."""
        cache = self.kept.setdefault(uid, OrderedDict())
        hit = conversation in cache
        cache[conversation] = None
        cache.move_to_end(conversation)
        if len(cache) > KEPT_PREFIXES:
            cache.popitem(last=False)
        self.running[uid] += 1
        if counted:
            self.hits += hit
            self.served[uid] += 1
            self.imbalances.append(max(self.running.values()) * REPLICAS / self.running.total())


def route(strategy: RoutingStrategy, gateways: int) -> Routed:
    """Median over the seeds, of each number."""
    runs = []
    for seed in SEEDS:
        with asyncio.Runner(loop_factory=virtual_time_loop) as runner:
            runs.append(runner.run(_run(strategy, gateways, seed)))
    return Routed(
        median(run.hit_rate for run in runs),
        median(run.requests_max_over_mean for run in runs),
        median(run.load_max_over_mean for run in runs),
    )


def _catalog(strategy: RoutingStrategy) -> Catalog:
    model = Model(
        key=_KEY, uid="uid", served_name="tiny", created=datetime(2026, 1, 1, tzinfo=UTC),
        routing=RoutingSpec(strategy=strategy), slo=LatencyObjectives(), replicas=REPLICAS,
    )  # fmt: skip
    pods = tuple(
        Replica(f"uid-{number}", f"pod-{number}", "10.0.0.1", 8000, ready=True, leaving=False)
        for number in range(REPLICAS)
    )
    return Catalog({_KEY: model}, {_KEY: pods})


async def _run(strategy: RoutingStrategy, gateways: int, seed: int) -> Routed:
    loop = asyncio.get_running_loop()
    rng = random.Random(seed)
    fleet = _Fleet()
    dispatchers = [
        HoldingDispatcher(
            gateway=f"gateway-{number}", instance="i", now=loop.time, rng=random.Random(100 * seed + number),
            max_held_bytes=10**9,
        )
        for number in range(gateways)
    ]  # fmt: skip
    for dispatcher in dispatchers:
        dispatcher.catalog_changed(_catalog(strategy))
    reader = loop.create_task(_read_for_ever(dispatchers, fleet))
    weights = [1 / rank for rank in range(1, CONVERSATIONS + 1)]
    async with asyncio.TaskGroup() as group:
        for number in range(REQUESTS + WARM_UP):
            await asyncio.sleep(rng.expovariate(ARRIVALS_PER_S))
            conversation = rng.choices(range(CONVERSATIONS), weights)[0]
            service_s = rng.expovariate(1 / MEAN_SERVICE_S)
            request = _request(rng.choice(dispatchers), fleet, conversation, service_s, counted=number >= WARM_UP)
            group.create_task(request)
    reader.cancel()
    most = max(fleet.served.values())
    return Routed(fleet.hits / REQUESTS, most * REPLICAS / fleet.served.total(), fmean(fleet.imbalances))


async def _request(
    dispatcher: HoldingDispatcher, fleet: _Fleet, conversation: int, service_s: float, *, counted: bool
) -> None:
    loop = asyncio.get_running_loop()
    prefix = f"system\0You are agent {conversation}.".encode()
    lease = await dispatcher.lease(Arrival(_KEY, 2000, 400, streamed=True, arrived_s=loop.time(), prefix=prefix))
    uid = lease.replica.uid
    fleet.begin(uid, conversation, counted=counted)
    await asyncio.sleep(service_s)
    fleet.running[uid] -= 1
    lease.end(Outcome.COMPLETED, loop.time())


async def _read_for_ever(dispatchers: list[HoldingDispatcher], fleet: _Fleet) -> None:
    loop = asyncio.get_running_loop()
    while True:
        reports = {f"gateway-{number}": each.demand() for number, each in enumerate(dispatchers)}
        for dispatcher in dispatchers:
            loads: dict[str, ReplicaLoad | None] = {
                f"uid-{number}": ReplicaLoad(fleet.running[f"uid-{number}"], 0, SLOTS) for number in range(REPLICAS)
            }
            dispatcher.loads_read(loads, loop.time())
            dispatcher.peers_read(reports)
        await asyncio.sleep(_READING_S)
