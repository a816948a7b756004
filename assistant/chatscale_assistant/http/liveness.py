"""Whether the event loop keeps its times. A heartbeat measures it, so that /livez fails only after a long block."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from chatscale_assistant import metrics

BEAT_S: Final = 1.0
STUCK_AFTER_S: Final = 30.0


@dataclass(slots=True)
class Heartbeat:
    """When the event loop last ran."""

    clock: Callable[[], float] = time.monotonic
    last_s: float = 0.0

    def beat(self) -> None:
        """The loop runs."""
        self.last_s = self.clock()

    @property
    def alive(self) -> bool:
        """Whether the loop ran within `STUCK_AFTER_S`. True before the first beat."""
        return not self.last_s or self.clock() - self.last_s < STUCK_AFTER_S

    async def run(self) -> None:
        """Beat each second, and measure how late the loop is."""
        while True:
            self.beat()
            due_s = self.last_s + BEAT_S
            await asyncio.sleep(BEAT_S)
            metrics.EVENT_LOOP_LAG_SECONDS.observe(max(0.0, self.clock() - due_s))
