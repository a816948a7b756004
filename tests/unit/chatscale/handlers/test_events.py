"""A watch event enters the cache and starts the passes that it concerns, and leaves nothing on any object."""

from typing import Any

import kopf
import pytest

from chatscale import names
from chatscale.cluster.cache import WatchCache
from chatscale.desired.manifest import ObjectKey
from chatscale.handlers.events import register, watch_settings
from chatscale.reconcile.chatmodel.watches import WATCHES, chatmodel_key, chatmodels_concerned
from tests.support.builders import Manifest, a_chatmodel, a_foreign_hpa, a_pod

TINY = chatmodel_key("demo", "tiny")


class RecordingController:
    def __init__(self) -> None:
        self.woken: list[ObjectKey] = []

    def wake(self, key: ObjectKey) -> None:
        self.woken.append(key)


class Edge:
    """The handlers of all kinds, as kopf calls them."""

    def __init__(self) -> None:
        self.registry = kopf.OperatorRegistry()
        self.controller = RecordingController()
        self.cache = WatchCache(owners_of=chatmodels_concerned)
        register(self.registry, WATCHES, self.cache, self.controller)
        self.handlers = self.registry._watching.get_all_handlers()

    async def sees(self, kind: str | None, manifest: Manifest, version: int) -> list[ObjectKey]:
        """The ChatModels that one event wakes."""
        self.controller.woken.clear()
        metadata = {"uid": "u1", **manifest["metadata"], "resourceVersion": str(version)}
        event: dict[str, Any] = {"type": kind, "object": {**manifest, "metadata": metadata}}
        await self.handlers[0].fn(event=event)
        return list(self.controller.woken)


@pytest.fixture
def edge() -> Edge:
    return Edge()


@pytest.mark.parametrize("kind", [None, "ADDED", "MODIFIED"])
async def test_a_chatmodels_event_enters_the_cache_and_wakes_it(kind: str | None, edge: Edge):
    assert await edge.sees(kind, a_chatmodel().manifest(), version=7) == [TINY]
    assert edge.cache.keys("ChatModel") == [TINY]


async def test_an_event_that_the_cache_knows_already_wakes_nobody(edge: Edge):
    await edge.sees(None, a_chatmodel().manifest(), version=7)
    assert await edge.sees("MODIFIED", a_chatmodel().manifest(), version=7) == []


async def test_a_deletion_wakes_too_because_a_pass_must_end(edge: Edge):
    await edge.sees(None, a_chatmodel().manifest(), version=7)
    assert await edge.sees("DELETED", a_chatmodel().manifest(), version=8) == [TINY]
    assert edge.cache.keys("ChatModel") == []


@pytest.mark.parametrize(
    "manifest",
    [
        pytest.param(a_pod().manifest(), id="a pod of its label's ChatModel"),
        pytest.param(a_foreign_hpa("theirs"), id="an HPA on the ChatModel"),
        pytest.param(a_foreign_hpa("theirs", kind="Deployment"), id="an HPA on the Deployment"),
        pytest.param(a_foreign_hpa("tiny", kind="StatefulSet", target="db"), id="an HPA of the same name"),
    ],
)
async def test_an_event_wakes_the_chatmodel_that_it_concerns(manifest: Manifest, edge: Edge):
    await edge.sees(None, a_chatmodel().manifest(), version=1)
    assert await edge.sees("ADDED", manifest, version=7) == [TINY]


async def test_an_hpa_that_gets_another_target_wakes_the_earlier_target_too(edge: Edge):
    await edge.sees(None, a_chatmodel().manifest(), version=1)
    await edge.sees(None, a_chatmodel().named("other").manifest(), version=2)
    await edge.sees("ADDED", a_foreign_hpa("theirs", target="tiny"), version=7)
    woken = await edge.sees("MODIFIED", a_foreign_hpa("theirs", target="other"), version=8)
    assert set(woken) == {TINY, chatmodel_key("demo", "other")}


async def test_an_hpa_of_something_else_wakes_nobody(edge: Edge):
    await edge.sees(None, a_chatmodel().manifest(), version=1)
    assert await edge.sees("ADDED", a_foreign_hpa("theirs", kind="Deployment", target="web"), version=7) == []


def test_no_handler_makes_kopf_write_to_objects(edge: Edge):
    assert len(edge.handlers) == len(WATCHES)
    assert edge.registry._changing.get_all_handlers() == []
    assert edge.registry._spawning.get_all_handlers() == []


def test_every_hpa_is_watched_and_of_other_children_only_ours():
    settings = kopf.OperatorSettings()
    watch_settings(settings, WATCHES)
    selectors = {key.any_name: value for key, value in settings.watching.label_selectors.items()}
    children = ("deployments", "services", "poddisruptionbudgets", "networkpolicies", "configmaps", "pods")
    assert selectors == dict.fromkeys(children, names.OUR_CHILDREN)
    assert names.OUR_CHILDREN == "app.kubernetes.io/name in (chatscale-server,chatscale-assistant)"
    assert not settings.posting.enabled
