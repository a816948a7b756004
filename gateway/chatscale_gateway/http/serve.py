"""Runs the HTTP servers of one gateway: the API, the admin port and the liveness port."""

import asyncio
import logging
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, nullcontext
from dataclasses import dataclass
from typing import Any, Final

from aiohttp import web
from prometheus_client import CollectorRegistry

from chatscale_contract.gateway.endpoints import ADMIN_PORT, API_PORT, LIVENESS_PORT
from chatscale_gateway import metrics
from chatscale_gateway.dispatch.interface import Dispatcher
from chatscale_gateway.http.access_log import AccessLog, WriteLine
from chatscale_gateway.http.admin import AdminHandlers, build_admin_app
from chatscale_gateway.http.app import build_app
from chatscale_gateway.http.authentication import Authentication
from chatscale_gateway.http.boundary import RequestBoundary
from chatscale_gateway.http.handlers import ApiHandlers
from chatscale_gateway.http.intake import Intake
from chatscale_gateway.http.lifecycle import Lifecycle
from chatscale_gateway.http.live import LiveFeed, LiveSource, running
from chatscale_gateway.http.liveness import Heartbeat, liveness
from chatscale_gateway.http.options import HttpOptions
from chatscale_gateway.http.relay import Relay
from chatscale_gateway.http.tls import Certificates
from chatscale_gateway.http.tracing import Tracing
from chatscale_gateway.upstream.interface import Upstream
from chatscale_process.http.connection import Connection, unsent_bytes
from chatscale_process.http.open_requests import FLUSH_TIMEOUT_S

log = logging.getLogger(__name__)

BACKLOG: Final = 4096
"""Connections that the kernel queues while the loop is busy."""


@dataclass(frozen=True, slots=True)
class Ports:
    """TCP ports; 0 selects a free one."""

    api: int = API_PORT
    admin: int = ADMIN_PORT
    liveness: int = LIVENESS_PORT


@dataclass(frozen=True, slots=True)
class Gateway:
    """The listening servers. `serve` waits for their end; tests control them directly."""

    lifecycle: Lifecycle
    ports: Ports
    """The ports that were bound."""


def print_line(line: str) -> None:
    """Write one line to standard output, as the logs."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


@asynccontextmanager
async def listening(
    dispatcher: Dispatcher,
    upstream: Upstream,
    options: HttpOptions,
    *,
    host: str,
    ports: Ports,
    write_line: WriteLine = print_line,
    clock: Callable[[], float] = time.monotonic,
    tracing: Tracing | None = None,
    certificates: Certificates | None = None,
    authentication: Authentication | None = None,
    live: LiveSource | None = None,
) -> AsyncIterator[Gateway]:
    """Listen on all ports. Discovery calls `lifecycle.catalog_complete` when the gateway can be ready.

    authentication: None lets everybody in.  live: None serves no live state.
    """
    loop = asyncio.get_running_loop()
    lifecycle = Lifecycle(dispatcher, options)
    handlers = ApiHandlers(dispatcher, Relay(dispatcher, upstream, options, clock), Intake(options), clock)
    feed = LiveFeed(live, options) if live else None
    # Without handler_cancellation a handler that waits would not notice that its client has disconnected.
    runner = web.AppRunner(
        build_app(handlers, lifecycle, options, authentication, feed),
        handler_cancellation=True, access_log=None, shutdown_timeout=FLUSH_TIMEOUT_S,
    )  # fmt: skip
    await runner.setup()
    server = runner.server
    if server is None:
        raise RuntimeError("the runner is not set up")
    server.request_handler = RequestBoundary(
        server.request_handler, lifecycle, AccessLog(write_line), options, clock, tracing
    )
    lifecycle.requests.unsent_bytes = lambda: sum(unsent_bytes(connection) for connection in server.connections)
    # aiohttp's own sites create connections that answer invalid HTTP in plain text.
    listener = await loop.create_server(
        lambda: Connection(server, loop=loop, options=options), host, ports.api, backlog=BACKLOG,
        **_tls_arguments(certificates, options),
    )  # fmt: skip
    lifecycle.stop_listening = listener.close
    try:
        async with (
            _admin(AdminHandlers(dispatcher, lifecycle, _registry(dispatcher)), host, ports.admin) as admin_port,
            liveness(Heartbeat(), host=host, port=ports.liveness) as liveness_port,
            running(feed) if feed else nullcontext(),
        ):
            yield Gateway(lifecycle, Ports(listener.sockets[0].getsockname()[1], admin_port, liveness_port))
    finally:
        listener.close()
        await runner.cleanup()


async def serve(gateway: Gateway) -> None:
    """Wait for SIGTERM or SIGINT, then drain."""
    stop = asyncio.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(name, stop.set)
    log.info("listening", extra={"port": gateway.ports.api})
    await stop.wait()
    await gateway.lifecycle.drain()


def _tls_arguments(certificates: Certificates | None, options: HttpOptions) -> dict[str, Any]:
    """The arguments of `create_server` for TLS on the API port; none without certificates."""
    if certificates is None:
        return {}
    return {"ssl": certificates.context, "ssl_handshake_timeout": options.request_timeout_s}


@asynccontextmanager
async def _admin(handlers: AdminHandlers, host: str, port: int) -> AsyncIterator[int]:
    runner = web.AppRunner(build_admin_app(handlers), access_log=None, shutdown_timeout=FLUSH_TIMEOUT_S)
    await runner.setup()
    try:
        site = web.TCPSite(runner, host, port)
        await site.start()
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


def _registry(dispatcher: Dispatcher) -> CollectorRegistry:
    """The counters of the process and the gauges of this dispatcher."""
    registry = CollectorRegistry()
    registry.register(metrics.REGISTRY)
    registry.register(metrics.DemandCollector(dispatcher.demand))
    return registry
