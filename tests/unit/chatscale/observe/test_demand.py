"""The sums over gateways: gauges of the readable ones, and counters that never fall."""

from hypothesis import given
from hypothesis import strategies as st

from chatscale.observe.demand import CURRENT_S, KEPT_S, Demands, models_to_start
from chatscale.scaling.signals import ClientCounters, ClientDemand
from tests.support.builders import at
from tests.support.gateways import a_report

TINY = "demo/tiny"


def of(demands: Demands, now_s: float) -> ClientDemand:
    return demands.of(TINY, at(now_s), now_s)


def test_gauges_of_all_gateways_add_up():
    demands = Demands().with_gateways({"a": "gw-a", "b": "gw-b"}, 0)
    demands = demands.with_report("a", a_report(held=2, held_prompt_tokens=10, oldest_held_s=3, in_flight=1), 0)
    demands = demands.with_report("b", a_report(held=1, oldest_held_s=4, in_flight=5, in_flight_by_pod={"p": 5}), 0)
    assert of(demands, 0) == ClientDemand(
        at(0), gateways=2, is_current=True, held=3, held_prompt_tokens=10, in_flight=6, oldest_held_s=4,
        in_flight_by_pod={"p": 5},
    )  # fmt: skip


def test_an_unreadable_gateway_keeps_its_reading_for_ten_seconds_and_is_then_ignored():
    demands = Demands().with_gateways({"a": "gw-a"}, 0).with_report("a", a_report(held=2), 0)
    assert (of(demands, KEPT_S).held, of(demands, KEPT_S).unread) == (2, ())
    later = of(demands, KEPT_S + 0.1)
    assert (later.held, later.gateways, later.unread) == (0, 0, ("gw-a",))


def test_a_reading_is_current_only_while_every_gateway_answers():
    demands = Demands().with_gateways({"a": "gw-a", "b": "gw-b"}, 0).with_report("a", a_report(), 0)
    assert not of(demands, 0).is_current, "gateway b was never read"
    demands = demands.with_report("b", a_report(), 0)
    assert of(demands, CURRENT_S).is_current
    assert not of(demands, CURRENT_S + 0.1).is_current
    assert not of(Demands(), 0).is_current


def test_a_gateway_that_is_gone_counts_as_zero_and_its_counts_stay():
    demands = Demands().with_gateways({"a": "gw-a"}, 0)
    demands = demands.with_report("a", a_report(arrived=5), 0).with_report("a", a_report(arrived=8, held=3), 1)
    demands = demands.with_gateways({}, 2)
    assert (of(demands, 2).held, of(demands, 2).unread, of(demands, 2).counters.arrived) == (0, (), 3)


def test_the_first_report_of_a_gateway_adds_nothing():
    demands = Demands().with_gateways({"a": "gw-a"}, 0).with_report("a", a_report(arrived=10_000), 0)
    assert of(demands, 0).counters == ClientCounters()


def test_a_restarted_gateway_counts_from_zero():
    demands = Demands().with_gateways({"a": "gw-a"}, 0).with_report("a", a_report(arrived=100), 0)
    demands = demands.with_report("a", a_report("two", arrived=4), 1)
    assert of(demands, 1).counters.arrived == 4


def test_a_deleted_model_is_forgotten():
    demands = Demands().with_gateways({"a": "gw-a"}, 0).with_report("a", a_report(), 0)
    demands = demands.with_report("a", a_report(arrived=4), 1).without_model(TINY)
    assert of(demands, 1).counters == ClientCounters()


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("requests"), st.sampled_from("ab"), st.integers(0, 50)),
        st.tuples(st.just("restarts"), st.sampled_from("ab"), st.just(0)),
        st.tuples(st.just("leaves"), st.sampled_from("ab"), st.just(0)),
    ),
    max_size=30,
)


@given(steps=STEPS)
def test_counters_never_fall_and_count_every_request_that_was_reported(steps: list[tuple[str, str, int]]):
    demands, counts, lives, expected, known = Demands(), {"a": 0, "b": 0}, {"a": 0, "b": 0}, 0, set[str]()
    before = 0
    for second, (what, gateway, number) in enumerate(steps):
        match what:
            case "requests":
                counts[gateway] += number
                demands = demands.with_gateways({uid: uid for uid in known | {gateway}}, second)
                expected += number if gateway in known else 0
                known.add(gateway)
                report = a_report(str(lives[gateway]), arrived=counts[gateway])
                demands = demands.with_report(gateway, report, second)
            case "restarts":
                lives[gateway] += 1
                counts[gateway] = 0
            case _:
                known.discard(gateway)
                demands = demands.with_gateways({uid: uid for uid in known}, second)
        total = of(demands, second).counters.arrived
        assert total >= before
        assert total == expected
        before = total


def test_a_new_wake_names_the_models_that_refused_requests():
    assert models_to_start(a_report(wake_seq=1, refused=4), a_report(wake_seq=2, refused=5)) == (TINY,)
    assert models_to_start(a_report(wake_seq=1, refused=4), a_report(wake_seq=2, refused=4)) == ()


def test_a_new_wake_names_the_models_that_are_held():
    assert models_to_start(None, a_report(wake_seq=1, held=1)) == (TINY,)
    assert models_to_start(a_report(wake_seq=1), a_report(wake_seq=2, held=1)) == (TINY,)
    assert models_to_start(a_report(wake_seq=1), a_report(wake_seq=1, held=1)) == ()
    assert models_to_start(a_report(wake_seq=1), a_report("two", wake_seq=1, held=1)) == (TINY,)
    assert models_to_start(a_report(wake_seq=1), a_report(wake_seq=2)) == ()


def test_promise_32_requests_with_wake_false_start_no_model():
    chore = a_report(wake_seq=2, held=2, no_wake_held=2)
    assert models_to_start(a_report(wake_seq=1), chore) == ()
    assert models_to_start(a_report(wake_seq=1), a_report(wake_seq=2, held=3, no_wake_held=2)) == (TINY,)
    demands = Demands().with_gateways({"a": "gw-a"}, 0).with_report("a", chore, 0)
    assert (of(demands, 0).held, of(demands, 0).waking_held) == (2, 0)
