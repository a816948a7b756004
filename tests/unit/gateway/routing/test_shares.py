from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatscale_gateway.routing.shares import divide_places, place_cap, place_limit

demands = st.dictionaries(st.sampled_from([f"gateway-{n}" for n in range(6)]), st.integers(0, 5000), min_size=1)


@pytest.mark.parametrize(("slots", "cap"), [(1, 2), (4, 5), (8, 9), (10, 11), (11, 13), (256, 282)])
def test_caps_a_replica_at_its_slots_and_a_tenth(slots, cap):
    assert place_cap(slots) == cap


@given(st.integers(1, 300), demands)
def test_shares_add_up_to_the_cap_unless_there_are_more_gateways_than_places(cap, found):
    shares = divide_places(cap, "pod", found)
    assert sum(shares.values()) == max(cap, len(found))
    assert min(shares.values()) >= 1


@given(st.integers(1, 300), demands, st.randoms(use_true_random=False))
def test_gateways_agree_in_whatever_order_they_know_each_other(cap, found, rng):
    names = list(found)
    rng.shuffle(names)
    assert divide_places(cap, "pod", {name: found[name] for name in names}) == divide_places(cap, "pod", found)


@given(st.integers(2, 300), demands)
def test_more_demand_never_means_a_smaller_share(cap, found):
    shares = divide_places(cap, "pod", found)
    ranked = sorted(found, key=lambda name: found[name])
    for less, more in pairwise(ranked):
        assert found[less] == found[more] or shares[less] <= shares[more]


@pytest.mark.parametrize(
    ("found", "shares"),
    [
        pytest.param({"a": 0}, {"a": 9}, id="alone"),
        pytest.param({"a": 50, "b": 0}, {"a": 8, "b": 1}, id="an idle gateway keeps one place"),
        pytest.param({"a": 60, "b": 30}, {"a": 6, "b": 3}, id="in proportion"),
    ],
)
def test_divides_nine_places(found, shares):
    assert divide_places(9, "pod", found) == shares


def test_extra_places_of_several_pods_go_to_different_gateways():
    winners = {
        max((shares := divide_places(9, f"pod-{n}", {"a": 5, "b": 5})), key=lambda g: shares[g]) for n in range(20)
    }
    assert winners == {"a", "b"}


def test_leaves_places_for_the_surplus_of_another_gateway():
    assert place_limit("a", "pod", 8, {"a": 10, "b": 10}, {"b": 7}) + 7 == place_cap(8)


def test_keeps_one_place_beside_any_surplus():
    assert place_limit("a", "pod", 8, {"a": 10, "b": 10}, {"b": 100}) == 1
