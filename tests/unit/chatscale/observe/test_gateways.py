"""Reading gateways over HTTP: real servers on localhost, one per test."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from chatscale.errors import ClusterUnavailableError
from chatscale.observe.gateways import GatewayReader
from chatscale.scaling.signals import ClientDemand
from chatscale_contract.gateway.demand import GatewayDemand
from chatscale_contract.gateway.endpoints import DEMAND_PATH
from tests.support.builders import at
from tests.support.gateways import a_report


class Gateway:
    """A gateway that answers as the contract says."""

    def __init__(self) -> None:
        self.report = a_report()
        self.broken = False
        self.pods: list[dict[str, Any]] = [a_gateway_pod()]
        self.listing_fails = False
        self.woken: asyncio.Queue[str] = asyncio.Queue()
        self._changed = asyncio.Event()

    def reports(self, report: GatewayDemand) -> None:
        self.report = report
        self._changed.set()

    async def list_pods(self) -> list[dict[str, Any]]:
        if self.listing_fails:
            raise ClusterUnavailableError("no answer")
        return self.pods

    async def answer(self, request: web.Request) -> web.Response:
        if self.broken:
            raise web.HTTPServiceUnavailable
        self._changed.clear()
        if request.query.get("wake_seq") == str(self.report.wake_seq):
            try:
                async with asyncio.timeout(min(float(request.query["wait_s"]), 0.05)):
                    await self._changed.wait()
            except TimeoutError:
                pass
        return web.json_response(self.report.to_json())


def a_gateway_pod(*, ready: bool = True, **meta: Any) -> dict[str, Any]:
    conditions = [{"type": "Ready", "status": str(ready)}]
    return {
        "metadata": {"name": "gw-1", "uid": "uid-gw", **meta},
        "status": {"phase": "Running", "podIP": "127.0.0.1", "conditions": conditions},
    }


@asynccontextmanager
async def reading(gateway: Gateway, port: int | None = None) -> AsyncIterator[GatewayReader]:
    app = web.Application()
    app.router.add_get(DEMAND_PATH, gateway.answer)
    async with TestServer(app) as server, aiohttp.ClientSession() as session:
        reader = GatewayReader(session, gateway.list_pods, gateway.woken.put_nowait, port=port or server.port or 0)
        task = asyncio.create_task(reader.run())
        try:
            yield reader
        finally:
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task


async def until(reader: GatewayReader, wanted: Callable[[ClientDemand], bool]) -> ClientDemand:
    async with asyncio.timeout(10):
        while not wanted(found := reader.demand("demo/tiny", at(0))):  # noqa: ASYNC110 - nobody signals a new reading
            await asyncio.sleep(0.01)
    return found


async def test_a_held_request_wakes_its_model_at_once():
    gateway = Gateway()
    async with reading(gateway) as reader:
        await until(reader, lambda demand: demand.is_current)
        gateway.reports(a_report(wake_seq=1, held=1))
        async with asyncio.timeout(0.5):
            assert await gateway.woken.get() == "demo/tiny"
        assert reader.demand("demo/tiny", at(0)).held == 1


async def test_a_request_that_was_held_before_the_operator_started_wakes_too():
    gateway = Gateway()
    gateway.report = a_report(wake_seq=7, held=1)
    async with reading(gateway), asyncio.timeout(5):
        assert await gateway.woken.get() == "demo/tiny"


async def test_a_gateway_that_is_gone_counts_as_zero():
    gateway = Gateway()
    gateway.report = a_report(held=3)
    async with reading(gateway) as reader:
        await until(reader, lambda demand: demand.held == 3)
        gateway.pods = []
        found = await until(reader, lambda demand: demand.held == 0)
        assert (found.gateways, found.unread) == (0, ())


@pytest.mark.parametrize("fault", ["broken", "not a report"])
async def test_a_gateway_that_cannot_be_read_is_not_current_and_recovers(fault: str):
    gateway = Gateway()
    async with reading(gateway) as reader:
        await until(reader, lambda demand: demand.is_current)
        gateway.broken = fault == "broken"
        if fault != "broken":
            gateway.reports(a_report(instance=""))
        found = await until(reader, lambda demand: not demand.is_current)
        assert found.gateways == 1, "the last reading counts for 10 s"
        gateway.broken = False
        gateway.reports(a_report())
        await until(reader, lambda demand: demand.is_current)


async def test_a_failing_list_changes_nothing():
    gateway = Gateway()
    async with reading(gateway) as reader:
        await until(reader, lambda demand: demand.is_current)
        gateway.listing_fails = True
        gateway.reports(a_report(wake_seq=1, held=2))
        await until(reader, lambda demand: demand.held == 2)


async def test_a_gateway_that_starts_is_not_missing():
    gateway = Gateway()
    gateway.pods, gateway.broken = [a_gateway_pod(ready=False)], True
    async with reading(gateway) as reader:
        await asyncio.sleep(0)
        assert reader.demand("demo/tiny", at(0)).unread == ()


async def test_a_finished_pod_is_no_gateway():
    gateway = Gateway()
    gateway.pods[0]["status"]["phase"] = "Failed"
    async with reading(gateway) as reader:
        await asyncio.sleep(0)
        assert reader.demand("demo/tiny", at(0)).gateways == 0
