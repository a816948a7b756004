"""A pass reads its own writes, whether or not the watch has delivered them."""

from chatscale import names
from chatscale.cluster.cache import WatchCache
from chatscale.cluster.interface import CHATMODEL, DEPLOYMENT, POD
from chatscale.cluster.write_through import WriteThrough
from chatscale.reconcile.chatmodel.watches import chatmodel_key, chatmodels_concerned
from tests.support.builders import a_chatmodel, a_pod
from tests.support.fake_cluster import FakeCluster

TINY = chatmodel_key("demo", "tiny")
DEPLOYMENT_MANIFEST = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "tiny", "namespace": "demo", "labels": {names.CHATMODEL.label: "tiny"}},
    "spec": {"replicas": 2},
}


async def connected() -> tuple[FakeCluster, WatchCache, WriteThrough]:
    fake = FakeCluster(a_chatmodel().manifest())
    cache = WatchCache(owners_of=chatmodels_concerned)
    cache.store(await fake.get(CHATMODEL, "demo", "tiny"))
    return fake, cache, WriteThrough(fake, cache)


async def test_an_applied_object_is_in_the_cache():
    _, cache, cluster = await connected()
    result = await cluster.apply(DEPLOYMENT_MANIFEST, "chatscale")
    assert cache.get(TINY._replace(kind="Deployment")) == result


async def test_a_written_status_is_in_the_cache_and_its_watch_event_concerns_nobody():
    fake, cache, cluster = await connected()
    await cluster.patch_status(CHATMODEL, "demo", "tiny", {"phase": "Ready"})
    assert cache.get(TINY)["status"] == {"phase": "Ready"}
    assert cache.store(await fake.get(CHATMODEL, "demo", "tiny")) == set()


async def test_written_annotations_are_in_the_cache():
    fake, cache, cluster = await connected()
    fake.put(a_pod().manifest())
    cache.store(await fake.get(POD, "demo", "tiny-1"))
    await cluster.annotate(POD, "demo", "tiny-1", {"a": "1"})
    assert cache.concerning(TINY, "Pod")[0]["metadata"]["annotations"] == {"a": "1"}
    assert cache.store(await fake.get(POD, "demo", "tiny-1")) == set()


async def test_a_written_scale_is_awaited():
    fake, cache, cluster = await connected()
    await cluster.write_scale(await fake.get(CHATMODEL, "demo", "tiny"), 3, "chatscale-scaler")
    assert cache.is_behind(TINY)
    assert cache.store(await fake.get(CHATMODEL, "demo", "tiny")) == {TINY}
    assert not cache.is_behind(TINY)


async def test_a_read_does_not_enter_the_cache_because_no_watch_would_update_it():
    fake, cache, cluster = await connected()
    fake.put({**DEPLOYMENT_MANIFEST, "metadata": {"name": "tiny", "namespace": "demo"}})
    await cluster.get(DEPLOYMENT, "demo", "tiny")
    assert cache.get(TINY._replace(kind="Deployment")) is None
