import pytest

from chatscale_gateway.limits.limiter import Limiter
from chatscale_gateway.limits.rate_headers import RATE_LIMIT_HEADERS, format_reset
from tests.unit.gateway.limits.callers import a_caller


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0ms"), (0.12, "120ms"), (0.0001, "1ms"), (1, "1s"), (7.66, "7.66s"), (59.991, "1m0s"), (60, "1m0s"),
     (360, "6m0s"), (3661.5, "61m1.5s")],
)  # fmt: skip
def test_writes_durations_as_openai_does(seconds, text):
    assert format_reset(seconds) == text


def test_shows_each_limit_and_the_tighter_one_of_the_two_for_tokens():
    limiter = Limiter()
    caller = a_caller(requests_per_minute=60, input_tokens_per_minute=6000, output_tokens_per_minute=600)
    limiter.admit(caller, 600, 300, 0.0)
    assert limiter.headers(caller, 0.0) == {
        "x-ratelimit-limit-requests": "60",
        "x-ratelimit-remaining-requests": "59",
        "x-ratelimit-reset-requests": "1s",
        "x-ratelimit-limit-input-tokens": "6000",
        "x-ratelimit-remaining-input-tokens": "5400",
        "x-ratelimit-reset-input-tokens": "6s",
        "x-ratelimit-limit-output-tokens": "600",
        "x-ratelimit-remaining-output-tokens": "300",
        "x-ratelimit-reset-output-tokens": "30s",
        "x-ratelimit-limit-tokens": "600",
        "x-ratelimit-remaining-tokens": "300",
        "x-ratelimit-reset-tokens": "30s",
    }
    assert set(limiter.headers(caller, 0.0)) == set(RATE_LIMIT_HEADERS)


def test_a_limit_that_a_key_does_not_have_has_no_header():
    caller = a_caller(requests_per_minute=60)
    assert set(Limiter().headers(caller, 0.0)) == {
        f"x-ratelimit-{what}-requests" for what in ("limit", "remaining", "reset")
    }
    assert Limiter().headers(a_caller(max_concurrency=1), 0.0) == {}


def test_a_debt_shows_as_nothing_left():
    caller, limiter = a_caller(output_tokens_per_minute=60), Limiter()
    limiter.admit(caller, 0, 1, 0.0).settle(0, 90, 0.0)
    found = limiter.headers(caller, 0.0)
    assert (found["x-ratelimit-remaining-tokens"], found["x-ratelimit-reset-tokens"]) == ("0", "1m30s")
