"""The window of times to first token."""

from chatscale_contract.gateway.latencies import WINDOW_S, bucket_of
from chatscale_gateway.live.recent_ttft import PARTS, RecentTtft


def test_counts_the_answers_of_the_last_minute_and_forgets_older_ones() -> None:
    recent = RecentTtft()
    recent.record(0.2, now_s=100.0)
    recent.record(0.2, now_s=100.1)
    recent.record(3.0, now_s=130.0)
    assert recent.counts(now_s=131.0) == {bucket_of(0.2): 2, bucket_of(3.0): 1}
    assert recent.counts(now_s=100.0 + WINDOW_S) == {bucket_of(3.0): 1}
    assert recent.counts(now_s=1000.0) == {}


def test_takes_no_more_memory_with_more_answers() -> None:
    recent = RecentTtft()
    for n in range(10_000):
        recent.record(0.1, now_s=n)
    assert sum(recent.counts(now_s=9_999).values()) <= WINDOW_S
    assert len(recent._parts) <= PARTS
