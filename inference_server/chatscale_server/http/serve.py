"""Run one replica from start to exit code: HTTP first, then the engine, then whatever ends it."""

import asyncio
import gc
import logging
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

from aiohttp import web

from chatscale_contract.server.exit_codes import ExitCode
from chatscale_server.engine.protocol import Engine
from chatscale_server.engine.worker import Worker
from chatscale_server.errors import StartupError
from chatscale_server.http.app import build_app
from chatscale_server.http.bridge import Bridge
from chatscale_server.http.connection import Connection
from chatscale_server.http.errors import openai_errors
from chatscale_server.http.lifecycle import FLUSH_TIMEOUT_S, Lifecycle, unsent_bytes
from chatscale_server.http.slo import Slo
from chatscale_server.http.tracing import Tracing, build_tracing
from chatscale_server.settings import Settings

log = logging.getLogger(__name__)

ENGINE_STOP_TIMEOUT_S: Final = 5.0
LOADING_GC_THRESHOLD: Final = 100_000
"""New objects per garbage collection until the replica is ready. The imports make four times as many, and all of them
stay: at Python's own 700 a seventh of their time went into looking through them again and again."""
BACKLOG: Final = 1024
"""Connections that the kernel keeps while the loop is busy: a burst must get its 429, not a reset."""


@dataclass(frozen=True, slots=True)
class Server:
    """A server that is listening; tests drive it, `serve` waits for its end."""

    bridge: Bridge
    lifecycle: Lifecycle
    worker: Worker
    port: int
    stop: asyncio.Event
    """Set by SIGTERM and SIGINT."""


@asynccontextmanager
async def listening(
    engine: Engine,
    settings: Settings,
    *,
    host: str,
    port: int,
    tracing: Tracing | None = None,
) -> AsyncIterator[Server]:
    """Listen, and start the engine's thread; port 0 picks a free one."""
    bridge = Bridge(
        settings.max_concurrency,
        settings.max_queue,
        queue_timeout_s=settings.queue_timeout_s,
        max_waiting_prompt_tokens=settings.max_waiting_prompt_tokens,
        slo=Slo(settings.slo_ttft_s, settings.slo_tpot_s),
    )
    lifecycle = Lifecycle(bridge, settings.drain_delay_s, settings.drain_timeout_s)
    worker = Worker(engine, bridge, settings.max_concurrency, settings.queue_timeout_s)
    bridge.attach(worker, asyncio.get_running_loop())
    app = build_app(engine, bridge, lifecycle, settings, tracing)
    # Without handler_cancellation a handler that is not writing would never learn that its client has left.
    runner = web.AppRunner(app, handler_cancellation=True, access_log=None, shutdown_timeout=FLUSH_TIMEOUT_S)
    await runner.setup()
    loop, front = asyncio.get_running_loop(), _front(runner)
    lifecycle.unsent_bytes = lambda: sum(unsent_bytes(connection) for connection in front.connections)
    # A site of aiohttp's would make its own connections, which answer what is not HTTP in plain text.
    listener = await loop.create_server(
        lambda: Connection(front, loop=loop, access_log=None),  # type: ignore[arg-type]  # as AppRunner takes it
        host,
        port,
        backlog=BACKLOG,
    )
    worker.start()
    try:
        yield Server(bridge, lifecycle, worker, listener.sockets[0].getsockname()[1], asyncio.Event())
    finally:
        listener.close()
        await runner.cleanup()
        await asyncio.to_thread(worker.stop, ENGINE_STOP_TIMEOUT_S if bridge.info else 0.0)
        if tracing:
            await asyncio.to_thread(tracing.close)


def _front(runner: web.AppRunner) -> web.Server:
    """The server that aiohttp made, with our errors around all that it does for a request."""
    front = runner.server
    if front is None:
        raise RuntimeError("setup() comes first")
    front.request_handler = openai_errors(front.request_handler)
    return front


def rest_collector() -> Callable[[], None]:
    """Let the garbage collector rest while a model loads; call what this gives once it is loaded."""
    thresholds = gc.get_threshold()
    gc.set_threshold(LOADING_GC_THRESHOLD)

    def keep_what_is_loaded() -> None:
        # Else a full collection would hold up every stream for a fifth of a second, to find nothing to throw away.
        gc.freeze()
        gc.set_threshold(*thresholds)

    return keep_what_is_loaded


async def serve(engine: Engine, settings: Settings, *, host: str, port: int) -> None:
    """Serve until SIGTERM has been obeyed. Raises StartupError when the model or the engine fails."""
    keep_what_is_loaded = rest_collector()
    tracing = build_tracing(settings.otlp_endpoint)
    async with listening(engine, settings, host=host, port=port, tracing=tracing) as server:
        loop = asyncio.get_running_loop()
        for name in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(name, server.stop.set)
        log.info("listening", extra={"port": server.port, "engine": settings.engine, "model": settings.served_name})
        await run_to_end(server, keep_what_is_loaded)


async def run_to_end(server: Server, when_ready: Callable[[], None] = lambda: None) -> None:
    """Wait for a stop signal, then drain; or for a failure, then raise it as StartupError."""
    async with asyncio.TaskGroup() as tasks:
        failed = tasks.create_task(server.bridge.failed_event.wait())
        stopped = tasks.create_task(server.stop.wait())
        ready = tasks.create_task(_await_ready(server.bridge, when_ready))
        await asyncio.wait({failed, stopped}, return_when=asyncio.FIRST_COMPLETED)
        # kubelet's SIGTERM after /livez said so: there is nothing to drain, and the exit code tells why.
        server.bridge.give_up_if_stuck()
        if not server.bridge.failed_event.is_set():
            drained = tasks.create_task(server.lifecycle.drain())
            await asyncio.wait({failed, drained}, return_when=asyncio.FIRST_COMPLETED)
            drained.cancel()
        for task in (failed, stopped, ready):
            task.cancel()
    if server.bridge.failure is not None:
        await server.lifecycle.flush()
        raise _as_startup_error(server.bridge.failure)


async def _await_ready(bridge: Bridge, when_ready: Callable[[], None]) -> None:
    await bridge.loaded_or_failed.wait()
    if bridge.info is not None:
        when_ready()
        log.info("ready", extra={"phases_s": bridge.counts.startup_phase_s, "max_model_len": bridge.info.max_model_len})


def _as_startup_error(failure: BaseException) -> StartupError:
    if isinstance(failure, StartupError):
        return failure
    log.error("engine failed", exc_info=failure)
    return StartupError(ExitCode.ENGINE_FAILED, f"the engine failed: {type(failure).__name__}: {failure}")
