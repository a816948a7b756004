"""The cache is complete before the first pass, and objects that vanished unseen leave it."""

import asyncio

import pytest

from chatscale import names
from chatscale.cluster.cache import WatchCache
from chatscale.cluster.interface import AUTOSCALER, CHATMODEL, POD
from chatscale.desired.manifest import ObjectKey
from chatscale.errors import ClusterUnavailableError, NotFoundError
from chatscale.handlers.caches import CHECK_EVERY_S, fill_cache, remove_vanished_forever
from chatscale.reconcile.chatmodel.watches import WATCHES, chatmodel_key, chatmodels_concerned
from tests.support.builders import Manifest, a_chatmodel, a_foreign_hpa, a_pod
from tests.support.clock import virtual_time_loop
from tests.support.fake_cluster import FakeCluster

TINY = chatmodel_key("demo", "tiny")


def a_service(**labels: str) -> Manifest:
    meta = {"name": "tiny", "namespace": "demo", "labels": labels}
    return {"apiVersion": "v1", "kind": "Service", "metadata": meta, "spec": {}}


async def test_the_cache_holds_all_hpas_and_of_other_kinds_what_is_ours():
    cluster = FakeCluster(a_chatmodel().manifest(), a_pod().manifest(), a_foreign_hpa(), a_service(app="theirs"))
    cache = WatchCache(owners_of=chatmodels_concerned)
    await fill_cache(cluster, cache, WATCHES, (None,))
    assert cache.keys(CHATMODEL.name) == [TINY]
    assert len(cache.keys(POD.name)) == len(cache.keys(AUTOSCALER.name)) == 1
    assert cache.keys("Service") == []


async def test_only_the_served_namespaces_are_listed():
    ours, theirs = a_chatmodel().manifest(), a_chatmodel().named("theirs", namespace="shop").manifest()
    cache = WatchCache(owners_of=chatmodels_concerned)
    cluster = FakeCluster(ours, theirs)
    await fill_cache(cluster, cache, WATCHES, ("demo",))
    assert cache.keys(CHATMODEL.name) == [TINY]
    assert len(cluster.requests()) == len(WATCHES)


async def test_a_cache_that_cannot_be_filled_is_an_error_and_not_an_empty_cluster():
    cluster = FakeCluster()
    cluster.fail("list", ClusterUnavailableError("HTTP 503"))
    with pytest.raises(ClusterUnavailableError):
        await fill_cache(cluster, WatchCache(owners_of=chatmodels_concerned), WATCHES, (None,))


@pytest.mark.parametrize(
    "failures",
    [
        pytest.param([], id="at the first check"),
        pytest.param([ClusterUnavailableError("HTTP 503")], id="at the next one after an outage"),
        pytest.param([NotFoundError("no such kind")], id="at the next one after the kind was missing"),
    ],
)
def test_an_object_whose_deletion_no_watch_reported_leaves_the_cache(failures: list[Exception]):
    cluster = FakeCluster(a_chatmodel().manifest(), a_pod().manifest())
    cluster.the(POD, "tiny-1")["metadata"]["labels"][names.CHATMODEL.label] = "tiny"
    cache = WatchCache(owners_of=chatmodels_concerned)
    woken: list[ObjectKey] = []

    async def play() -> None:
        await fill_cache(cluster, cache, WATCHES, ("demo",))
        cluster.remove(POD, "tiny-1")
        cluster.fail("list Pod", *failures)
        check = asyncio.create_task(remove_vanished_forever(cluster, cache, WATCHES, ("demo",), woken.append))
        await asyncio.sleep(CHECK_EVERY_S * (1 + len(failures)) + 1)
        check.cancel()

    with asyncio.Runner(loop_factory=virtual_time_loop) as runner:
        runner.run(play())
    assert cache.keys(POD.name) == []
    assert cache.keys(CHATMODEL.name) == [TINY]
    assert woken == [TINY]
