"""One JSON line per request: what happened, never what was said.

Lines do not go through `logging`: its formatter costs as much as the rest of a short request.
"""

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from chatscale_gateway.routing.catalog import ModelKey
from chatscale_gateway.routing.outcomes import Usage

WriteLine = Callable[[str], None]
_ENCODER: Final = json.JSONEncoder(separators=(",", ":"), check_circular=False)
"""`json.dumps` would create one for each line."""
CLIENT_LEFT_STATUS = 499
"""As nginx logs it: no response was sent."""


@dataclass(slots=True)
class RequestRecord:
    """What is known about a request so far."""

    request_id: str
    method: str
    path: str
    """The path of the API that it was routed to; empty if there is none. Never as the client typed it."""
    started_s: float
    """Monotonic clock."""
    model: ModelKey | None = None
    streamed: bool = False
    status: int = CLIENT_LEFT_STATUS
    held_s: float = 0.0
    ttft_s: float | None = None
    attempts: int = 0
    ended_attempt: int = 0
    """The last attempt whose outcome is known."""
    pod: str = ""
    outcome: str = ""
    code: str = ""
    """`code` of the error, if the gateway refused."""
    usage: Usage | None = None
    trace_headers: Mapping[str, str] | None = None
    """The trace context for the replica; None if the gateway records no traces."""
    cut_off: bool = False
    """The gateway's shutdown ended it."""


@dataclass(frozen=True, slots=True)
class AccessLog:
    """Writes lines."""

    write_line: WriteLine
    wall_clock: Callable[[], float] = field(default=time.time)

    def write(self, record: RequestRecord, duration_s: float) -> None:
        """Write the line of a request that has ended. Every text in it is checked or the gateway's own."""
        usage = record.usage
        self.write_line(
            _ENCODER.encode(
                {
                    "time": round(self.wall_clock(), 3),
                    "event": "request",
                    "request_id": record.request_id,
                    "model": record.model.name if record.model else "",
                    "namespace": record.model.namespace if record.model else "",
                    "method": record.method,
                    "path": record.path,
                    "status": record.status,
                    "streamed": record.streamed,
                    "held_s": round(record.held_s, 4),
                    "ttft_s": None if record.ttft_s is None else round(record.ttft_s, 4),
                    "duration_s": round(duration_s, 4),
                    "prompt_tokens": usage.prompt_tokens if usage else None,
                    "cached_tokens": usage.cached_tokens if usage else None,
                    "generated_tokens": usage.generated_tokens if usage else None,
                    "attempts": record.attempts,
                    "pod": record.pod,
                    "outcome": record.outcome,
                    "code": record.code,
                }
            )
        )
