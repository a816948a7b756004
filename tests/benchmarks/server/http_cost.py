"""What HTTP and SSE cost: the same work over HTTP and in the engine's bare loop, in turn and in one process.

Each start of our server measures for itself how it packs weights and how long a step may be, so that two processes
differ by more than what is looked for here.
"""

import asyncio
import json
import os
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from hack.paths import ROOT
from tests.benchmarks.server.client import ask, measure, session
from tests.benchmarks.server.peers import COMMON_ENV, START_TIMEOUT_S, STOP_TIMEOUT_S, Peer
from tests.benchmarks.server.workload import Ask, Cell, turned

CELL_TIMEOUT_S = 600.0


@dataclass(frozen=True, slots=True)
class Pair:
    """One cell in one round, in tokens per second."""

    over_http: float
    bare: float

    @property
    def cost_ratio(self) -> float:
        """Of the bare loop's speed, how much HTTP takes; negative if it was the faster one."""
        return 1 - self.over_http / self.bare


async def http_costs(peer: Peer, cells: Sequence[Cell], number: int) -> list[Pair]:
    """Both ways through each cell; who begins changes from cell to cell and, by its number, from round to round."""
    pairs = []
    async with _both(peer) as (process, base_url):
        async with session(base_url) as http:
            await ask(http, peer.model, Ask("Hello, is my order 17 on its way?", 4))
        for at, cell in enumerate(cells):
            if (number + at) % 2:
                bare = await _bare(process, turned(cell))
                over_http = (await measure(base_url, peer.model, cell)).tokens_per_s
            else:
                over_http = (await measure(base_url, peer.model, cell)).tokens_per_s
                bare = await _bare(process, turned(cell))
            pairs.append(Pair(over_http, bare))
    return pairs


@asynccontextmanager
async def _both(peer: Peer) -> AsyncIterator[tuple[Process, str]]:
    """Our server and the line to its bare loop; see without_http."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.benchmarks.server.without_http", "bare",
        env={**os.environ, **COMMON_ENV, **peer.env}, cwd=ROOT, stdin=PIPE, stdout=PIPE,
    )  # fmt: skip
    try:
        yield process, f"http://127.0.0.1:{int(await _line(process, START_TIMEOUT_S))}"
        # An empty input, unlike none, is closed after it was sent, and that ends the server.
        await asyncio.wait_for(process.communicate(b""), STOP_TIMEOUT_S)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def _bare(process: Process, cell: Cell) -> float:
    asked = json.dumps([cell.clients, [[one.prompt, one.max_tokens] for one in cell.asks]])
    assert process.stdin is not None
    process.stdin.write(asked.encode() + b"\n")
    await process.stdin.drain()
    return float(await _line(process, CELL_TIMEOUT_S))


async def _line(process: Process, timeout_s: float) -> bytes:
    assert process.stdout is not None
    line = await asyncio.wait_for(process.stdout.readline(), timeout_s)
    if not line:
        raise RuntimeError(f"our server without HTTP ended with code {await process.wait()}")
    return line
