"""Buckets for latencies that gateways exchange, and quantiles of their sum. Pure.

Bucket `n` has the latencies above `SMALLEST_S * GROWTH**(n - 1)` and at most `SMALLEST_S * GROWTH**n`. A quantile is
the middle of its bucket, so it differs from the exact one by at most 2.5 %.
"""

import math
from collections.abc import Iterable, Mapping
from typing import Final

SMALLEST_S: Final = 0.001
"""Upper limit of bucket 0."""
GROWTH: Final = 1.05
LAST_BUCKET: Final = 284
"""Ends above 1,000 s; it has all longer latencies, too."""
WINDOW_S: Final = 60.0
"""Each gateway reports the latencies of this many seconds."""


def bucket_of(latency_s: float) -> int:
    """The bucket of one latency, from 0 to `LAST_BUCKET`."""
    if latency_s <= SMALLEST_S:
        return 0
    # Without the margin, a limit itself would be in the next bucket because of rounding.
    return min(LAST_BUCKET, math.ceil(math.log(latency_s / SMALLEST_S, GROWTH) - 1e-9))


def add_counts(parts: Iterable[Mapping[int, int]]) -> dict[int, int]:
    """Latencies by bucket, over all gateways."""
    total: dict[int, int] = {}
    for part in parts:
        for bucket, count in part.items():
            total[bucket] = total.get(bucket, 0) + count
    return total


def quantiles_s(counts: Mapping[int, int], *shares: float) -> list[float | None]:
    """For each share the latency, seconds, that so many of all latencies do not exceed. None without latencies.

    shares: above 0 and at most 1, such as 0.5 and 0.95.
    """
    ordered = sorted(counts.items())
    total = sum(counts.values())
    return [_at_rank(ordered, math.ceil(share * total)) if total else None for share in shares]


def _at_rank(ordered: Iterable[tuple[int, int]], rank: int) -> float | None:
    for bucket, count in ordered:
        rank -= count
        if rank <= 0:
            return SMALLEST_S * GROWTH ** (bucket - 0.5) if bucket else SMALLEST_S
    return None
