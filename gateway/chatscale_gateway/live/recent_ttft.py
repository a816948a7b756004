"""Times to first token of the last minute in this gateway, in a fixed amount of memory. Pure."""

from collections import deque
from collections.abc import Mapping
from typing import Final

from chatscale_contract.gateway.latencies import WINDOW_S, add_counts, bucket_of

PARTS: Final = 12
"""The window moves in steps of 5 s."""
_PART_S: Final = WINDOW_S / PARTS


class RecentTtft:
    """Counts by bucket. Times are monotonic seconds and never fall."""

    __slots__ = ("_parts",)

    def __init__(self) -> None:
        self._parts: Final[deque[tuple[int, dict[int, int]]]] = deque(maxlen=PARTS)
        """Number of the step, and the counts of its 5 s; the newest last."""

    def record(self, ttft_s: float, now_s: float) -> None:
        """A streamed answer has begun."""
        step = int(now_s // _PART_S)
        if not self._parts or self._parts[-1][0] != step:
            self._parts.append((step, {}))
        counts, bucket = self._parts[-1][1], bucket_of(ttft_s)
        counts[bucket] = counts.get(bucket, 0) + 1

    def counts(self, now_s: float) -> Mapping[int, int]:
        """Answers of the window by bucket."""
        oldest = int(now_s // _PART_S) - PARTS
        while self._parts and self._parts[0][0] <= oldest:
            self._parts.popleft()
        if not self._parts:
            return {}
        return dict(add_counts(counts for _, counts in self._parts))
