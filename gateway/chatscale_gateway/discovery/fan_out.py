"""Passes the reports of discovery on to several receivers, in order."""

from collections.abc import Mapping
from typing import Final

from chatscale_contract.gateway.demand import GatewayDemand
from chatscale_contract.server.load import ReplicaLoad
from chatscale_gateway.discovery.discover import Reports
from chatscale_gateway.routing.catalog import Catalog


class FanOut:
    """`Reports` for all receivers."""

    def __init__(self, *receivers: Reports) -> None:
        self._receivers: Final = receivers

    def catalog_changed(self, catalog: Catalog) -> None:
        """Models or replicas changed."""
        for each in self._receivers:
            each.catalog_changed(catalog)

    def loads_read(self, loads: Mapping[str, ReplicaLoad | None], now_s: float) -> None:
        """A reading of the replicas' loads, by pod UID."""
        for each in self._receivers:
            each.loads_read(loads, now_s)

    def peers_read(self, peers: Mapping[str, GatewayDemand]) -> None:
        """The other gateways that exist, by pod name."""
        for each in self._receivers:
            each.peers_read(peers)
