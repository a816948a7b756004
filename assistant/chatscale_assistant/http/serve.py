"""Runs the HTTP server of one pod: listen, wait for SIGTERM, drain."""

import asyncio
import logging
import signal
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

from aiohttp import web

from chatscale_assistant.http.app import Handlers, build_app
from chatscale_assistant.http.boundary import RequestBoundary
from chatscale_assistant.http.lifecycle import Lifecycle
from chatscale_assistant.http.liveness import Heartbeat
from chatscale_assistant.http.options import HttpOptions
from chatscale_assistant.http.record import AccessLog, WriteLine, print_line
from chatscale_process.http.connection import Connection, unsent_bytes
from chatscale_process.http.open_requests import FLUSH_TIMEOUT_S

log = logging.getLogger(__name__)

BACKLOG: Final = 1024
"""Connections that the kernel queues while the loop is busy."""


@dataclass(frozen=True, slots=True)
class Server:
    """A listening server. `serve` waits for its end; tests control it directly."""

    lifecycle: Lifecycle
    port: int
    """The port that was bound."""


@asynccontextmanager
async def listening(
    handlers: Handlers,
    lifecycle: Lifecycle,
    heartbeat: Heartbeat,
    options: HttpOptions,
    *,
    host: str,
    port: int,
    write_line: WriteLine = print_line,
    clock: Callable[[], float] = time.monotonic,
) -> AsyncIterator[Server]:
    """Listen. Port 0 selects a free one."""
    loop = asyncio.get_running_loop()
    # Without handler_cancellation a handler that waits would not notice that its client has disconnected.
    runner = web.AppRunner(
        build_app(handlers, lifecycle), handler_cancellation=True, access_log=None, shutdown_timeout=FLUSH_TIMEOUT_S
    )
    await runner.setup()
    server = runner.server
    if server is None:
        raise RuntimeError("the runner is not set up")
    server.request_handler = RequestBoundary(server.request_handler, lifecycle, AccessLog(write_line), options, clock)
    lifecycle.requests.unsent_bytes = lambda: sum(unsent_bytes(connection) for connection in server.connections)
    # aiohttp's own sites create connections that answer invalid HTTP in plain text.
    listener = await loop.create_server(
        lambda: Connection(server, loop=loop, options=options), host, port, backlog=BACKLOG
    )
    lifecycle.stop_listening = listener.close
    try:
        async with asyncio.TaskGroup() as group:
            beats = group.create_task(heartbeat.run())
            try:
                yield Server(lifecycle, listener.sockets[0].getsockname()[1])
            finally:
                beats.cancel()
    finally:
        listener.close()
        await runner.cleanup()


async def serve(server: Server) -> None:
    """Wait for SIGTERM or SIGINT, then drain."""
    stop = asyncio.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(name, stop.set)
    log.info("listening", extra={"port": server.port})
    await stop.wait()
    await server.lifecycle.drain()
