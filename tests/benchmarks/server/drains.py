"""SIGTERM under load, again and again: every request that came before the endpoint was withdrawn is answered whole."""

import asyncio
import random
import time
from collections import Counter
from collections.abc import Callable
from typing import Final

import aiohttp

from tests.benchmarks.server.client import BadAnswerError, ask, session
from tests.benchmarks.server.peers import STOP_TIMEOUT_S, Peer, running
from tests.benchmarks.server.workload import Ask

CLIENTS: Final = 40
"""Eight more than there are slots, so that some still wait in the queue when SIGTERM comes."""
WITHDRAWN_AFTER: Final = 0.8
"""Of the server's drain delay: then no new request comes, as when a Service's endpoints have been withdrawn."""


async def drains(
    peer: Peer, times: int, drain_delay_s: float, tell: Callable[[str], None]
) -> tuple[int, int, Counter[str]]:
    """Drain `times` servers; (requests answered, of them open when SIGTERM came, what happened to the others)."""
    rng = random.Random(1)
    answered, open_at_signal, losses = 0, 0, Counter[str]()
    for at in range(times):
        whole, caught, lost = await _drain_once(peer, drain_delay_s, rng)
        answered, open_at_signal = answered + whole, open_at_signal + caught
        losses += lost
        tell(f"drain {at + 1}/{times}: {whole} answered, {caught} of them open at SIGTERM, lost: {dict(lost) or 0}")
    return answered, open_at_signal, losses


async def _drain_once(peer: Peer, drain_delay_s: float, rng: random.Random) -> tuple[int, int, Counter[str]]:
    answered, caught, losses = 0, 0, Counter[str]()
    until_s, signal_s = float("inf"), float("inf")

    async def customer(http: aiohttp.ClientSession, number: int) -> None:
        nonlocal answered, caught
        own = random.Random(number)
        while time.monotonic() < until_s:
            sent_s = time.monotonic()
            asked = Ask("Where is my order? " * own.randint(1, 8), own.randint(4, 64))
            try:
                await ask(http, peer.model, asked)
            except (BadAnswerError, aiohttp.ClientError, TimeoutError) as error:
                losses[f"{type(error).__name__}: {error}"[:120]] += 1
            else:
                answered += 1
                caught += sent_s < signal_s <= time.monotonic()

    async with running(peer) as server, session(server.base_url) as http, asyncio.TaskGroup() as group:
        for number in range(CLIENTS):
            group.create_task(customer(http, number))
        await asyncio.sleep(0.5 + rng.random())
        signal_s = time.monotonic()
        until_s = signal_s + WITHDRAWN_AFTER * drain_delay_s
        server.process.terminate()
        code = await asyncio.to_thread(server.process.wait, STOP_TIMEOUT_S)
        if code != 0:
            losses[f"exit code {code}"] += 1
    return answered, caught, losses
