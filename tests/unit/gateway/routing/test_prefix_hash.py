import random
from collections import Counter
from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from chatscale_gateway.routing.prefix_hash import (
    HashRing,
    PrefixChoice,
    choose_bounded,
    load_bound,
    prefix_key,
    session_order,
)
from tests.support.gateway_world import TINY

KEYS = [prefix_key(TINY, f"You are assistant {n}".encode()) for n in range(600)]
PODS = [f"pod-{n}" for n in range(8)]


@dataclass
class Some:
    uid: str
    load: int = 0
    free: int = 100
    slots: int = 8


def home(ring: HashRing, key: int) -> str:
    return next(ring.order(key))


def test_orders_all_replicas_for_every_key():
    ring = HashRing(PODS)
    assert all(sorted(ring.order(key)) == PODS for key in KEYS)
    assert list(HashRing(()).order(KEYS[0])) == []


def test_two_gateways_with_the_same_catalog_agree():
    assert [home(HashRing(PODS), key) for key in KEYS] == [home(HashRing(reversed(PODS)), key) for key in KEYS]


def test_a_pod_that_joins_or_leaves_moves_only_its_own_part():
    before, after = HashRing(PODS), HashRing(PODS[:-1])
    moved = [key for key in KEYS if home(before, key) != home(after, key)]
    assert all(home(before, key) == PODS[-1] for key in moved)
    assert len(moved) < 2 * len(KEYS) / len(PODS)


def test_homes_are_spread_over_all_replicas():
    counts = Counter(home(HashRing(PODS), key) for key in KEYS)
    assert max(counts.values()) < 1.5 * len(KEYS) / len(PODS)


def test_models_with_the_same_prompts_have_different_homes():
    other = type(TINY)("demo", "other")
    assert prefix_key(TINY, b"x") != prefix_key(other, b"x")


def test_a_session_moves_only_when_its_replica_leaves():
    for session in map(str, range(50)):
        first, *rest = session_order(session, PODS)
        assert session_order(session, [pod for pod in PODS if pod != first]) == rest


@given(st.lists(st.integers(0, 40), min_size=1, max_size=8), st.integers(0, 599))
def test_promise_18_no_prefix_overloads_a_replica(loads, number):
    pods = {uid: Some(uid, load) for uid, load in zip(PODS, loads, strict=False)}
    chosen = choose_bounded(HashRing(pods).order(KEYS[number]), pods, random.Random(1))
    assert chosen is not None
    assert chosen.candidate.load + 1 <= load_bound(loads, len(loads))


def test_promise_18_one_hot_prefix_leaves_no_replica_idle():
    pods = {uid: Some(uid) for uid in PODS}
    choices: Counter[PrefixChoice] = Counter()
    for _ in range(3 * len(PODS)):
        chosen = choose_bounded(HashRing(PODS).order(KEYS[0]), pods, random.Random(1))
        assert chosen is not None
        chosen.candidate.load += 1
        choices[chosen.choice] += 1
    assert min(pod.load for pod in pods.values()) > 0
    assert max(pod.load for pod in pods.values()) <= load_bound([3] * len(PODS), len(PODS))
    assert choices.keys() == set(PrefixChoice)


def test_a_prefix_returns_to_its_home_while_there_is_room():
    pods = {uid: Some(uid, 4) for uid in PODS}
    for key in KEYS[:20]:
        chosen = choose_bounded(HashRing(PODS).order(key), pods, random.Random(1))
        assert chosen is not None
        assert (chosen.candidate.uid, chosen.choice) == (home(HashRing(PODS), key), PrefixChoice.HOME)


def test_uses_a_free_place_above_the_bound_rather_than_none():
    pods = {"a": Some("a", 0, free=0), "b": Some("b", 5, free=1)}
    chosen = choose_bounded(["a", "b"], pods, random.Random(1))
    assert chosen is not None
    assert chosen.candidate.uid == "b"
    pods["b"].free = 0
    assert choose_bounded(["a", "b"], pods, random.Random(1)) is None
