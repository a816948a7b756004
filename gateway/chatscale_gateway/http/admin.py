"""Handlers of the admin port: metrics, readiness, and the demand report for the operator and for peers."""

import asyncio
from dataclasses import dataclass, replace
from typing import Final

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

from chatscale_contract.gateway.endpoints import DEMAND_PATH
from chatscale_contract.server.endpoints import METRICS_PATH, READYZ_PATH
from chatscale_gateway.dispatch.interface import Dispatcher
from chatscale_gateway.http.lifecycle import Lifecycle

MAX_WAIT_S: Final = 5.0


@dataclass(frozen=True, slots=True)
class AdminHandlers:
    """Handlers of the admin port. Clients cannot reach it through the Service."""

    dispatcher: Dispatcher
    lifecycle: Lifecycle
    registry: CollectorRegistry

    async def metrics(self, _http: web.Request) -> web.Response:
        """The Prometheus text exposition."""
        return web.Response(body=generate_latest(self.registry), headers={"Content-Type": CONTENT_TYPE_LATEST})

    async def readyz(self, _http: web.Request) -> web.Response:
        """200 once catalog, keys and peers have been read, until SIGTERM."""
        if self.lifecycle.ready:
            return web.Response(text="ready\n")
        return web.Response(status=503, text="leaving\n" if self.lifecycle.leaving else "no complete catalog yet\n")

    async def demand(self, http: web.Request) -> web.Response:
        """A `GatewayDemand`; the contract describes `wake_seq`, `wait_s` and `keys`."""
        seen, wait_s = _number(http, "wake_seq"), _number(http, "wait_s")
        if seen is not None and wait_s is not None:
            try:
                async with asyncio.timeout(min(wait_s, MAX_WAIT_S)):
                    await self.dispatcher.wait_for_wake(int(seen))
            except TimeoutError:
                pass
        report = self.dispatcher.demand()
        return web.json_response((replace(report, keys={}) if http.query.get("keys") == "false" else report).to_json())


def build_admin_app(handlers: AdminHandlers) -> web.Application:
    """The application of the admin port."""
    app = web.Application()
    app.router.add_get(METRICS_PATH, handlers.metrics)
    app.router.add_get(READYZ_PATH, handlers.readyz)
    app.router.add_get(DEMAND_PATH, handlers.demand)
    return app


def _number(http: web.Request, name: str) -> float | None:
    text = http.query.get(name)
    if text is None:
        return None
    try:
        value = float(text)
    except ValueError as error:
        raise web.HTTPBadRequest(text=f"{name} must be a number\n") from error
    if not 0 <= value <= 2**53:
        raise web.HTTPBadRequest(text=f"{name} must be a number from 0\n")
    return value
