"""The fake cluster does what the API server does where the operator relies on it."""

import pytest

from chatscale.cluster.interface import CHATMODEL, SERVICE
from chatscale.errors import ConflictError
from tests.support.builders import Manifest, a_chatmodel
from tests.support.fake_cluster import FakeCluster

SERVICE_MANIFEST: Manifest = {
    "kind": "Service",
    "metadata": {"name": "tiny", "namespace": "demo", "uid": "first"},
    "spec": {"ports": [{"port": 80}]},
}


async def test_a_status_patch_is_merged_into_the_status():
    before = {"phase": "Ready", "replicas": 2, "autoscaling": {"activeEvent": "sale", "phase": "Stable"}}
    cluster = FakeCluster(a_chatmodel().with_status(**before, written="by another version").manifest())
    patch = {"phase": None, "replicas": 3, "autoscaling": {"activeEvent": None, "history": [{"to": 3, "from": None}]}}
    result = await cluster.patch_status(CHATMODEL, "demo", "tiny", patch)
    assert result["status"] == cluster.the(CHATMODEL)["status"] == {
        "replicas": 3,
        "written": "by another version",
        "autoscaling": {"phase": "Stable", "history": [{"to": 3}]},
    }  # fmt: skip


async def test_a_status_patch_that_changes_nothing_is_no_write():
    cluster = FakeCluster(a_chatmodel().with_status(replicas=2).manifest())
    before = cluster.the(CHATMODEL)["metadata"]["resourceVersion"]
    result = await cluster.patch_status(CHATMODEL, "demo", "tiny", {"replicas": 2, "phase": None})
    assert result["metadata"]["resourceVersion"] == before
    assert cluster.written() == []


async def test_a_delete_spares_a_successor_with_another_uid():
    cluster = FakeCluster({**SERVICE_MANIFEST, "metadata": {**SERVICE_MANIFEST["metadata"], "uid": "second"}})
    with pytest.raises(ConflictError):
        await cluster.delete(SERVICE_MANIFEST)
    assert cluster.has(SERVICE)


async def test_a_delete_of_an_absent_object_is_a_success():
    cluster = FakeCluster()
    await cluster.delete(SERVICE_MANIFEST)
    assert cluster.written() == []
