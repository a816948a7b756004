import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatscale_gateway.limits.bucket import Bucket


def test_refills_evenly_up_to_what_a_minute_allows():
    bucket = Bucket(60, 0.0)
    bucket.take(60, 0.0)
    assert [bucket.level(at) for at in (0.5, 1.0, 59.0, 1000.0)] == pytest.approx([0.5, 1.0, 59.0, 60.0])


def test_time_that_goes_back_changes_nothing():
    bucket = Bucket(60, 10.0, missing=60)
    assert bucket.level(5.0) == 0


def test_use_beyond_the_reservation_is_repaid_before_the_next_request():
    bucket = Bucket(60, 0.0)
    bucket.take(90, 0.0)
    assert bucket.wait_s(1, 0.0) == pytest.approx(31)


def test_what_can_never_be_taken_takes_for_ever():
    assert Bucket(60, 0.0).wait_s(61, 0.0) == float("inf")
    assert Bucket(0, 0.0).wait_s(1, 0.0) == float("inf")
    assert Bucket(0, 0.0).full_in_s(0.0) == 0


def test_giving_back_never_makes_more_than_full():
    bucket = Bucket(60, 0.0)
    bucket.take(30, 0.0)
    bucket.take(-30, 20.0)
    assert bucket.missing(20.0) == 0


@pytest.mark.parametrize(("used", "after", "left"), [(30, 100, 50), (30, 20, 10), (90, 20, -10), (90, 600, -300)])
def test_a_changed_limit_does_not_change_when_the_bucket_is_full(used, after, left):
    bucket = Bucket(60, 0.0)
    bucket.take(used, 0.0)
    bucket.change(after, 0.0)
    assert (bucket.level(0.0), bucket.full_in_s(0.0)) == pytest.approx((left, used))


@given(st.integers(1, 10**6), st.floats(0, 10**6), st.floats(0, 1), st.floats(0, 10**5))
def test_promise_31_enough_is_there_after_the_wait(per_minute, used, share, now_s):
    bucket = Bucket(per_minute, now_s, missing=used)
    amount = share * per_minute
    wait_s = bucket.wait_s(amount, now_s)
    if wait_s * per_minute > 1e-3:
        assert bucket.wait_s(amount, now_s + 0.9 * wait_s) > 0
    assert bucket.wait_s(amount, now_s + wait_s + 1e-6) == 0
