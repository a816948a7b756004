import random
from collections import Counter
from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from chatscale_gateway.routing.least_load import choose_least_loaded


@dataclass
class Some:
    uid: str
    load: int
    free: int = 1
    slots: int = 8


candidates = st.lists(st.builds(Some, st.text(), st.integers(0, 20), st.integers(-2, 9), st.integers(1, 16)))


@given(candidates, st.integers())
def test_chooses_the_lowest_load_for_its_slots_among_free_places(found, seed):
    chosen = choose_least_loaded(found, random.Random(seed))
    free = [each for each in found if each.free > 0]
    assert (chosen is None) == (not free)
    if chosen is not None:
        assert chosen.free > 0
        assert chosen.load / chosen.slots == min(each.load / each.slots for each in free)


def test_two_gateways_do_not_send_all_ties_to_the_same_replica():
    rng = random.Random(3)
    replicas = [Some(f"pod-{n}", 0) for n in range(4)]
    counts = Counter(chosen.uid for _ in range(400) if (chosen := choose_least_loaded(replicas, rng)))
    assert min(counts.values()) > 60


def test_prefers_more_free_places_among_two_ties():
    rng = random.Random(3)
    replicas = [Some("a", 1, 1), Some("b", 1, 5)]
    assert {chosen.uid for _ in range(20) if (chosen := choose_least_loaded(replicas, rng))} == {"b"}
