"""Connects kopf's watches with the watch cache and the controller."""

from collections.abc import Sequence
from typing import Any

import kopf

from chatscale.cluster.cache import WatchCache
from chatscale.cluster.interface import Watch
from chatscale.reconcile.controller import Controller


def register(
    registry: kopf.OperatorRegistry, watches: Sequence[Watch], cache: WatchCache, controller: Controller
) -> None:
    """Attach one handler per watched kind.

    An event of a state that the cache has already, such as the operator's own last write, starts no pass.
    """

    async def changed(event: Any, **_: Any) -> None:
        manifest = event["object"]
        # kopf can deliver a deletion after the creation of a successor of the same name; the cache compares uids.
        concerned = cache.remove(manifest) if event["type"] == "DELETED" else cache.store(manifest)
        for key in concerned:
            controller.wake(key)

    for watch in watches:
        kind = watch.kind
        kopf.on.event(kind.group, kind.version, kind.plural, registry=registry)(changed)


def watch_settings(settings: kopf.OperatorSettings, watches: Sequence[Watch]) -> None:
    """Set what kopf watches, and deadlines that replace a dead connection."""
    for watch in watches:
        if watch.selector:
            kind = watch.kind
            settings.watching.label_selectors[kind.group, kind.version, kind.plural] = watch.selector
    settings.watching.server_timeout = 240
    settings.watching.client_timeout = 300
    settings.watching.connect_timeout = 10
    settings.networking.request_timeout = 30
    settings.networking.connect_timeout = 10
    # After the last backoff kopf gives up and the process ends: the API server was unreachable for half an hour.
    settings.networking.error_backoffs = (1, 1, 2, 3, 5, 8, 13, 21, *[30] * 60)
    # The reconcilers post Events themselves. Scanning for new kinds would need rights on the whole cluster.
    settings.posting.enabled = False
    settings.scanning.disabled = True
