"""Reads the demand of every gateway: one task for each gateway pod, one long poll after the other.

A long poll ends when the gateway begins to hold requests for a model without a replica, so the operator knows at once.
A gateway that does not answer is retried each second. Gateways are found by their label: the list of pods is
read again every two seconds, and while the API server does not answer, the last list counts.
"""

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Protocol

import aiohttp
from typing_extensions import override

from chatscale.errors import ClusterUnavailableError, MetricsUnavailableError, NotFoundError, RejectedRequestError
from chatscale.observe.demand import Demands, models_to_start
from chatscale.observe.scrape import read_at_most, why_unread
from chatscale.scaling.signals import ClientDemand
from chatscale_contract.gateway.demand import GatewayDemand
from chatscale_contract.gateway.endpoints import ADMIN_PORT, DEMAND_PATH

LIST_EVERY_S: Final = 2.0
"""Between two lists of the gateway pods: a new pod takes longer than this to become Ready."""
POLL_WAIT_S: Final = 1.0
"""Longest time that a gateway may wait with its answer: readings are at most about this far apart."""
POLL_TIMEOUT_S: Final = 3.0
"""Deadline of one poll, the wait included."""
RETRY_S: Final = 1.0
"""After a poll that failed."""
SHORTEST_POLL_S: Final = 0.05
"""Shortest time between the starts of two polls: a gateway whose `wake_seq` changes all the time is not a busy loop."""
MOST_BYTES: Final = 8_388_608
"""Of one report: about 20,000 ChatModels."""

log = logging.getLogger(__name__)

ListPods = Callable[[], Awaitable[Sequence[Mapping[str, Any]]]]
"""Lists the gateway pods' manifests. Raises only classes of `chatscale.errors`."""


class DemandSource(Protocol):
    """The demand of the gateways. Tests use a fake."""

    def demand(self, model: str, now: datetime) -> ClientDemand:
        """The demand for one ChatModel (`namespace/name`). now: the present wall clock time; aware."""
        ...

    def forget(self, model: str) -> None:
        """The ChatModel does not exist any more."""
        ...


@dataclass(slots=True)
class _Poller:
    address: str
    task: asyncio.Task[None]


class GatewayReader(DemandSource):
    """Reads all gateways while `run` runs. Use it on one event loop."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        list_pods: ListPods,
        wake: Callable[[str], None],
        port: int = ADMIN_PORT,
    ) -> None:
        """wake: called with `namespace/name` when a gateway begins to hold requests for it."""
        self._session = session
        self._list_pods = list_pods
        self._wake = wake
        self._port = port
        self._demands = Demands()
        self._reports: dict[str, GatewayDemand] = {}
        self._pollers: dict[str, _Poller] = {}

    @override
    def demand(self, model: str, now: datetime) -> ClientDemand:
        return self._demands.of(model, now, _now_s())

    @override
    def forget(self, model: str) -> None:
        self._demands = self._demands.without_model(model)

    async def run(self) -> None:
        """Find and read gateways until cancelled."""
        async with asyncio.TaskGroup() as group:
            while True:
                try:
                    pods = await self._list_pods()
                except (ClusterUnavailableError, NotFoundError, RejectedRequestError) as error:
                    log.warning("gateways not listed", extra={"why": str(error)})
                else:
                    self._follow(pods, group)
                await asyncio.sleep(LIST_EVERY_S)

    def _follow(self, pods: Sequence[Mapping[str, Any]], group: asyncio.TaskGroup) -> None:
        """Start and end tasks, so that each pod that has an address has one."""
        found = {pod["metadata"]["uid"]: pod for pod in pods if _exists(pod)}
        addresses = {uid: str((pod.get("status") or {}).get("podIP") or "") for uid, pod in found.items()}
        names = {
            uid: str(found[uid]["metadata"]["name"]) for uid in found if uid in self._reports or _ready(found[uid])
        }
        for uid in [uid for uid, poller in self._pollers.items() if addresses.get(uid) != poller.address]:
            self._pollers.pop(uid).task.cancel()
        self._reports = {uid: report for uid, report in self._reports.items() if uid in found}
        # A pod that starts cannot answer yet; it counts as unreadable only once it is Ready or has answered.
        self._demands = self._demands.with_gateways(names, _now_s())
        for uid, address in addresses.items():
            if address and uid not in self._pollers:
                name = str(found[uid]["metadata"]["name"])
                task = group.create_task(self._poll_forever(uid, name, address), name=f"poll {name}")
                self._pollers[uid] = _Poller(address, task)

    async def _poll_forever(self, uid: str, name: str, address: str) -> None:
        failure = ""
        while True:
            started_s = _now_s()
            try:
                report = await self._poll(uid, address)
            except (MetricsUnavailableError, aiohttp.ClientError, OSError, ValueError) as error:
                if failure != (why := why_unread(error)):
                    log.info("gateway not read", extra={"gateway": name, "why": why})
                failure = why
                await asyncio.sleep(RETRY_S)
                continue
            failure = ""
            self._store(uid, name, report)
            await asyncio.sleep(max(0.0, started_s + SHORTEST_POLL_S - _now_s()))

    def _store(self, uid: str, name: str, report: GatewayDemand) -> None:
        before = self._reports.get(uid)
        self._reports[uid] = report
        if uid not in self._demands.gateways:
            known = {key: gateway.name for key, gateway in self._demands.gateways.items()}
            self._demands = self._demands.with_gateways({**known, uid: name}, _now_s())
        self._demands = self._demands.with_report(uid, report, _now_s())
        for model in models_to_start(before, report):
            self._wake(model)

    async def _poll(self, uid: str, address: str) -> GatewayDemand:
        """Raises MetricsUnavailableError, aiohttp.ClientError, OSError (TimeoutError) or ValueError."""
        host = f"[{address}]" if ":" in address else address
        known = self._reports.get(uid)
        # The first poll does not wait: a wake may have happened before it.
        wait = {} if known is None else {"wake_seq": str(known.wake_seq), "wait_s": f"{POLL_WAIT_S:g}"}
        async with asyncio.timeout(POLL_TIMEOUT_S):
            url = f"http://{host}:{self._port}{DEMAND_PATH}"
            async with self._session.get(url, params={"keys": "false", **wait}, allow_redirects=False) as response:
                if response.status != 200:  # noqa: PLR2004
                    raise MetricsUnavailableError(f"GET {DEMAND_PATH}: HTTP {response.status}")
                body = await read_at_most(response, MOST_BYTES)
        return GatewayDemand.from_json(json.loads(body))


def _exists(pod: Mapping[str, Any]) -> bool:
    return (pod.get("status") or {}).get("phase") not in ("Succeeded", "Failed")


def _ready(pod: Mapping[str, Any]) -> bool:
    conditions = (pod.get("status") or {}).get("conditions") or ()
    return any(each.get("type") == "Ready" and each.get("status") == "True" for each in conditions)


def _now_s() -> float:
    return asyncio.get_running_loop().time()
