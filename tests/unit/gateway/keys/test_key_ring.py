"""Which key opens what, and until when."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatscale_contract.gateway.key_secret import StoredKey
from chatscale_contract.gateway.keys import KeyId, KeyPolicy, hash_key
from chatscale_gateway.keys.caller import ANYBODY, Caller
from chatscale_gateway.keys.key_ring import FoundKey, KeyRing
from chatscale_gateway.routing.catalog import ModelKey

NOW = datetime(2026, 11, 27, 12, tzinfo=UTC)
SOON = NOW + timedelta(seconds=5)
OWN = "system"


def a_key(token: str, name: str = "live", namespace: str = "demo", *, previous: str = "", **policy) -> FoundKey:
    rotation = (hash_key(previous), SOON) if previous else (None, None)
    return FoundKey(KeyId(namespace, name), StoredKey(hash_key(token), KeyPolicy(**policy), *rotation))


def test_a_key_gives_its_secret_and_policy():
    ring = KeyRing([a_key("one", max_concurrency=3), a_key("two", "batch")], OWN)

    assert ring.authenticate("one", NOW) == Caller(KeyId("demo", "live"), KeyPolicy(max_concurrency=3), opens_all=False)
    assert ring.authenticate("two", NOW) == Caller(KeyId("demo", "batch"), KeyPolicy(), opens_all=False)


@given(st.text())
def test_any_other_text_is_no_key(token: str):
    ring = KeyRing([a_key("csk-the-key")], OWN)

    assert ring.authenticate(token, NOW) is None


def test_a_hash_is_no_key():
    assert KeyRing([a_key("one")], OWN).authenticate(hash_key("one"), NOW) is None


@pytest.mark.parametrize(
    ("namespace", "opened"),
    [pytest.param(OWN, [True, True], id="the gateway's namespace"), pytest.param("demo", [True, False], id="another")],
)
def test_promise_26_a_secret_opens_its_own_namespace_and_the_gateways_opens_all(namespace: str, opened: list[bool]):
    caller = KeyRing([a_key("one", namespace=namespace)], OWN).authenticate("one", NOW)

    assert caller is not None
    assert [caller.may_use(ModelKey(each, "tiny")) for each in ("demo", "shop")] == opened


def test_outside_a_cluster_no_secret_opens_all():
    caller = KeyRing([a_key("one")], "").authenticate("one", NOW)

    assert caller is not None
    assert not caller.opens_all


def test_promise_25_an_expired_key_ends_by_the_clock_alone():
    ring = KeyRing([a_key("one", expires=SOON)], OWN)

    assert ring.authenticate("one", SOON - timedelta(microseconds=1)) is not None
    assert ring.authenticate("one", SOON) is None


def test_promise_25_both_keys_of_a_rotation_are_one_caller_until_the_overlap_ends():
    ring = KeyRing([a_key("new", previous="old")], OWN)

    assert ring.authenticate("old", NOW) == ring.authenticate("new", NOW) is not None
    assert ring.authenticate("old", SOON) is None
    assert ring.authenticate("new", SOON) is not None


def test_an_expired_policy_ends_the_previous_key_too():
    ring = KeyRing([a_key("new", previous="old", expires=NOW)], OWN)

    assert [ring.authenticate(token, NOW) for token in ("old", "new")] == [None, None]


@pytest.mark.parametrize("other", [{"token": "one"}, {"token": "two", "previous": "one"}])
def test_a_hash_of_two_secrets_turns_both_off_and_no_other(other: dict[str, str]):
    ring = KeyRing([a_key("one"), a_key(name="copy", namespace="shop", **other), a_key("three", "third")], OWN)

    assert ring.duplicates == {KeyId("demo", "live"), KeyId("shop", "copy")}
    assert [ring.authenticate(token, NOW) for token in ("one", "two")] == [None, None]
    assert ring.authenticate("three", NOW) is not None


def test_the_current_caller_follows_the_secret_and_its_expiry():
    before = Caller(KeyId("demo", "live"), KeyPolicy(priority=1), opens_all=False)
    ring = KeyRing([a_key("one", expires=SOON)], OWN)

    assert ring.current(before, NOW) == Caller(KeyId("demo", "live"), KeyPolicy(expires=SOON), opens_all=False)
    assert ring.current(before, SOON) is None
    assert KeyRing([], OWN).current(before, NOW) is None
    assert KeyRing([a_key("one"), a_key("one", "twin")], OWN).current(before, NOW) is None


def test_the_owner_of_a_token_needs_no_secret():
    owner = Caller(KeyId("system", "oidc:ada"), KeyPolicy(expires=SOON))

    assert KeyRing([], OWN).current(owner, NOW) is owner
    assert KeyRing([], OWN).current(owner, SOON) is None
    assert KeyRing([], OWN).current(ANYBODY, SOON) is ANYBODY
