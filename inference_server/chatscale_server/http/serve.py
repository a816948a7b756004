"""Runs one replica: build the application, listen, start the engine, wait for the end.

HTTP comes first, so that probes answer while the model loads.
"""

import asyncio
import gc
import logging
import signal
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from aiohttp import web

from chatscale_contract.server import endpoints
from chatscale_contract.server.exit_codes import ExitCode
from chatscale_contract.server.load import LOAD_PATH
from chatscale_contract.server.slo import LatencyObjectives
from chatscale_server.engine.encoding import Task
from chatscale_server.engine.protocol import Engine
from chatscale_server.engine.worker import Worker
from chatscale_server.errors import StartupError
from chatscale_server.http.bridge import Bridge
from chatscale_server.http.encoding import EncodingHandlers, Handler, only_for
from chatscale_server.http.handlers import CompletionHandlers, TokenizationHandlers
from chatscale_server.http.lifecycle import FLUSH_TIMEOUT_S, Lifecycle, ProbeHandlers
from chatscale_server.http.objectives import READ_EVERY_S, ObjectivesFile
from chatscale_server.http.preparation import RequestPreparation, SchemaCompiler
from chatscale_server.http.response_headers import headers_hook, preflight
from chatscale_server.http.tracing import Tracing, build_tracing
from chatscale_server.http.transport import MAX_BODY_BYTES, Connection, UploadBudget, openai_errors, unsent_bytes
from chatscale_server.metrics import build_registry
from chatscale_server.settings import Settings

log = logging.getLogger(__name__)

ENGINE_STOP_TIMEOUT_S: Final = 5.0
LOADING_GC_THRESHOLD: Final = 100_000
"""New objects per garbage collection until the replica is ready. The imports create four times as many, and all stay
alive: with Python's default of 700 the repeated collections took a seventh of the import time."""
BACKLOG: Final = 1024
"""Connections that the kernel queues while the loop is busy, so that a burst gets 429 and no connection reset."""


@dataclass(frozen=True, slots=True)
class Server:
    """A listening server. `serve` waits for its end; tests control it directly."""

    bridge: Bridge
    lifecycle: Lifecycle
    worker: Worker
    port: int
    stop: asyncio.Event
    """Set by SIGTERM and SIGINT."""


def build_app(
    engine: Engine, bridge: Bridge, lifecycle: Lifecycle, settings: Settings, tracing: Tracing | None
) -> web.Application:
    """The aiohttp application: routes and their handlers."""
    registry = build_registry(
        bridge.counts, lifecycle.state, model_name=settings.served_name, chatmodel=settings.chatmodel_name
    )
    probes = ProbeHandlers(lifecycle, registry)
    uploads = UploadBudget(bridge.counts)
    lifecycle.close_uploads = uploads.close
    preparation = RequestPreparation(engine, bridge, lifecycle, settings.served_name, uploads)
    completions = CompletionHandlers(preparation, SchemaCompiler(engine), int(time.time()), tracing)
    tokenization = TokenizationHandlers(preparation)
    encoding = EncodingHandlers(preparation, tracing)

    def only(task: Task, handler: Handler) -> Handler:
        return only_for(task, bridge, settings.served_name, handler)

    app = web.Application(client_max_size=MAX_BODY_BYTES)
    app.on_response_prepare.append(headers_hook(settings.cors_origins, lambda: lifecycle.leaving))
    if settings.cors_origins:
        app.router.add_options("/{path:.*}", preflight)
    app.router.add_post(endpoints.CHAT_COMPLETIONS_PATH, only(Task.GENERATE, completions.chat))
    app.router.add_post(endpoints.COMPLETIONS_PATH, only(Task.GENERATE, completions.complete))
    app.router.add_post(endpoints.EMBEDDINGS_PATH, only(Task.EMBED, encoding.embed))
    app.router.add_post(endpoints.CLASSIFY_PATH, only(Task.CLASSIFY, encoding.classify))
    app.router.add_post(endpoints.TOKENIZE_PATH, tokenization.tokenize)
    app.router.add_post(endpoints.DETOKENIZE_PATH, tokenization.detokenize)
    app.router.add_get(endpoints.MODELS_PATH, completions.models)
    app.router.add_get(f"{endpoints.MODELS_PATH}/{{name:.+}}", completions.model)
    app.router.add_get(endpoints.METRICS_PATH, probes.metrics)
    app.router.add_get(LOAD_PATH, probes.load)
    app.router.add_get(endpoints.LIVEZ_PATH, probes.livez)
    app.router.add_get(endpoints.READYZ_PATH, probes.readyz)
    # The names that other servers and platforms use: vLLM, SageMaker.
    app.router.add_get("/health", probes.readyz)
    app.router.add_get("/ping", probes.readyz)
    app.router.add_post("/ping", probes.readyz)
    app.router.add_get("/version", probes.version)
    return app


@asynccontextmanager
async def listening(
    engine: Engine,
    settings: Settings,
    *,
    host: str,
    port: int,
    tracing: Tracing | None = None,
    objectives_path: Path = Path(endpoints.SLO_FILE_PATH),
    read_objectives_every_s: float = READ_EVERY_S,
) -> AsyncIterator[Server]:
    """Listen and start the engine's thread. Port 0 selects a free port."""
    bridge = Bridge(
        settings.max_concurrency,
        settings.max_queue,
        queue_timeout_s=settings.queue_timeout_s,
        max_waiting_prompt_tokens=settings.max_waiting_prompt_tokens,
        objectives=LatencyObjectives(settings.slo_ttft_milliseconds / 1000, settings.slo_tpot_milliseconds / 1000),
    )
    lifecycle = Lifecycle(bridge, settings.drain_delay_s, settings.drain_timeout_s)
    worker = Worker(engine, bridge, settings.max_concurrency, settings.queue_timeout_s)
    bridge.attach(worker, asyncio.get_running_loop())
    app = build_app(engine, bridge, lifecycle, settings, tracing)
    app.cleanup_ctx.append(ObjectivesFile(objectives_path, bridge, read_objectives_every_s).follow)
    # Without handler_cancellation a handler that does not write would not notice that its client has disconnected.
    runner = web.AppRunner(app, handler_cancellation=True, access_log=None, shutdown_timeout=FLUSH_TIMEOUT_S)
    await runner.setup()
    loop, server = asyncio.get_running_loop(), _request_server(runner)
    lifecycle.unsent_bytes = lambda: sum(
        unsent_bytes(getattr(connection, "transport", None)) for connection in server.connections
    )

    def shorten_write_timeouts() -> None:
        for connection in list(server.connections):
            if isinstance(connection, Connection):
                connection.shorten_write_timeout()

    lifecycle.shorten_write_timeouts = shorten_write_timeouts
    # aiohttp's own sites create connections that answer invalid HTTP in plain text.
    listener = await loop.create_server(
        lambda: Connection(server, loop=loop),
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


def _request_server(runner: web.AppRunner) -> web.Server:
    """Aiohttp's server, with `openai_errors` around its whole request handling."""
    server = runner.server
    if server is None:
        raise RuntimeError("setup() must be called first")
    server.request_handler = openai_errors(server.request_handler)
    return server


def reduce_garbage_collection() -> Callable[[], None]:
    """Collect less often while a model loads. Call the returned function when it is loaded."""
    thresholds = gc.get_threshold()
    gc.set_threshold(LOADING_GC_THRESHOLD)

    def freeze_loaded_objects() -> None:
        # Otherwise a full collection would block all streams for 0.2 s and free nothing.
        gc.freeze()
        gc.set_threshold(*thresholds)

    return freeze_loaded_objects


async def serve(engine: Engine, settings: Settings, *, host: str, port: int) -> None:
    """Serve until SIGTERM, then drain. Raises StartupError if the model or the engine fails."""
    freeze_loaded_objects = reduce_garbage_collection()
    tracing = build_tracing(settings.otlp_endpoint)
    async with listening(engine, settings, host=host, port=port, tracing=tracing) as server:
        loop = asyncio.get_running_loop()
        for name in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(name, server.stop.set)
        log.info("listening", extra={"port": server.port, "engine": settings.engine, "model": settings.served_name})
        await run_to_end(server, freeze_loaded_objects)


async def run_to_end(server: Server, when_ready: Callable[[], None] = lambda: None) -> None:
    """Wait for a stop signal, then drain; or for a failure, and raise it as StartupError."""
    async with asyncio.TaskGroup() as tasks:
        failed = tasks.create_task(server.bridge.failed_event.wait())
        stopped = tasks.create_task(server.stop.wait())
        ready = tasks.create_task(_await_ready(server.bridge, when_ready))
        await asyncio.wait({failed, stopped}, return_when=asyncio.FIRST_COMPLETED)
        # If the kubelet sent SIGTERM because /livez failed, there is nothing to drain; the exit code gives the reason.
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
        log.info(
            "ready",
            extra={
                "phases_s": bridge.counts.startup_phase_s,
                "max_model_len": bridge.info.max_model_len,
                "slots": bridge.slots,
            },
        )


def _as_startup_error(failure: BaseException) -> StartupError:
    if isinstance(failure, StartupError):
        return failure
    log.error("engine failed", exc_info=failure)
    return StartupError(ExitCode.ENGINE_FAILED, f"the engine failed: {type(failure).__name__}: {failure}")
