"""Peers count while they exist: as read, or for ten seconds as last read."""

from dataclasses import replace

from aiohttp import web

from chatscale_contract.gateway.demand import GatewayDemand, ModelDemand
from chatscale_gateway.discovery.peers import PeerReader
from chatscale_gateway.discovery.pod_http import pod_session
from chatscale_gateway.discovery.translate import GatewayPod
from tests.support.clock import FakeClock
from tests.support.gateway_pods import serving

PEER = GatewayPod("u2", "gateway-2", "127.0.0.1")
DEMAND = GatewayDemand("gateway-2", "i1", 1, draining=False, models={"demo/tiny": ModelDemand(held=3)})


class Peer:
    """A gateway whose report can be taken away."""

    def __init__(self) -> None:
        self.demand = DEMAND
        self.status = 200

    async def handle(self, request: web.Request) -> web.Response:
        assert request.path == "/demand"
        return web.json_response(self.demand.to_json(), status=self.status)


async def test_reads_the_demand_of_each_peer_by_pod_name():
    async with serving(Peer().handle) as server, pod_session() as session:
        assert server.port is not None
        reader = PeerReader(session, server.port, FakeClock().monotonic)

        assert await reader.read([PEER]) == {"gateway-2": DEMAND}


async def test_an_unreadable_peer_keeps_its_last_report_for_ten_seconds():
    peer, clock = Peer(), FakeClock()
    async with serving(peer.handle) as server, pod_session() as session:
        assert server.port is not None
        reader = PeerReader(session, server.port, clock.monotonic)
        await reader.read([PEER])
        peer.status = 500
        clock.advance(9.9)
        assert await reader.read([PEER]) == {"gateway-2": DEMAND}
        clock.advance(0.1)
        assert await reader.read([PEER]) == {}

        peer.status, peer.demand = 200, replace(DEMAND, instance="i2")
        assert await reader.read([PEER]) == {"gateway-2": peer.demand}


async def test_a_peer_whose_pod_is_gone_counts_no_more():
    async with serving(Peer().handle) as server, pod_session() as session:
        assert server.port is not None
        reader = PeerReader(session, server.port, FakeClock().monotonic)
        await reader.read([PEER])

        assert await reader.read([]) == {}


async def test_a_new_pod_of_the_same_name_does_not_inherit_the_report():
    peer = Peer()
    async with serving(peer.handle) as server, pod_session() as session:
        assert server.port is not None
        reader = PeerReader(session, server.port, FakeClock().monotonic)
        await reader.read([PEER])
        peer.status = 503

        assert await reader.read([replace(PEER, uid="u3")]) == {}


async def test_a_peer_without_an_address_is_not_asked():
    async with pod_session() as session:
        reader = PeerReader(session, 1, FakeClock().monotonic)

        assert await reader.read([replace(PEER, address="")]) == {}
