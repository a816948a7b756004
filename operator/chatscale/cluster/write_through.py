"""A `Cluster` that puts the response of every write into the watch cache.

The next pass therefore reads its own writes, even before the watch delivers them. Reads go to the API server and do
not change the cache: no watch would keep an object up to date that its label selector excludes.
"""

from collections.abc import Mapping

from typing_extensions import override

from chatscale.cluster.cache import WatchCache, version_of
from chatscale.cluster.interface import Cluster, Kind, Listing, Manifest
from chatscale.desired.manifest import key_of


class WriteThrough(Cluster):
    """Another `Cluster` together with the cache of its objects."""

    def __init__(self, cluster: Cluster, cache: WatchCache) -> None:
        self._cluster = cluster
        self._cache = cache

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
        result = await self._cluster.apply(manifest, manager)
        self._cache.store(result)
        return result

    @override
    async def delete(self, manifest: Manifest) -> None:
        # The watch reports the deletion. Until then a second delete of the same uid has no effect.
        await self._cluster.delete(manifest)

    @override
    async def patch_status(self, kind: Kind, namespace: str, name: str, status: Manifest) -> Manifest:
        result = await self._cluster.patch_status(kind, namespace, name, status)
        self._cache.store(result)
        return result

    @override
    async def annotate(self, kind: Kind, namespace: str, name: str, annotations: Mapping[str, str | None]) -> Manifest:
        result = await self._cluster.annotate(kind, namespace, name, annotations)
        self._cache.store(result)
        return result

    @override
    async def write_scale(self, chatmodel: Manifest, replicas: int, manager: str) -> Manifest:
        scale = await self._cluster.write_scale(chatmodel, replicas, manager)
        # The response is a Scale and not the object, so the cache waits for the object.
        self._cache.require(key_of(chatmodel), version_of(scale))
        return scale

    @override
    async def create(self, manifest: Manifest) -> Manifest:
        # Passes read neither Events nor Leases, so the cache does not have them.
        return await self._cluster.create(manifest)

    @override
    async def replace(self, manifest: Manifest) -> Manifest:
        return await self._cluster.replace(manifest)
