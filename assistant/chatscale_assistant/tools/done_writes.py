"""The writes of this process: a second one with the same key is refused unless the server itself does a key once.

The memory is this pod's only. Across pods, the receipt in the conversation, the policy's conditions (a cancelled order
is not pending any more) and the shop's server guard against a second write.
"""

from collections import OrderedDict
from collections.abc import Callable
from typing import Final

KEEP_S: Final = 3600.0
MAX_KEYS: Final = 100_000


class DoneWrites:
    """clock: monotonic seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock: Final = clock
        self._claimed: Final[OrderedDict[str, float]] = OrderedDict()

    def __contains__(self, key: object) -> bool:
        return key in self._claimed

    def claim(self, key: str) -> bool:
        """Whether the key is new. It is claimed before the call, so that two calls at the same time are one write."""
        now_s = self._clock()
        while self._claimed and (next(iter(self._claimed.values())) < now_s - KEEP_S or len(self._claimed) >= MAX_KEYS):
            self._claimed.popitem(last=False)
        if key in self._claimed:
            return False
        self._claimed[key] = now_s
        return True

    def release(self, key: str) -> None:
        """The write certainly changed nothing."""
        self._claimed.pop(key, None)
