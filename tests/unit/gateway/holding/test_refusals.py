import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatscale_gateway.holding.drain_rate import RETRY_WITHOUT_RATE_S, DrainRate, retry_after_start_s
from chatscale_gateway.holding.refusals import RefusalReason, refuse
from tests.support.gateway_world import TINY


@pytest.mark.parametrize("reason", RefusalReason)
def test_promise_31_a_refusal_says_when_to_come_back_or_that_waiting_cannot_help(reason):
    headers = refuse(reason, TINY, 7).headers()
    hopeless = reason in {
        RefusalReason.STOPPED, RefusalReason.ASLEEP, RefusalReason.DELETED, RefusalReason.REVOKED
    }  # fmt: skip
    found = {name: value for name, value in headers.items() if name != "WWW-Authenticate"}
    assert found == ({"x-should-retry": "false"} if hopeless else {"Retry-After": "7"})


@pytest.mark.parametrize(
    ("reason", "status"),
    [(RefusalReason.REQUESTS, 429), (RefusalReason.DEADLINE, 503), (RefusalReason.STOPPED, 503),
     (RefusalReason.DELETED, 404), (RefusalReason.REVOKED, 401), (RefusalReason.SHUTDOWN, 503)],
)  # fmt: skip
def test_a_full_bound_is_429_and_a_deadline_503(reason, status):
    assert refuse(reason, TINY, 1).status == status


def test_promise_31_retry_after_is_the_time_in_which_the_queue_drains():
    rate = DrainRate()
    for now_s in range(20):
        rate.record(now_s)  # one a second
    assert rate.retry_after_s(15, 19) == 15


def test_promise_31_retry_after_is_a_guess_while_nothing_leaves_the_queue():
    rate = DrainRate()
    assert rate.retry_after_s(1000, 0) == RETRY_WITHOUT_RATE_S
    rate.record(0)
    assert rate.retry_after_s(1000, 31) == RETRY_WITHOUT_RATE_S


@pytest.mark.parametrize(
    ("start_s", "waited_s", "expected_s"),
    [
        pytest.param(42.0, 0.0, 42, id="just requested"),
        pytest.param(42.0, 30.5, 12, id="the rest of the start"),
        pytest.param(600.0, 0.0, 60, id="at most 60 s"),
        pytest.param(42.0, 50.0, RETRY_WITHOUT_RATE_S, id="longer than measured"),
        pytest.param(None, 5.0, RETRY_WITHOUT_RATE_S, id="never measured"),
    ],
)
def test_promise_31_retry_after_is_the_rest_of_a_measured_start(start_s, waited_s, expected_s):
    assert retry_after_start_s(start_s, waited_s) == expected_s


@given(st.lists(st.floats(0, 100)), st.integers(0, 100_000), st.floats(100, 120))
def test_retry_after_is_1_to_60_s(times_s, waiting, now_s):
    rate = DrainRate()
    for time_s in sorted(times_s):
        rate.record(time_s)
    assert 1 <= rate.retry_after_s(waiting, now_s) <= 60
