from dataclasses import replace

import pytest

from chatscale_contract.gateway.keys import KeyPolicy
from chatscale_contract.openai.errors import ApiError
from chatscale_gateway.keys.caller import ANYBODY, Caller
from chatscale_gateway.limits.account import IDLE_S
from chatscale_gateway.limits.limiter import NO_LIMITS, Limiter
from tests.unit.gateway.limits.callers import a_caller

SHOP = "demo/shop"


def drained(caller: Caller) -> Limiter:
    """All buckets are empty at 0 s, and no request is open."""
    limiter, policy = Limiter(), caller.policy
    whole = (policy.input_tokens_per_minute or 0, policy.output_tokens_per_minute or 0)
    limiter.admit(caller, *whole, 0.0).settle(*whole, 0.0)
    for _ in range((policy.requests_per_minute or 1) - 1):
        limiter.admit(caller, 0, 0, 0.0).settle(0, 0, 0.0)
    return limiter


def refused(limiter: Limiter, caller: Caller, input_tokens: int, output_tokens: int, now_s: float = 0.0) -> ApiError:
    with pytest.raises(ApiError) as error:
        limiter.admit(caller, input_tokens, output_tokens, now_s)
    return error.value


@pytest.mark.parametrize("caller", [ANYBODY, a_caller(), a_caller(priority=5, wake=False)])
def test_a_caller_without_limits_has_no_account(caller):
    limiter = Limiter()
    assert limiter.admit(caller, 10**9, 10**9, 0.0) is NO_LIMITS
    assert (limiter.report(0.0), limiter.headers(caller, 0.0)) == ({}, {})


@pytest.mark.parametrize(
    ("policy", "need", "limit", "retry_after_s"),
    [
        pytest.param({"requests_per_minute": 30}, (1, 1), "requestsPerMinute is 30", 2, id="requests"),
        pytest.param({"input_tokens_per_minute": 60}, (20, 1), "inputTokensPerMinute is 60", 20, id="input"),
        pytest.param({"output_tokens_per_minute": 60}, (1, 7), "outputTokensPerMinute is 60", 7, id="output"),
        pytest.param(
            {"requests_per_minute": 60, "output_tokens_per_minute": 60}, (1, 7), "outputTokensPer", 7, id="the longest"
        ),
    ],
)
def test_promise_31_a_refusal_names_the_limit_and_when_there_is_enough(policy, need, limit, retry_after_s):
    caller = a_caller(**policy)
    limiter = drained(caller)
    error = refused(limiter, caller, *need)
    assert (error.status, error.code, error.retry_after_s) == (429, "rate_limit_exceeded", retry_after_s)
    assert f"key `{SHOP}`: {limit}" in str(error)
    refused(limiter, caller, *need, now_s=retry_after_s - 1.0)
    assert not limiter.admit(caller, *need, float(retry_after_s)).settled


@pytest.mark.parametrize(
    ("policy", "need"),
    [({"input_tokens_per_minute": 60}, (61, 1)), ({"output_tokens_per_minute": 60}, (1, 61)),
     ({"requests_per_minute": 0}, (1, 1)), ({"max_concurrency": 0}, (1, 1))],
)  # fmt: skip
def test_promise_31_a_request_larger_than_the_limit_is_not_to_be_repeated(policy, need):
    error = refused(Limiter(), a_caller(**policy), *need)
    assert (error.status, error.retryable) == (429, False)
    assert error.headers() == {"x-should-retry": "false"}


def test_promise_20_refuses_nobody_who_is_under_the_limit():
    """A minute's tokens at once, and after that what is refilled, to the last one."""
    caller, limiter = a_caller(output_tokens_per_minute=600), Limiter()
    for second in range(120):
        tokens = 600 if second == 0 else 10
        limiter.admit(caller, 0, tokens, float(second)).settle(0, tokens, float(second))
    refused(limiter, caller, 0, 1, now_s=119.0)


def test_promise_20_a_reservation_that_was_too_large_is_given_back():
    caller, limiter = a_caller(output_tokens_per_minute=600), Limiter()
    for left in range(600, 0, -10):
        limiter.admit(caller, 0, left, 0.0).settle(0, 10, 0.0)
    refused(limiter, caller, 0, 1)


def test_promise_20_a_request_that_does_not_limit_its_answer_fits_into_a_small_bucket():
    caller, limiter = a_caller(output_tokens_per_minute=600), Limiter()
    for _ in range(4):
        assert limiter.admit(caller, 0, 1024, 0.0, guessed=True).output_tokens == 150
    with pytest.raises(ApiError):
        limiter.admit(caller, 0, 1024, 0.0, guessed=True)


def test_promise_19_parallel_requests_cannot_use_the_same_tokens():
    caller, limiter = a_caller(output_tokens_per_minute=600), Limiter()
    admitted = [limiter.admit(caller, 0, 100, 0.0) for _ in range(6)]
    refused(limiter, caller, 0, 100)
    admitted[0].settle(0, 100, 0.0)
    refused(limiter, caller, 0, 100)
    admitted[1].settle(0, 0, 0.0)
    limiter.admit(caller, 0, 100, 0.0)


def test_promise_19_use_beyond_the_reservation_is_a_debt():
    caller, limiter = a_caller(output_tokens_per_minute=60), Limiter()
    limiter.admit(caller, 0, 10, 0.0).settle(0, 90, 0.0)
    assert refused(limiter, caller, 0, 1).retry_after_s == 31


def test_promise_20_a_debt_of_generated_tokens_delays_no_embedding():
    caller, limiter = a_caller(input_tokens_per_minute=60, output_tokens_per_minute=60), Limiter()
    limiter.admit(caller, 1, 10, 0.0).settle(1, 90, 0.0)
    refused(limiter, caller, 1, 1)
    limiter.admit(caller, 1, 0, 0.0)


def test_promise_21_a_place_is_free_when_a_request_has_ended_in_any_way():
    caller, limiter = a_caller(max_concurrency=1), Limiter()
    for end in ("settle", "give_back", "settle"):
        reservation = limiter.admit(caller, 1, 1, 0.0)
        assert refused(limiter, caller, 1, 1).retry_after_s == 1
        reservation.settle(1, 1, 0.0) if end == "settle" else reservation.give_back(0.0)
        reservation.settle(1, 1, 0.0)
    assert limiter.report(0.0)[SHOP].concurrency == 0


def test_a_refused_request_uses_nothing():
    caller, limiter = (
        a_caller(requests_per_minute=1, input_tokens_per_minute=10, output_tokens_per_minute=10),
        Limiter(),
    )
    limiter.admit(caller, 10, 10, 0.0).give_back(0.0)
    refused(limiter, caller, 11, 1)
    limiter.admit(caller, 10, 10, 0.0)


def test_a_changed_secret_counts_at_the_next_request():
    caller, limiter = a_caller(requests_per_minute=1), Limiter()
    limiter.admit(caller, 1, 1, 0.0)
    refused(limiter, caller, 1, 1)
    more = replace(caller, policy=KeyPolicy(requests_per_minute=2, output_tokens_per_minute=5))
    limiter.admit(more, 1, 5, 30.0)  # 2 per minute: one after 30 s
    refused(limiter, more, 1, 1, 30.0)
    none = replace(caller, policy=KeyPolicy(max_concurrency=3))
    limiter.admit(none, 1, 1, 30.0)
    refused(limiter, none, 1, 1, 30.0)


def test_promise_20_a_lower_limit_does_not_refuse_a_key_for_its_use_under_the_former_one():
    caller, limiter = a_caller(output_tokens_per_minute=10**6), Limiter()
    limiter.admit(caller, 1, 10**6, 0.0).settle(1, 10**6, 0.0)
    lower = replace(caller, policy=KeyPolicy(output_tokens_per_minute=1000))
    refused(limiter, lower, 1, 1000, 0.0)
    limiter.admit(lower, 1, 1000, 60.0)


def test_promise_19_a_caller_with_two_policies_gains_nothing_by_changing_between_them():
    high, limiter = a_caller(output_tokens_per_minute=600), Limiter()
    low = replace(high, policy=KeyPolicy(output_tokens_per_minute=60))
    limiter.admit(high, 1, 600, 0.0)
    for caller in (low, high):
        refused(limiter, caller, 1, 1, 0.0)


def test_keys_do_not_share_their_limits():
    limiter = Limiter()
    limiter.admit(a_caller("one", requests_per_minute=1), 1, 1, 0.0)
    limiter.admit(a_caller("two", requests_per_minute=1), 1, 1, 0.0)


def test_an_idle_key_is_forgotten_once_nothing_is_lost():
    caller, limiter = a_caller(output_tokens_per_minute=60), Limiter()
    reservation = limiter.admit(caller, 0, 60, 0.0)
    assert SHOP in limiter.report(10 * IDLE_S)
    reservation.settle(0, 600, 10 * IDLE_S)
    assert SHOP in limiter.report(11 * IDLE_S)  # a debt of nine minutes is left
    assert limiter.report(20 * IDLE_S) == {}
