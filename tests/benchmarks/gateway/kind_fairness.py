"""How much a batch key delays a live key on the kind cluster: real gateways, replicas and streams.

The chart is installed already. The namespace with the ChatModel and the keys is new and is deleted at the end.
"""

import asyncio
import random
import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from secrets import token_hex
from typing import Final

import aiohttp

from chatscale.names import API_VERSION, KIND
from chatscale_contract.openai import sse
from chatscale_contract.server.endpoints import CHAT_COMPLETIONS_PATH
from hack import keys, kube
from tests.benchmarks.gateway.fairness import BATCH_PRIORITY
from tests.benchmarks.gateway.kind_results import (
    BATCH,
    BATCH_PER_S,
    LIVE,
    LIVE_PER_S,
    PROFILE,
    REPLICAS,
    SLOTS,
    Beside,
    KindFairness,
    Run,
    Shape,
)
from tests.benchmarks.server.machine import describe, load_average, processor_seconds
from tests.e2e.support import Model, gateway_url
from tests.support.cluster_lock import operator_shared

ROUNDS: Final = 3
RUN_S: Final = 30.0
WARM_UP_S: Final = 8.0
"""The batch key alone, longer than one of its answers. It begins with as many requests as there are slots."""
_PAUSE_S: Final = 3.0
"""After each run: the gateways read that all slots are free."""
_NAME: Final = "fairness"
_READY_WITHIN_S: Final = 180.0
_REQUEST_TIMEOUT_S: Final = 120.0
_PRIORITIES: Final = {Beside.BACKGROUND: BATCH_PRIORITY, Beside.EQUAL: 0}
_TEXT: Final = re.compile(rb'"content":"[^"]')
"""The first chunk has only the role."""
_TAIL_BYTES: Final = 2048
"""Holds the last events of a stream."""


def measure_kind_fairness(rounds: int = ROUNDS, seconds: float = RUN_S) -> KindFairness:
    """All rounds. Each begins with another kind of run."""
    facts = dict(describe("cpu"))
    namespace = f"fairness-{token_hex(3)}"
    with operator_shared():
        kube.kubectl("create", "namespace", namespace)
        try:
            world = _prepare(namespace)
            found = tuple(_round(world, number, seconds) for number in range(rounds))
        finally:
            kube.delete_namespace(namespace)
    return KindFairness(found, seconds, facts["CPU"], f"{facts['date']}, revision {facts['revision']}")


@dataclass(frozen=True, slots=True)
class _World:
    url: str
    model: str
    """As requests name it."""
    live_key: str
    batch_keys: Mapping[Beside, str]


def _prepare(namespace: str) -> _World:
    """A ChatModel that is ready, and keys that all gateways accept."""
    model = Model(_chatmodel(namespace))
    model.apply()
    url = gateway_url()
    live_key = keys.create_key("live", namespace, "--priority=0")
    batch_keys = {
        beside: keys.create_key(f"batch-{beside}", namespace, f"--priority={priority}")
        for beside, priority in _PRIORITIES.items()
    }
    for key in (live_key, *batch_keys.values()):
        keys.wait_until_accepted(url, key)
    model.wait_ready(REPLICAS, within_s=_READY_WITHIN_S)
    return _World(url, f"{namespace}/{_NAME}", live_key, batch_keys)


def _round(world: _World, number: int, seconds: float) -> dict[Beside, Run]:
    order = list(Beside)
    first = number % len(order)
    found: dict[Beside, Run] = {}
    for beside in order[first:] + order[:first]:
        found[beside] = run = asyncio.run(_run(world, beside, number, seconds))
        times = sorted(run.ttfts_s)
        print(
            f"round {number + 1}, {beside}: {len(times)} answered, {run.failed} failed, batch {run.batch_answered}; "
            f"TTFT p50 {times[len(times) // 2]:.3f} s, maximum {times[-1]:.3f} s; "
            f"load average {run.load_average}, busy {run.busy:.0%}",
            flush=True,
        )
    return {beside: found[beside] for beside in Beside}


@dataclass(slots=True)
class _Sender:
    """Sends the requests of one key and keeps their times."""

    http: aiohttp.ClientSession
    model: str
    key: str
    shape: Shape
    rng: random.Random
    ttfts_s: list[float] = field(default_factory=list)
    answered: int = 0
    failed: int = 0

    async def send(self, per_s: float, seconds: float, at_once: int = 0) -> None:
        """Poisson arrivals after `at_once` requests. Waits for all answers."""
        loop = asyncio.get_running_loop()
        due_s = loop.time()
        async with asyncio.TaskGroup() as group:
            for _ in range(at_once):
                group.create_task(self._request())
            for at_s in _arrivals(self.rng, per_s, seconds):
                await asyncio.sleep(max(0.0, due_s + at_s - loop.time()))
                group.create_task(self._request())

    async def _request(self) -> None:
        body = {
            "model": self.model,
            "messages": [{"role": "user", "content": _prompt(self.rng, self.shape.prompt_tokens)}],
            "max_tokens": self.shape.answer_tokens,
            "stream": self.shape.streamed,
        }
        began_s = time.perf_counter()
        try:
            async with self.http.post(CHAT_COMPLETIONS_PATH, json=body, headers=keys.bearer(self.key)) as response:
                first_s, whole = await _read(response, streamed=self.shape.streamed)
        except (aiohttp.ClientError, TimeoutError):
            self.failed += 1
            return
        if first_s is None or not whole:
            self.failed += 1
            return
        self.answered += 1
        self.ttfts_s.append(round(first_s - began_s, 4))


async def _run(world: _World, beside: Beside, seed: int, seconds: float) -> Run:
    """The live key for `seconds`, beside a batch key that began before it. Batch requests are cancelled at the end."""
    # Each request opens its own connection, so that kube-proxy selects a gateway for each.
    connector = aiohttp.TCPConnector(force_close=True, limit=0)
    timeout = aiohttp.ClientTimeout(total=_REQUEST_TIMEOUT_S)
    async with aiohttp.ClientSession(world.url, connector=connector, timeout=timeout) as http:
        live = _Sender(http, world.model, world.live_key, LIVE, random.Random(f"live {seed}"))
        batch: _Sender | None = None
        async with asyncio.TaskGroup() as group:
            sending: asyncio.Task[None] | None = None
            if beside in world.batch_keys:
                batch = _Sender(http, world.model, world.batch_keys[beside], BATCH, random.Random(f"batch {seed}"))
                lasts_s = WARM_UP_S + seconds + _REQUEST_TIMEOUT_S
                sending = group.create_task(batch.send(BATCH_PER_S, lasts_s, REPLICAS * SLOTS))
                await asyncio.sleep(WARM_UP_S)
            before = processor_seconds()
            await live.send(LIVE_PER_S, seconds)
            after = processor_seconds()
            if sending is not None:
                sending.cancel()
    await asyncio.sleep(_PAUSE_S)
    return Run(
        ttfts_s=tuple(live.ttfts_s),
        failed=live.failed,
        batch_answered=batch.answered if batch is not None else 0,
        load_average=round(load_average(), 2),
        busy=round(1 - (after[1] - before[1]) / max(after[0] - before[0], 1e-9), 3),
    )


async def _read(response: aiohttp.ClientResponse, *, streamed: bool) -> tuple[float | None, bool]:
    """When its first text came, on the clock of `time.perf_counter`, and whether the answer is complete."""
    if response.status != HTTPStatus.OK:
        return None, False
    if not streamed:
        await response.read()
        return time.perf_counter(), True
    first_s, tail = None, b""
    async for part in response.content.iter_any():
        tail = (tail + part)[-_TAIL_BYTES:]
        if first_s is None and _TEXT.search(tail):
            first_s = time.perf_counter()
    return first_s, tail.endswith(sse.DONE)


def _arrivals(rng: random.Random, per_s: float, seconds: float) -> Iterator[float]:
    at_s = rng.expovariate(per_s)
    while at_s < seconds:
        yield at_s
        at_s += rng.expovariate(per_s)


def _prompt(rng: random.Random, tokens: int) -> str:
    """Words of one token each. Every prompt differs from its first word on, so no prefix is used again."""
    return " ".join(f"{word:04x}" for word in rng.choices(range(16**4), k=tokens))


def _chatmodel(namespace: str) -> kube.Manifest:
    return {
        "apiVersion": API_VERSION,
        "kind": KIND,
        "metadata": {"name": _NAME, "namespace": namespace},
        "spec": {
            "model": {"uri": "hf://example/customer-service"},
            "device": "CPU",
            "server": {
                "engine": "Simulated",
                "simulated": {"profile": PROFILE, "startupSeconds": 1},
                "maxConcurrency": SLOTS,
            },
            "resources": {"requests": {"cpu": "20m", "memory": "64Mi"}, "limits": {"memory": "256Mi"}},
            "replicas": REPLICAS,
            "autoscaling": {"mode": "Fixed"},
        },
    }
