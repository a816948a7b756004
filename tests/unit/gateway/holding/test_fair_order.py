"""The order of held requests: priority, then round robin over keys, then arrival."""

from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from chatscale.api.v1alpha1.routing import HoldSpec
from chatscale_gateway.holding.fair_order import FairOrder
from chatscale_gateway.holding.queue import HoldBudget, HoldQueue


@dataclass(eq=False)
class Some:
    owner: str
    priority: int = 0
    body_bytes: int = 1
    prompt_tokens: int = 1


def an_order(*requests: Some) -> FairOrder[Some]:
    order: FairOrder[Some] = FairOrder()
    for request in requests:
        order.add(request)
    return order


def serve(order: FairOrder[Some], count: int) -> list[Some]:
    """Give places to the next requests."""
    served = []
    for _ in range(count):
        served.append(next(iter(order)))
        order.remove(served[-1], served=True)
    return served


def test_a_higher_priority_goes_first():
    low, high, middle = Some("a", -5), Some("a", 5), Some("b", 0)
    assert list(an_order(low, high, middle)) == [high, middle, low]


def test_keys_take_turns_whatever_they_have_sent():
    batch = [Some("batch") for _ in range(5)]
    live = [Some("live") for _ in range(2)]
    order = an_order(*batch, *live)
    expected = [batch[0], live[0], batch[1], live[1], *batch[2:]]
    assert list(order) == expected
    assert serve(order, 7) == expected


def test_a_key_that_was_served_waits_for_the_others_before_its_next_request():
    first, second, other, third = Some("a"), Some("a"), Some("b"), Some("a")
    order = an_order(first, second, other)
    assert serve(order, 1) == [first]
    order.add(third)
    assert serve(order, 3) == [other, second, third]


def test_a_request_that_leaves_costs_its_key_no_turn():
    first, second, other = Some("a"), Some("a"), Some("b")
    order = an_order(first, second, other)
    order.remove(first, served=False)
    assert list(order) == [second, other]


def test_a_request_that_is_put_back_is_the_next_of_its_key():
    first, other, second = Some("a"), Some("b"), Some("a")
    order = an_order(first, other, second)
    assert serve(order, 1) == [first]
    order.add(first, first=True)
    assert list(order) == [first, other, second]


def a_full_queue(*requests: Some) -> HoldQueue[Some]:
    queue: HoldQueue[Some] = HoldQueue(HoldBudget(10**6))
    for request in requests:
        queue.append(request)
    return queue


def test_a_full_queue_gives_the_youngest_place_of_the_longest_line_to_another_key():
    batch = [Some("batch") for _ in range(3)]
    queue = a_full_queue(*batch, Some("other"))
    bounds = HoldSpec(max_requests=4)
    assert queue.displaced_by(Some("live"), bounds) is batch[2]
    assert queue.displaced_by(Some("batch"), bounds) is None


def test_a_full_queue_of_equal_keys_displaces_nobody():
    queue = a_full_queue(Some("a"), Some("b"))
    assert queue.displaced_by(Some("c"), HoldSpec(max_requests=2)) is None
    assert queue.displaced_by(Some("a"), HoldSpec(max_requests=2)) is None


def test_a_higher_priority_displaces_a_lower_one_and_never_the_reverse():
    low = Some("a", -1)
    queue = a_full_queue(low, Some("b", 5))
    assert queue.displaced_by(Some("b", 0), HoldSpec(max_requests=2)) is low
    assert queue.displaced_by(Some("c", -2), HoldSpec(max_requests=2)) is None


def test_nobody_is_displaced_if_the_request_does_not_fit_even_then():
    queue = a_full_queue(*(Some("a", body_bytes=500) for _ in range(2)))
    assert queue.displaced_by(Some("b", body_bytes=600), HoldSpec(max_bytes=1024)) is None
    assert queue.displaced_by(Some("b", body_bytes=500), HoldSpec(max_bytes=1024))


class Reference:
    """The same rules without any speed."""

    def __init__(self) -> None:
        self.bands: dict[int, list[tuple[str, list[Some]]]] = {}

    def add(self, request: Some, *, first: bool) -> None:
        band = self.bands.setdefault(request.priority, [])
        line = next((each for each in band if each[0] == request.owner), None)
        if line is None:
            line = (request.owner, [])
            band.append(line)
        line[1].insert(0 if first else len(line[1]), request)
        if first:
            band.remove(line)
            band.insert(0, line)

    def remove(self, request: Some, *, served: bool) -> None:
        band = self.bands[request.priority]
        line = next(each for each in band if each[0] == request.owner)
        line[1].remove(request)
        if not line[1] or served:
            band.remove(line)
        if line[1] and served:
            band.append(line)

    def order(self) -> list[Some]:
        found = []
        for priority in sorted(self.bands, reverse=True):
            lines = [list(line) for _, line in self.bands[priority]]
            while any(lines):
                found += [line.pop(0) for line in lines if line]
        return found

    def longest(self) -> int:
        band = self.bands[min(priority for priority, lines in self.bands.items() if lines)]
        return max(len(line) for _, line in band)


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["add", "back", "serve", "leave"]),
        st.sampled_from("abc"),
        st.integers(-1, 1),
        st.integers(0, 99),
    ),
    max_size=60,
)


@given(STEPS)
def test_the_order_follows_the_rules_after_any_steps(steps):
    order, reference, content = an_order(), Reference(), []
    for what, owner, priority, number in steps:
        if what in {"add", "back"}:
            request = Some(owner, priority)
            order.add(request, first=what == "back")
            reference.add(request, first=what == "back")
            content.append(request)
        elif content:
            request = next(iter(order)) if what == "serve" else content[number % len(content)]
            content.remove(request)
            order.remove(request, served=what == "serve")
            reference.remove(request, served=what == "serve")
        assert list(order) == reference.order()
        if content:
            last = order.last_for(Some("new", 100))
            line = [each for each in content if (each.owner, each.priority) == (last.owner, last.priority)]
            assert last.priority == min(each.priority for each in content)
            assert len(line) == reference.longest()
