"""Several gateways that share the limits of a key: they read each other once a second."""

from contextlib import suppress
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from chatscale_contract.gateway.demand import GatewayDemand
from chatscale_contract.openai.errors import ApiError
from chatscale_gateway.limits.limiter import Limiter, Reservation
from tests.unit.gateway.limits.callers import a_caller

SHOP = "demo/shop"
PER_MINUTE = 6000


def a_report(limiter: Limiter, now_s: float, *, name: str = "g", instance: str = "i") -> GatewayDemand:
    """As the peers parse it."""
    demand = GatewayDemand(name, instance, 0, draining=False, models={}, keys=limiter.report(now_s))
    return GatewayDemand.from_json(demand.to_json())


def exchange(now_s: float, *limiters: Limiter) -> None:
    reports = {f"g{n}": a_report(limiter, now_s) for n, limiter in enumerate(limiters)}
    for number, limiter in enumerate(limiters):
        limiter.peers_read({name: each for name, each in reports.items() if name != f"g{number}"}, now_s)


def admits(limiter: Limiter, tokens: int, now_s: float, **policy: int) -> Reservation | None:
    try:
        return limiter.admit(a_caller(**policy or {"output_tokens_per_minute": PER_MINUTE}), 0, tokens, now_s)
    except ApiError:
        return None


def use(limiter: Limiter, tokens: int, now_s: float) -> None:
    found = admits(limiter, tokens, now_s)
    assert found is not None
    found.settle(0, tokens, now_s)


@pytest.mark.parametrize("gateways", [1, 2, 3])
def test_promise_19_gateways_together_keep_the_limit_and_promise_20_give_all_of_it(gateways):
    """Every gateway sends as much as it may for five minutes; each answer is half as long as its reservation."""
    limiters = [Limiter() for _ in range(gateways)]
    exchange(0.0, *limiters)
    used, open_requests, ticks = 0, [], 10
    for tick in range(300 * ticks):
        now_s = tick / ticks
        for limiter in limiters:
            while len(open_requests) < 20 * gateways and (found := admits(limiter, 200, now_s)):
                open_requests.append((now_s + 2.0, found))
        for end_s, reservation in list(open_requests):
            if end_s <= now_s:
                open_requests.remove((end_s, reservation))
                reservation.settle(0, 100, now_s)
                used += 100
        if tick % ticks == 0:
            exchange(now_s, *limiters)
    allowed = PER_MINUTE + 300 * PER_MINUTE / 60
    assert 0.95 * allowed <= used <= 1.05 * allowed


def test_concurrency_is_summed_over_gateways_that_exist():
    one, two = Limiter(), Limiter()
    exchange(0.0, one, two)
    first = admits(one, 1, 0.0, max_concurrency=2)
    admits(one, 1, 0.0, max_concurrency=2)
    exchange(1.0, one, two)
    assert first
    assert admits(two, 1, 1.0, max_concurrency=2) is None
    first.settle(0, 1, 1.0)
    exchange(2.0, one, two)
    assert admits(two, 1, 2.0, max_concurrency=2)
    two.peers_read({}, 3.0)
    assert admits(two, 1, 3.0, max_concurrency=2)


def test_a_new_gateway_starts_with_what_the_others_have_left():
    old, new = Limiter(), Limiter()
    old.peers_read({}, 0.0)
    use(old, PER_MINUTE, 0.0)
    exchange(0.0, old, new)
    assert admits(new, 1, 0.0) is None
    assert admits(new, 100, 1.0) is not None


def test_a_new_gateway_that_was_asked_before_its_first_reading_starts_with_that_too():
    old, new = Limiter(), Limiter()
    old.peers_read({}, 0.0)
    use(old, PER_MINUTE - 200, 0.0)
    use(new, 150, 0.0)
    exchange(0.0, old, new)
    assert admits(new, 51, 0.0) is None
    assert admits(new, 50, 0.0) is not None


def test_a_gateway_that_restarts_uses_up_nothing_twice():
    limiter, peer = Limiter(), Limiter()
    exchange(0.0, limiter, peer)
    use(limiter, 1000, 0.0)
    use(peer, 2000, 0.0)
    limiter.peers_read({"g1": a_report(peer, 0.0)}, 0.0)
    fresh = Limiter()
    fresh.peers_read({"g0": a_report(limiter, 0.0)}, 0.0)
    use(fresh, 500, 0.0)
    for _ in range(2):
        limiter.peers_read({"g1": a_report(fresh, 0.0, instance="after")}, 0.0)
        assert limiter.report(0.0)[SHOP].missing_output == 3500


def test_a_peer_that_was_unreadable_for_long_costs_no_minutes_of_waiting():
    limiter, peer = Limiter(), Limiter()
    exchange(0.0, limiter, peer)
    use(limiter, 1, 0.0)
    limiter.peers_read({}, 20.0)
    for minute in range(1, 6):
        use(peer, PER_MINUTE, 60.0 * minute)
    limiter.peers_read({"g1": a_report(peer, 300.0)}, 300.0)
    assert limiter.report(300.0)[SHOP].missing_output == PER_MINUTE


def test_the_tokens_of_a_peer_that_is_gone_stay_used():
    limiter, peer = Limiter(), Limiter()
    exchange(0.0, limiter, peer)
    use(peer, PER_MINUTE - 1, 0.0)
    use(limiter, 1, 0.0)
    limiter.peers_read({"g1": a_report(peer, 0.0)}, 0.0)
    limiter.peers_read({}, 1.0)
    assert admits(limiter, 101, 1.0) is None
    assert admits(limiter, 100, 1.0)


def test_a_key_that_a_peer_has_dropped_and_uses_again_counts_from_zero():
    limiter, peer = Limiter(), Limiter()
    exchange(0.0, limiter, peer)
    use(peer, 5000, 0.0)
    exchange(1.0, limiter, peer)
    exchange(1000.0, limiter, peer)
    use(peer, 100, 1001.0)
    use(limiter, 1, 1001.0)
    exchange(1001.0, limiter, peer)
    assert limiter.report(1001.0)[SHOP].missing_output == 101


@dataclass
class Gateway:
    limiter: Limiter = field(default_factory=Limiter)
    open: list[Reservation] = field(default_factory=list)


class Ends(RuleBasedStateMachine):
    """No time passes, so what is missing from the buckets is exactly what was used and what is reserved."""

    def __init__(self) -> None:
        super().__init__()
        self.gateways = [Gateway(), Gateway()]
        self.caller = a_caller(
            requests_per_minute=40, input_tokens_per_minute=3000, output_tokens_per_minute=5000, max_concurrency=12
        )
        self.used = (0, 0, 0)
        self.read()

    @rule(which=st.integers(0, 1), tokens=st.integers(0, 600), prompt=st.integers(1, 300))
    def arrive(self, which, tokens, prompt) -> None:
        gateway = self.gateways[which]
        with suppress(ApiError):
            gateway.open.append(gateway.limiter.admit(self.caller, prompt, tokens, 0.0))

    @precondition(lambda self: any(each.open for each in self.gateways))
    @rule(number=st.integers(0, 99), prompt=st.integers(0, 400), tokens=st.integers(0, 800), refused=st.booleans())
    def end(self, number, prompt, tokens, refused) -> None:
        gateway = max(self.gateways, key=lambda each: len(each.open))
        reservation = gateway.open.pop(number % len(gateway.open))
        if refused:
            reservation.give_back(0.0)
        else:
            reservation.settle(prompt, tokens, 0.0)
            self.used = (self.used[0] + 1, self.used[1] + prompt, self.used[2] + tokens)
        reservation.settle(prompt, tokens, 0.0)

    @rule()
    def read(self) -> None:
        exchange(0.0, *(each.limiter for each in self.gateways))

    @rule(priority=st.integers(-100, 100))
    def change_the_secret(self, priority) -> None:
        self.caller = replace(self.caller, policy=replace(self.caller.policy, priority=priority))

    def teardown(self) -> None:
        reserved = [each for gateway in self.gateways for each in gateway.open]
        self.read()
        expected = (
            self.used[0] + len(reserved),
            self.used[1] + sum(each.input_tokens for each in reserved),
            self.used[2] + sum(each.output_tokens for each in reserved),
        )
        for gateway in self.gateways:
            if found := gateway.limiter.report(0.0).get(SHOP):
                assert (found.missing_requests, found.missing_input, found.missing_output) == expected
                assert found.concurrency == len(gateway.open)
                assert (found.reserved_input > 0) <= bool(gateway.open)


Ends.TestCase.settings = settings(max_examples=60, stateful_step_count=40)
TestPromises19And21AnyMixOfEndsLeavesTheUseAndNoPlace = Ends.TestCase
