"""Fills the watch cache before the first pass, and removes objects whose deletion no watch reported.

kopf resumes a broken watch at the last resource version. If the API server no longer has the events since then
(410 Gone, after some minutes), kopf lists the kind again and reports what exists, but not what has vanished.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Final

from chatscale import metrics
from chatscale.cluster.cache import WatchCache
from chatscale.cluster.interface import Cluster, Watch
from chatscale.desired.manifest import ObjectKey
from chatscale.errors import ClusterUnavailableError, NotFoundError, RejectedRequestError

CHECK_EVERY_S: Final = 180.0
"""One request per watch and period. Maximum time that the operator believes in a deleted object."""

log = logging.getLogger(__name__)

Namespaces = Sequence[str | None]
"""The namespaces that the operator serves; (None,) means the whole cluster."""


async def fill_cache(cluster: Cluster, cache: WatchCache, watches: Sequence[Watch], namespaces: Namespaces) -> None:
    """List everything once. A pass before that could take a child that exists for a missing one.

    Raises ClusterUnavailableError.
    """
    for watch in watches:
        for namespace in namespaces:
            for manifest in await cluster.list(watch.kind, namespace, watch.selector):
                cache.store(manifest)


async def remove_vanished_forever(
    cluster: Cluster,
    cache: WatchCache,
    watches: Sequence[Watch],
    namespaces: Namespaces,
    wake: Callable[[ObjectKey], None],
) -> None:
    """Compare the cache with the API server every `CHECK_EVERY_S`, until cancelled."""
    while True:
        await asyncio.sleep(CHECK_EVERY_S)
        for watch in watches:
            for namespace in namespaces:
                await _remove_vanished(cluster, cache, watch, namespace, wake)


async def _remove_vanished(
    cluster: Cluster, cache: WatchCache, watch: Watch, namespace: str | None, wake: Callable[[ObjectKey], None]
) -> None:
    try:
        listing = await cluster.list_identities(watch.kind, namespace, watch.selector)
    except (ClusterUnavailableError, NotFoundError, RejectedRequestError) as error:  # not found: the CRD was deleted
        log.warning("cache not checked", extra={"kind": watch.kind.name, "why": str(error)})
        return
    concerned = cache.remove_vanished(watch.kind.name, namespace, listing)
    for key in concerned:
        log.info("missed a deletion", extra={"kind": watch.kind.name, "object": str(key)})
        metrics.MISSED_DELETIONS_TOTAL.inc()
        wake(key)
