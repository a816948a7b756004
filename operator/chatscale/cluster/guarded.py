"""A `Cluster` that writes only while this process holds the Lease. Reads need no Lease."""

from collections.abc import Mapping

from typing_extensions import override

from chatscale.cluster.interface import Cluster, Kind, Listing, Manifest
from chatscale.cluster.lease import Lease


class Guarded(Cluster):
    """Another `Cluster` behind a Lease. A write without the Lease raises ClusterUnavailableError."""

    def __init__(self, cluster: Cluster, lease: Lease) -> None:
        self._cluster = cluster
        self._lease = lease

    @override
    async def get(self, kind: Kind, namespace: str, name: str) -> Manifest:
        return await self._cluster.get(kind, namespace, name)

    @override
    async def list(self, kind: Kind, namespace: str | None, selector: str = "") -> list[Manifest]:
        return await self._cluster.list(kind, namespace, selector)

    @override
    async def list_identities(self, kind: Kind, namespace: str | None, selector: str = "") -> Listing:
        return await self._cluster.list_identities(kind, namespace, selector)

    @override
    async def apply(self, manifest: Manifest, manager: str) -> Manifest:
        async with self._lease.writing():
            return await self._cluster.apply(manifest, manager)

    @override
    async def delete(self, manifest: Manifest) -> None:
        async with self._lease.writing():
            await self._cluster.delete(manifest)

    @override
    async def patch_status(self, kind: Kind, namespace: str, name: str, status: Manifest) -> Manifest:
        async with self._lease.writing():
            return await self._cluster.patch_status(kind, namespace, name, status)

    @override
    async def annotate(self, kind: Kind, namespace: str, name: str, annotations: Mapping[str, str | None]) -> Manifest:
        async with self._lease.writing():
            return await self._cluster.annotate(kind, namespace, name, annotations)

    @override
    async def write_scale(self, chatmodel: Manifest, replicas: int, manager: str) -> Manifest:
        async with self._lease.writing():
            return await self._cluster.write_scale(chatmodel, replicas, manager)

    @override
    async def create(self, manifest: Manifest) -> Manifest:
        async with self._lease.writing():
            return await self._cluster.create(manifest)

    @override
    async def replace(self, manifest: Manifest) -> Manifest:
        async with self._lease.writing():
            return await self._cluster.replace(manifest)
