"""The cache keeps the newest state of each object, whatever the order in which states arrive."""

import copy
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatscale.cluster.cache import WatchCache
from chatscale.cluster.interface import Listing
from chatscale.desired.manifest import ObjectKey, key_of
from tests.support.builders import Manifest

TINY, OTHER = ObjectKey("Pod", "demo", "tiny"), ObjectKey("Pod", "demo", "other")
OWNER, SECOND_OWNER = ObjectKey("Owner", "demo", "a"), ObjectKey("Owner", "demo", "b")


def a_manifest(version: int, uid: str = "u1", key: ObjectKey = TINY, owner: str = "a", **metadata) -> Manifest:
    meta = {"namespace": key.namespace, "name": key.name, "uid": uid, "resourceVersion": str(version)}
    return {"kind": key.kind, "metadata": {**meta, "labels": {"owner": owner}, **metadata}}


def a_cache(*manifests: Manifest) -> WatchCache:
    """With two owners."""
    cache = WatchCache(lambda found: {ObjectKey("Owner", "demo", found["metadata"]["labels"]["owner"])})
    owners = [a_manifest(1, f"uid-{key.name}", key, owner=key.name) for key in (OWNER, SECOND_OWNER)]
    for manifest in [*owners, *manifests]:
        cache.store(manifest)
    return cache


def version(cache: WatchCache, key: ObjectKey = TINY) -> str | None:
    found = cache.get(key)
    return found and found["metadata"]["resourceVersion"]


def test_a_newer_state_replaces_an_older_one():
    cache = a_cache(a_manifest(9))
    assert cache.store(a_manifest(10)) == {OWNER}
    assert version(cache) == "10"


def test_the_same_state_again_changes_nothing_and_concerns_nobody():
    cache = a_cache(a_manifest(10))
    assert cache.store(a_manifest(10)) == set()
    assert version(cache) == "10"


def test_an_older_state_changes_nothing_but_wakes_the_owner_for_the_newer_one():
    cache = a_cache(a_manifest(10))
    assert cache.store(a_manifest(9)) == {OWNER}
    assert version(cache) == "10"


def test_a_change_of_the_owner_concerns_the_earlier_and_the_new_owner():
    cache = a_cache(a_manifest(9))
    assert cache.store(a_manifest(10, owner="b")) == {OWNER, SECOND_OWNER}
    assert cache.concerning(OWNER, "Pod") == []
    assert [key_of(found) for found in cache.concerning(SECOND_OWNER, "Pod")] == [TINY]


def test_a_change_does_not_concern_an_owner_that_does_not_exist():
    cache = a_cache(a_manifest(9, owner="nobody"))
    assert cache.store(a_manifest(10, owner="nobody")) == set()
    assert version(cache) == "10"


def test_an_owners_own_deletion_concerns_it():
    cache = a_cache()
    assert cache.remove(a_manifest(5, "uid-a", OWNER)) == {OWNER}


def test_objects_are_found_by_owner_and_kind():
    service = ObjectKey("Service", "demo", "tiny")
    cache = a_cache(a_manifest(1), a_manifest(2, "u2", OTHER), a_manifest(3, "u3", service))
    assert [key_of(found) for found in cache.concerning(OWNER, "Pod")] == [TINY, OTHER]
    assert cache.keys("Service") == [service]


def test_a_deleted_object_is_gone():
    cache = a_cache(a_manifest(9))
    assert cache.remove(a_manifest(10)) == {OWNER}
    assert cache.get(TINY) is None
    assert cache.concerning(OWNER, "Pod") == []


def test_a_late_deletion_does_not_remove_the_successor_of_the_same_name():
    cache = a_cache(a_manifest(9))
    cache.store(a_manifest(12, uid="u2"))
    assert cache.remove(a_manifest(10, uid="u1")) == set()
    assert version(cache) == "12"


def test_the_late_response_to_a_write_does_not_bring_a_deleted_object_back():
    cache = a_cache(a_manifest(9))
    cache.remove(a_manifest(11))
    assert cache.store(a_manifest(10)) == set()
    assert cache.get(TINY) is None


def test_an_object_that_matches_its_selector_again_returns():
    cache = a_cache(a_manifest(9))
    cache.remove(a_manifest(11))
    assert cache.store(a_manifest(12)) == {OWNER}
    assert version(cache) == "12"


def test_an_object_is_behind_until_the_required_state_arrives():
    cache = a_cache(a_manifest(9))
    cache.require(TINY, 11)
    assert cache.is_behind(TINY)
    cache.store(a_manifest(10))
    assert cache.is_behind(TINY)
    cache.store(a_manifest(11))
    assert not cache.is_behind(TINY)


def test_an_object_is_not_behind_if_the_watch_was_faster_than_the_response():
    cache = a_cache(a_manifest(11))
    cache.require(TINY, 11)
    assert not cache.is_behind(TINY)


def test_a_deleted_object_is_not_behind():
    cache = a_cache(a_manifest(9))
    cache.require(TINY, 11)
    cache.remove(a_manifest(12))
    assert not cache.is_behind(TINY)


def test_objects_that_a_later_list_lacks_have_vanished():
    cache = a_cache(a_manifest(9), a_manifest(10, "u2", OTHER))
    assert cache.remove_vanished("Pod", None, Listing("20", frozenset({"u2"}))) == {OWNER}
    assert cache.keys("Pod") == [OTHER]


def test_an_object_that_is_newer_than_the_list_stays():
    cache = a_cache(a_manifest(21))
    assert cache.remove_vanished("Pod", None, Listing("20", frozenset())) == set()
    assert cache.keys("Pod") == [TINY]


@pytest.mark.parametrize(("kind", "namespace"), [("Service", None), ("Pod", "shop")], ids=["kind", "namespace"])
def test_a_list_says_nothing_about_another(kind: str, namespace: str | None):
    cache = a_cache(a_manifest(9))
    assert cache.remove_vanished(kind, namespace, Listing("20", frozenset())) == set()
    assert cache.keys("Pod") == [TINY]


@pytest.mark.parametrize(("kind", "kept"), [("Deployment", True), ("ChatModel", True), ("Pod", False)])
def test_managed_fields_are_kept_only_where_a_pass_reads_them(kind: str, *, kept: bool):
    key = ObjectKey(kind, "demo", "tiny")
    manifest = a_manifest(9, key=key, managedFields=[{"manager": "kubectl"}])
    before = copy.deepcopy(manifest)
    found = a_cache(manifest).get(key)
    assert found is not None
    assert ("managedFields" in found["metadata"]) is kept
    assert manifest == before


@given(st.permutations([*range(1, 6)]))
def test_the_newest_state_wins_in_every_order(order: list[int]):
    cache = a_cache(*(a_manifest(number) for number in order))
    assert version(cache) == "5"


@given(st.permutations([("u1", 1), ("u1", 2), ("gone", 3), ("u2", 4), ("u2", 5)]))
def test_a_successor_survives_its_predecessor_in_every_order(order: list[tuple[str, int]]):
    cache = a_cache()
    for uid, number in order:
        if uid == "gone":
            cache.remove(a_manifest(number, "u1"))
        else:
            cache.store(a_manifest(number, uid))
    found = cache.get(TINY)
    assert found is not None
    assert (found["metadata"]["uid"], found["metadata"]["resourceVersion"]) == ("u2", "5")


def test_memory_of_removals_is_bounded():
    cache = a_cache()
    for number in itertools.islice(itertools.count(1), 5000):
        cache.remove(a_manifest(number, uid=f"u{number}"))
    assert len(cache._removed_at) == 4096
