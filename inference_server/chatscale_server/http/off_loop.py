"""Work on texts that may be long, without holding up everybody else's."""

import asyncio
from collections.abc import Callable
from typing import Final, TypeVar

T = TypeVar("T")

INLINE_CHARS: Final = 4096
"""Longer texts are worked on in a thread: more than this can hold up the loop for a millisecond."""


async def off_loop(work: Callable[[], T], chars: int) -> T:
    """Do it here if it is short."""
    return work() if chars <= INLINE_CHARS else await asyncio.to_thread(work)
