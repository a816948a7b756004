"""What the access log has of a request: one JSON line, without text of the conversation or of the client's headers."""

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from chatscale_contract.openai.sse import encode_json

WriteLine = Callable[[str], None]
CLIENT_LEFT_STATUS: Final = 499
"""As nginx logs it: no response was sent."""


@dataclass(slots=True)
class RequestRecord:
    """What is known about a request so far."""

    request_id: str
    method: str
    started_s: float
    """Monotonic clock."""
    route: str = "other"
    """Path of the API that answered; `other` for none. Never the client's text."""
    status: int = CLIENT_LEFT_STATUS
    streamed: bool = False
    waited_s: float = 0.0
    """Time until a place was free."""
    rung: str = ""
    language: str = ""
    hand_over: str = ""
    index: str = ""
    items: int = 0
    """Of a task."""
    code: str = ""
    """`code` of the error, if there was one."""
    cut_off: bool = False
    """The shutdown ended it."""


@dataclass(frozen=True, slots=True)
class AccessLog:
    """Writes lines."""

    write_line: WriteLine
    wall_clock: Callable[[], float] = time.time

    def write(self, record: RequestRecord, duration_s: float) -> None:
        """Write the line of a request that has ended."""
        line = {
            "time": round(self.wall_clock(), 3), "event": "request", "request_id": record.request_id,
            "method": record.method, "route": record.route, "status": record.status, "streamed": record.streamed,
            "waited_s": round(record.waited_s, 4), "duration_s": round(duration_s, 4), "rung": record.rung,
            "language": record.language, "hand_over": record.hand_over, "index": record.index, "items": record.items,
            "code": record.code,
        }  # fmt: skip
        self.write_line(encode_json(line))


def print_line(line: str) -> None:
    """Write one line to standard output."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()
