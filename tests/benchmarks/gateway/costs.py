"""CPU time and latency of every peer, in rounds: each round measures all peers one after the other."""

import asyncio
import sys
import tempfile
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Final

from tests.benchmarks.gateway.client import Load, send, session
from tests.benchmarks.gateway.peers import BARE, DIRECT, Peer
from tests.benchmarks.gateway.processes import Process, free_port, module, running

ALONE: Final = Load("one client, answers", clients=1, requests=300, streamed=False)
BUSY: Final = Load("16 clients, answers", clients=16, requests=1000, streamed=False)
STREAMS: Final = Load("16 clients, streams", clients=16, requests=240, streamed=True)
LOADS: Final = (ALONE, BUSY, STREAMS)
_SETTLE_S: Final = 0.2


@dataclass(frozen=True, slots=True)
class Cost:
    """One peer under one load in one round."""

    cpu_s: float
    """CPU seconds of the proxy per request; 0 without a proxy."""
    p50_s: float
    p95_s: float


_Started = tuple[str, Process | None, str, float]
Round = dict[str, Cost]
"""By peer."""


@dataclass(slots=True)
class Costs:
    """The rounds by name of the load. Ratios are computed in each round; their median counts."""

    rounds: dict[str, list[Round]] = field(default_factory=dict)

    def peers(self) -> list[str]:
        """In the order of the page."""
        return list(next(iter(self.rounds.values()))[0])

    def middle(self, load: Load, peer: str, value: Callable[[Cost], float]) -> float:
        """Median over the rounds."""
        return median(value(each[peer]) for each in self.rounds[load.name])

    def cpu_ratio(self, load: Load, peer: str) -> float:
        """CPU time per request, over that of the bare proxy."""
        return median(each[peer].cpu_s / each[BARE].cpu_s for each in self.rounds[load.name])

    def added_s(self, load: Load, peer: str, value: Callable[[Cost], float]) -> float:
        """Latency minus that of the direct requests in the same round."""
        return median(value(each[peer]) - value(each[DIRECT]) for each in self.rounds[load.name])

    def added_ratio(self, load: Load, peer: str) -> float:
        """Added p50, over that of the bare proxy. Of the medians: the difference of one round can be near 0."""
        return self.added_s(load, peer, lambda cost: cost.p50_s) / self.added_s(load, BARE, lambda cost: cost.p50_s)

    def cpu_ratios(self, load: Load, peer: str) -> list[float]:
        """`cpu_ratio` of each round."""
        return [each[peer].cpu_s / each[BARE].cpu_s for each in self.rounds[load.name]]

    def added_ratios(self, load: Load, peer: str) -> list[float]:
        """`added_ratio` of each round."""
        return [Costs({load.name: [each]}).added_ratio(load, peer) for each in self.rounds[load.name]]


async def measure_costs(peers: Sequence[Peer], rounds: int, loads: Sequence[Load] = LOADS) -> Costs:
    """Measure all peers in `rounds` rounds. Each round begins with another peer."""
    costs = Costs({load.name: [{} for _ in range(rounds)] for load in loads})
    with tempfile.TemporaryDirectory() as folder:
        async with AsyncExitStack() as stack:
            port = free_port()
            replica = await stack.enter_async_context(running(module("replica", port), port))
            started: list[_Started] = [(DIRECT, None, replica.url, 1.0)]
            for peer in peers:
                proxy = await stack.enter_async_context(peer.start(port, Path(folder)))
                started.append((peer.name, proxy, proxy.url, peer.share))
            for _, process, url, share in started:
                await _warm_up(process, url, share)
            for number in range(rounds):
                first = number % len(started)
                found: dict[str, dict[str, Cost]] = {}
                for name, process, url, share in started[first:] + started[:first]:
                    found[name] = {load.name: await _measure(load, process, url, share) for load in loads}
                for load in loads:
                    costs.rounds[load.name][number].update({each[0]: found[each[0]][load.name] for each in started})
                print(f"round {number + 1} of {rounds}", file=sys.stderr, flush=True)
    return costs


async def _warm_up(process: Process | None, url: str, share: float) -> None:
    for load in LOADS:
        await _measure(Load(load.name, load.clients, max(load.clients, load.requests // 5), load.streamed),
                       process, url, share)  # fmt: skip


async def _measure(load: Load, process: Process | None, url: str, share: float) -> Cost:
    requests = max(load.clients, int(load.requests * share))
    await asyncio.sleep(_SETTLE_S)
    async with session() as http:
        before_s = process.cpu_s() if process else 0.0
        latency = await send(http, url, load, requests)
        used_s = (process.cpu_s() if process else 0.0) - before_s
    return Cost(used_s / requests, latency.p50_s, latency.p95_s)
