"""Reads GET `DEMAND_PATH` of the other gateway pods: the shares of slots depend on their demand.

A peer that cannot be read keeps its last report for `KEEP_S` while its pod exists. A pod that is gone counts no more.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

import aiohttp

from chatscale_contract.gateway.demand import GatewayDemand
from chatscale_contract.gateway.endpoints import DEMAND_PATH
from chatscale_gateway.discovery.pod_http import UnexpectedStatusError, get_json, url_of
from chatscale_gateway.discovery.translate import GatewayPod

READ_TIMEOUT_S: Final = 1.0
KEEP_S: Final = 10.0
MAX_BYTES: Final = 4 * 1024**2
"""Of one report: 1,000 models with 10 replicas each have about 1 MB."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Report:
    """The last report of one peer."""

    demand: GatewayDemand
    read_at_s: float
    name: str


class PeerReader:
    """Reads the demand of peers. now: monotonic seconds."""

    def __init__(self, session: aiohttp.ClientSession, port: int, now: Callable[[], float]) -> None:
        self._session: Final = session
        self._port: Final = port
        self._now: Final = now
        self._reports: dict[str, _Report] = {}
        """By pod UID."""
        self._unreadable: frozenset[str] = frozenset()

    async def read(self, peers: Iterable[GatewayPod]) -> dict[str, GatewayDemand]:
        """One reading: by pod name, the last report of each peer that exists and was read within `KEEP_S`."""
        existing = {peer.uid: peer for peer in peers}
        async with asyncio.TaskGroup() as group:
            tasks = {uid: group.create_task(self._read(peer)) for uid, peer in existing.items() if peer.address}
        found = {uid: demand for uid, task in tasks.items() if (demand := task.result()) is not None}
        now_s = self._now()
        fresh = {uid: _Report(demand, now_s, existing[uid].name) for uid, demand in found.items()}
        kept = {
            uid: report
            for uid, report in self._reports.items()
            if uid in existing and uid not in fresh and now_s - report.read_at_s < KEEP_S
        }
        self._log_changes(frozenset(tasks.keys() - found.keys()), existing)
        self._reports = {**kept, **fresh}
        return {report.name: report.demand for report in self._reports.values()}

    async def _read(self, peer: GatewayPod) -> GatewayDemand | None:
        url = url_of(peer.address, self._port, DEMAND_PATH)
        try:
            return GatewayDemand.from_json(await get_json(self._session, url, READ_TIMEOUT_S, MAX_BYTES))
        except (TimeoutError, aiohttp.ClientError, OSError, ValueError, UnexpectedStatusError):
            return None

    def _log_changes(self, unreadable: frozenset[str], existing: Mapping[str, GatewayPod]) -> None:
        for uid in unreadable - self._unreadable:
            log.info("peer unreadable", extra={"peer": existing[uid].name})
        for uid in (self._unreadable - unreadable) & existing.keys():
            log.info("peer readable", extra={"peer": existing[uid].name})
        self._unreadable = unreadable
