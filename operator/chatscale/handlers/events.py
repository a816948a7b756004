"""What kopf's watches see, turned into wakes of the controller."""

from typing import Any

import kopf

from chatscale import names
from chatscale.reconcile.controller import Controller
from chatscale.reconcile.snapshot import Key, Revision

CHILDREN = (("apps", "v1", "deployments"), ("autoscaling", "v2", "horizontalpodautoscalers"), ("", "v1", "pods"))
"""Kinds whose changes wake the ChatModel that their label names."""


def register(registry: kopf.OperatorRegistry, controller: Controller) -> None:
    """Attach the handlers of one controller."""

    @kopf.on.event(names.GROUP, names.VERSION, names.PLURAL, registry=registry)
    async def chatmodel(event: Any, namespace: str | None, name: str | None, meta: Any, **_: Any) -> None:
        # A deletion too is only a wake: kopf may deliver it after the creation of a successor of the same name.
        revision = None if event["type"] == "DELETED" else Revision(meta["uid"], meta["generation"])
        controller.wake(Key(str(namespace), str(name)), revision)

    for group, version, plural in CHILDREN:

        @kopf.on.event(group, version, plural, labels={names.MODEL_LABEL: kopf.PRESENT}, registry=registry)
        async def child(namespace: str | None, labels: Any, **_: Any) -> None:
            controller.wake(Key(str(namespace), labels[names.MODEL_LABEL]))


def watch_settings(registry_settings: kopf.OperatorSettings) -> None:
    """Tell kopf what to watch and for how long: labelled children only, and no watch that is dead unnoticed."""
    for group, version, plural in CHILDREN:
        registry_settings.watching.label_selectors[group, version, plural] = names.MODEL_LABEL
    registry_settings.watching.server_timeout = 240
    registry_settings.watching.client_timeout = 300
    registry_settings.watching.connect_timeout = 10
    registry_settings.networking.request_timeout = 30
    registry_settings.networking.connect_timeout = 10
    # After the last of them kopf gives up and the process ends: half an hour of an unreachable API server.
    registry_settings.networking.error_backoffs = (1, 1, 2, 3, 5, 8, 13, 21, *[30] * 60)
    # Events are the reconciler's; scanning for new kinds would need rights on the whole cluster.
    registry_settings.posting.enabled = False
    registry_settings.scanning.disabled = True
