"""Builders for the server's tests: requests and engines whose steps the test controls."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp

from chatscale_contract.server.environment import EngineName
from chatscale_contract.server.profiles import Profile
from chatscale_server.engine.kv_memory import make_memory
from chatscale_server.engine.prefixes import SlotContents
from chatscale_server.engine.protocol import Engine
from chatscale_server.engine.request import Request
from chatscale_server.engine.scheduler import Scheduler
from chatscale_server.engine.simulated import SimulatedEngine
from chatscale_server.http.serve import Server, listening
from chatscale_server.http.tracing import Tracing
from chatscale_server.settings import Settings

FAST = Profile(c0_ms=0.1, c2_ms_per_token=0.0, c3_ms_per_kv_token=0.0, kv_tokens=100_000, tokens_per_step=512)
SETTINGS = Settings(
    served_name="m", chatmodel_name="c", engine=EngineName.SIMULATED, max_concurrency=2, max_queue=2, drain_delay_s=0.0
)


def a_request(
    request_id: str = "r", *, prompt: int = 3, max_tokens: int = 4, arrived_s: float = 0.0, queued_s: float = 0.0
) -> Request:
    return Request(
        id=request_id, prompt=tuple(range(prompt)), max_tokens=max_tokens, arrived_s=arrived_s, queued_s=queued_s
    )  # fmt: skip


def a_scheduler(
    slots: int = 2,
    capacity: int = 1000,
    tokens_per_step: int = 64,
    timeout_s: float = 10.0,
    *,
    page_tokens: int | None = None,
    reuse_prefixes: bool = False,
    burst_factor: int = 1,
) -> Scheduler:
    contents = SlotContents(slots)
    memory = make_memory(contents, capacity, page_tokens)
    return Scheduler(
        contents, memory, tokens_per_step, timeout_s, reuse_prefixes=reuse_prefixes, burst_factor=burst_factor
    )


class Gate:
    """Blocks the steps of a simulated engine while it is closed."""

    def __init__(self) -> None:
        self._open = threading.Event()
        self._permits = threading.Semaphore(0)

    def open(self) -> None:
        self._open.set()
        self._permits.release()

    def step(self) -> None:
        """Allow one step."""
        self._permits.release()

    def wait(self, _seconds: float) -> None:
        if not self._open.is_set():
            self._permits.acquire(timeout=20)


def gated_engine() -> tuple[SimulatedEngine, Gate]:
    """An engine that loads at once, and whose steps wait for the gate."""
    gate = Gate()
    gate.step()  # for load
    # With a constant clock every step sleeps, and none catches up.
    return SimulatedEngine(FAST, clock=lambda: 0.0, sleep=gate.wait), gate


@asynccontextmanager
async def a_server(
    engine: Engine | None = None,
    *,
    loaded: bool = True,
    tracing: Tracing | None = None,
    objectives_path: Path = Path("/nonexistent/slo.json"),
    **changes: object,
) -> AsyncIterator[tuple[Server, aiohttp.ClientSession]]:
    """The real application on a free port, with a client."""
    settings = SETTINGS.model_copy(update=changes)
    async with listening(
        engine or SimulatedEngine(FAST),
        settings,
        host="127.0.0.1",
        port=0,
        tracing=tracing,
        objectives_path=objectives_path,
        read_objectives_every_s=0.01,
    ) as server:
        if loaded:
            # A first import of transformers without its compiled files takes ten seconds alone.
            await asyncio.wait_for(server.bridge.loaded_or_failed.wait(), 60)
            if server.bridge.failure is not None:
                raise server.bridge.failure
        async with aiohttp.ClientSession(f"http://127.0.0.1:{server.port}") as client:
            yield server, client


async def eventually(condition: Callable[[], bool], within_s: float = 10.0) -> None:
    """Wait for the condition; fails at the deadline."""
    async with asyncio.timeout(within_s):
        while not condition():  # noqa: ASYNC110 - the condition often depends on another thread
            await asyncio.sleep(0.002)


def chat(**fields: object) -> dict[str, object]:
    return {"model": "m", "messages": [{"role": "user", "content": "Where is my order?"}], "max_tokens": 5, **fields}
