"""Runs discovery: reflectors of ChatModels, ShopAssistants, pods and peers, and the readings of loads and demand.

It reports to the dispatcher only complete pictures: a pod list that is not read yet must not look like a model without
replicas.
"""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final, NoReturn, Protocol, TypeVar

import aiohttp

from chatscale import names
from chatscale.errors import InvalidSpecError
from chatscale_contract.gateway.demand import GatewayDemand
from chatscale_contract.gateway.endpoints import GATEWAY_NAME
from chatscale_contract.server.load import ReplicaLoad
from chatscale_gateway import metrics
from chatscale_gateway.discovery.api_server import Manifest, Resource
from chatscale_gateway.discovery.loads import LoadReader, LoadTarget
from chatscale_gateway.discovery.peers import PeerReader
from chatscale_gateway.discovery.reflector import Backoff, Reflector, Source
from chatscale_gateway.discovery.translate import (
    FoundModel,
    FoundReplica,
    GatewayPod,
    build_catalog,
    read_assistant,
    read_gateway_pod,
    read_model,
    read_replica,
)
from chatscale_gateway.routing.catalog import Catalog

PERIOD_S: Final = 1.0
"""Of the readings of loads and of peers."""

T = TypeVar("T")
log = logging.getLogger(__name__)


class Reports(Protocol):
    """The part of the dispatcher that discovery reports to."""

    def catalog_changed(self, catalog: Catalog) -> None:
        """Models or replicas changed."""
        ...

    def loads_read(self, loads: Mapping[str, ReplicaLoad | None], now_s: float) -> None:
        """A reading of the replicas' loads, by pod UID."""
        ...

    def peers_read(self, peers: Mapping[str, GatewayDemand]) -> None:
        """The other gateways that exist, by pod name."""
        ...


@dataclass(frozen=True, slots=True)
class Scope:
    """Where to look."""

    namespaces: tuple[str, ...]
    """Namespaces of ChatModels and ShopAssistants; empty means all."""
    own_namespace: str
    """Namespace of the gateway's pods; empty outside a cluster: then there are no peers."""
    own_pod: str
    """Name of this gateway's pod."""
    instance: str
    """Value of the label `app.kubernetes.io/instance` on the gateway's pods; empty: any."""


class Discovery:
    """Everything that the gateway learns from the cluster.

    session: for requests to pods.  admin_port: of the peers.
    """

    def __init__(
        self, source: Source, session: aiohttp.ClientSession, reports: Reports, scope: Scope, *, admin_port: int
    ) -> None:
        self._reports: Final = reports
        self._load_reader: Final = LoadReader(session)
        self._peer_reader: Final = PeerReader(session, admin_port, asyncio.get_running_loop().time)
        self._changed: Final = asyncio.Event()
        self._listed: Final = asyncio.Event()
        self._ready: Final = asyncio.Event()
        self._invalid: Final[dict[str, str]] = {}
        """Message of the resources that cannot be parsed, by UID."""
        self._models: Final = [
            self._reflector(source, _custom_resource(each, kind), self._keeping(kind, read), optional=optional)
            for each in scope.namespaces or ("",)
            # An older installation may lack the CRD of ShopAssistants.
            for kind, read, optional in (
                (names.CHATMODEL, read_model, False),
                (names.SHOPASSISTANT, read_assistant, True),
            )
        ]
        self._pods: Final = [
            self._reflector(source, Resource(_path("api/v1", each, "pods"), names.OUR_CHILDREN), _keep_replica)
            for each in scope.namespaces or ("",)
        ]
        self._gateways: Final = [
            self._reflector(source, _gateway_pods(scope), _keeping_peers(scope.own_pod))
            for _ in range(1 if scope.own_namespace else 0)
        ]

    @property
    def ready(self) -> bool:
        """Whether all lists, and the peers, were read once and reported.

        Without the peers' reports every key would begin with full buckets in this gateway.
        """
        return self._ready.is_set()

    async def wait_until_ready(self) -> None:
        """Return after the first complete picture was reported."""
        await self._ready.wait()

    async def run(self) -> None:
        """Follow the cluster until cancelled."""
        async with asyncio.TaskGroup() as group:
            for run in self._runs():
                group.create_task(run)
            group.create_task(self._report_catalog_forever())
            await self._listed.wait()
            group.create_task(_repeat("loads", self._read_loads))
            if self._gateways:
                group.create_task(_repeat("peers", self._read_peers))
            else:
                self._ready.set()

    async def _report_catalog_forever(self) -> NoReturn:
        while True:
            await self._changed.wait()
            self._changed.clear()
            if not self._all_listed():
                continue
            self._reports.catalog_changed(build_catalog(_all(self._models), _all(self._pods)))
            if not self._listed.is_set():
                log.info("catalog read", extra={"models": sum(1 for _ in _all(self._models))})
                self._listed.set()

    def _runs(self) -> Iterator[Coroutine[None, None, NoReturn]]:
        yield from (each.run() for each in self._models)
        yield from (each.run() for each in self._pods)
        yield from (each.run() for each in self._gateways)

    def _all_listed(self) -> bool:
        return (
            all(each.listed for each in self._models)
            and all(each.listed for each in self._pods)
            and all(each.listed for each in self._gateways)
        )

    async def _read_loads(self) -> None:
        loads = await self._load_reader.read(self._load_targets())
        self._reports.loads_read(loads, asyncio.get_running_loop().time())

    async def _read_peers(self) -> None:
        try:
            self._reports.peers_read(await self._peer_reader.read(_all(self._gateways)))
        finally:
            self._ready.set()

    def _load_targets(self) -> Iterator[LoadTarget]:
        slots = {found.model.key: found.slots for found in _all(self._models)}
        for found in _all(self._pods):
            if found.replica.ready and found.model in slots:
                yield LoadTarget(found.replica, slots[found.model])

    def _reflector(
        self,
        source: Source,
        resource: Resource,
        keep: Callable[[Manifest, T | None], T | None],
        *,
        optional: bool = False,
    ) -> Reflector[T]:
        # Jitter is no secret.
        backoff = Backoff(random.random)
        return Reflector(
            source, resource, keep=keep, changed=self._changed.set, backoff=backoff, optional=optional
        )  # fmt: skip

    def _keeping(
        self, kind: names.CustomKind, read: Callable[[Manifest], FoundModel]
    ) -> Callable[[Manifest, FoundModel | None], FoundModel | None]:
        valid, invalid = f"valid {kind.kind}", f"invalid {kind.kind}"

        def keep(manifest: Manifest, before: FoundModel | None) -> FoundModel | None:
            """The last valid state of an object, and one log line for each new fault."""
            uid = manifest["metadata"]["uid"]
            try:
                found = read(manifest)
            except InvalidSpecError as error:
                if self._invalid.get(uid) != str(error):
                    log.warning(invalid, extra={"model": _key(manifest), "error": str(error)})
                self._invalid[uid] = str(error)
                return before
            if self._invalid.pop(uid, None) is not None:
                log.info(valid, extra={"model": _key(manifest)})
            return found

        return keep


async def _repeat(name: str, read: Callable[[], Awaitable[None]]) -> NoReturn:
    """Read each `PERIOD_S`, or as soon as the last reading has ended. A bug in one reading must not end the gateway."""
    loop = asyncio.get_running_loop()
    while True:
        started_s = loop.time()
        try:
            await read()
        except Exception:
            metrics.DISCOVERY_ERRORS.labels(name).inc()
            log.exception("reading failed", extra={"of": name})
        await asyncio.sleep(max(0.0, started_s + PERIOD_S - loop.time()))


def _keep_replica(manifest: Manifest, _before: FoundReplica | None) -> FoundReplica | None:
    return read_replica(manifest)


def _keeping_peers(own_pod: str) -> Callable[[Manifest, GatewayPod | None], GatewayPod | None]:
    def keep(manifest: Manifest, _before: GatewayPod | None) -> GatewayPod | None:
        return None if manifest["metadata"]["name"] == own_pod else read_gateway_pod(manifest)

    return keep


def _gateway_pods(scope: Scope) -> Resource:
    labels = {names.NAME_LABEL: GATEWAY_NAME}
    if scope.instance:
        labels[names.INSTANCE_LABEL] = scope.instance
    return Resource(_path("api/v1", scope.own_namespace, "pods"), names.selector_string(labels))


def _custom_resource(namespace: str, kind: names.CustomKind) -> Resource:
    return Resource(_path(f"apis/{names.API_VERSION}", namespace, kind.plural))


def _path(group: str, namespace: str, plural: str) -> str:
    """namespace: empty for all."""
    return f"/{group}/namespaces/{namespace}/{plural}" if namespace else f"/{group}/{plural}"


def _all(reflectors: Iterable[Reflector[T]]) -> Iterator[T]:
    for reflector in reflectors:
        yield from reflector.objects.values()


def _key(manifest: Manifest) -> str:
    return f"{manifest['metadata'].get('namespace')}/{manifest['metadata'].get('name')}"
