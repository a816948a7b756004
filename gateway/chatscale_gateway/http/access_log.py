"""One JSON line per request: what happened, never what was said.

Lines do not go through `logging`: its formatter costs as much as the rest of a short request. Nor are they made by
`json.dumps`, which needs three times as long: the fields are fixed, so only texts have to be encoded.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from json.encoder import encode_basestring_ascii
from typing import Final

from chatscale_gateway.keys.caller import Caller
from chatscale_gateway.routing.catalog import ModelKey
from chatscale_gateway.routing.outcomes import Usage

WriteLine = Callable[[str], None]
_text: Final = encode_basestring_ascii
_NULL: Final = "null"
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
    client: str = ""
    """Network address of the client; empty if it is unknown. Never an identity."""
    caller: Caller | None = None
    """None until its key has been checked."""
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
    overload: str = ""
    """What `spec.routing.overload` did with it: empty, `capped` or `fallback`."""
    overload_header: str = ""
    """Value of `OVERLOAD_HEADER` in the response; empty for none."""
    requested_model: ModelKey | None = None
    """Set if a fallback answers: the ChatModel that the request named. `model` is the one that answers."""
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
        key, usage, ttft_s = record.model, record.usage, record.ttft_s
        caller, requested = record.caller, record.requested_model
        source = "" if usage is None else "estimated" if usage.estimated else "counted"
        counts = (usage.prompt_tokens, usage.cached_tokens, usage.generated_tokens) if usage else (_NULL, _NULL, _NULL)
        self.write_line(
            f'{{"time":{self.wall_clock():.3f},"event":"request"'
            f',"request_id":{_text(record.request_id)}'
            f',"client":{_text(record.client)}'
            f',"model":{_text(key.name if key else "")}'
            f',"namespace":{_text(key.namespace if key else "")}'
            f',"method":{_text(record.method)}'
            f',"path":{_text(record.path)}'
            f',"status":{record.status}'
            f',"streamed":{"true" if record.streamed else "false"}'
            f',"held_s":{record.held_s:.4f}'
            f',"ttft_s":{_NULL if ttft_s is None else format(ttft_s, ".4f")}'
            f',"duration_s":{duration_s:.4f}'
            f',"prompt_tokens":{counts[0]}'
            f',"cached_tokens":{counts[1]}'
            f',"generated_tokens":{counts[2]}'
            f',"attempts":{record.attempts}'
            f',"pod":{_text(record.pod)}'
            f',"outcome":{_text(record.outcome)}'
            f',"code":{_text(record.code)}'
            f',"key":{_text(caller.label if caller else "")}'
            f',"usage":"{source}"'
            f',"overload":{_text(record.overload)}'
            f',"requested_model":{_text(requested.name if requested else "")}}}'
        )
