"""Keeps what a snapshot needs: the last picture of the cluster, and the tokens counted in the last seconds.

It gets the same reports as the dispatcher and changes nothing there: looking never wakes a model.
"""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Final

from chatscale_contract.gateway.demand import GatewayDemand
from chatscale_contract.gateway.live import LiveSnapshot
from chatscale_contract.server.load import ReplicaLoad
from chatscale_gateway.live.snapshot import build_snapshot
from chatscale_gateway.live.token_rates import TokenRates
from chatscale_gateway.routing.catalog import Catalog, ModelKey


class LiveBoard:
    """demand: the report of this gateway.  clock: monotonic seconds.  wall_clock: seconds since 1970."""

    def __init__(
        self, demand: Callable[[], GatewayDemand], clock: Callable[[], float], wall_clock: Callable[[], float]
    ) -> None:
        self._demand: Final = demand
        self._clock: Final = clock
        self._wall_clock: Final = wall_clock
        self._rates: Final = TokenRates()
        self._catalog = Catalog()
        self._waiting: Mapping[str, int] = {}
        """Requests that wait in a replica, by pod UID."""
        self._peers: Mapping[str, GatewayDemand] = {}

    # ---- reports of discovery ----

    def catalog_changed(self, catalog: Catalog) -> None:
        """Models or replicas changed."""
        self._catalog = catalog

    def loads_read(self, loads: Mapping[str, ReplicaLoad | None], now_s: float) -> None:  # noqa: ARG002 - of the protocol
        """A reading of the replicas' loads, by pod UID. A replica that did not answer keeps its last number."""
        self._waiting = {
            uid: self._waiting.get(uid, 0) if load is None else load.waiting for uid, load in loads.items()
        }

    def peers_read(self, peers: Mapping[str, GatewayDemand]) -> None:
        """The other gateways that exist, by pod name."""
        self._peers = peers

    # ---- the live page ----

    def sample(self) -> None:
        """Read the counters of tokens. Call it once a second."""
        self._rates.sample(self._clock(), self._reports())

    def snapshot(self) -> LiveSnapshot:
        """The live state of all models now."""
        now_s = self._clock()
        return build_snapshot(
            self._catalog,
            self._reports(),
            {key: self._queued(key) for key in self._catalog.models},
            {key: self._rates.rate(str(key), now_s) for key in self._catalog.models},
            datetime.fromtimestamp(self._wall_clock(), UTC),
        )

    def _reports(self) -> list[GatewayDemand]:
        own = self._demand()
        return [own, *(report for report in self._peers.values() if report.gateway != own.gateway)]

    def _queued(self, key: ModelKey) -> int:
        return sum(self._waiting.get(replica.uid, 0) for replica in self._catalog.replicas.get(key, ()))
