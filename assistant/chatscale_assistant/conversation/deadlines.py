"""Limits of the steps of a turn. A step that fails or is late lowers the rung of the answer; nothing raises.

No error is logged with its message, which may quote a conversation.
"""

import asyncio
import logging
import traceback
from collections.abc import Awaitable
from typing import Final, TypeVar

from chatscale_assistant import metrics

log = logging.getLogger(__name__)

T = TypeVar("T")

TURN_S: Final = 30.0
"""For a whole turn without the model step: a step that hangs must not keep its place."""
RETRIEVAL_S: Final = 1.5
TOOLS_S: Final = 6.0
DESK_S: Final = 6.0
STATUS_S: Final = 1.0


async def limited(part: str, step: Awaitable[T], seconds: float, otherwise: T) -> T:
    """The step's result; `otherwise` if it failed or was late, which is counted.  part: for the metric."""
    try:
        async with asyncio.timeout(seconds):
            return await step
    except TimeoutError:
        log.warning("step was late", extra={"part": part, "limit_s": seconds})
    except Exception as error:  # noqa: BLE001 - the answer comes from a lower rung
        log.error("step failed", extra={"part": part, **where(error)})  # noqa: TRY400
    metrics.PARTS_FAILED.labels(part).inc()
    return otherwise


def where(error: BaseException) -> dict[str, str]:
    """Fields for a log line: class and place of an error, without its message, which may quote a conversation."""
    return {"error": type(error).__name__, "traceback": "".join(traceback.format_tb(error.__traceback__))}
