"""How one attempt of a request ended, and what follows from it."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final, assert_never


class Outcome(StrEnum):
    """The end of one attempt."""

    COMPLETED = "completed"
    """A complete answer, with any status that is not listed below."""
    CLIENT_ERROR = "client_error"
    """4xx but 429: the client's fault."""
    BACKPRESSURE = "backpressure"
    """429 or 503 of the replica: it is full, loading or draining. The request goes back to the front of the queue."""
    SERVER_ERROR = "server_error"
    """5xx but 503. The replica may have begun the request: no second attempt."""
    NOT_CONNECTED = "not_connected"
    """No connection, or it was lost before the first byte of the response: one more attempt on another replica.

    A replica that got the whole request may have begun. It has lost the connection, which ends its work, and the client
    has seen nothing.
    """
    NO_ANSWER = "no_answer"
    """No response within the timeout. The replica may have begun: no second attempt."""
    BROKEN = "broken"
    """The connection was lost, or the stream ended without its end, after the response had begun."""
    CLIENT_LEFT = "client_left"
    """The client closed its connection."""
    CUT_OFF = "cut_off"
    """The gateway's own shutdown ended it."""


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one answer, as the replica counted them."""

    prompt_tokens: int
    cached_tokens: int
    generated_tokens: int
    estimated: bool = False
    """The answer ended without the replica's count, so the gateway computed it from what it had seen."""


class Failure(StrEnum):
    """Why an attempt has no complete response."""

    CONNECTION = "connection"
    """The connection failed, was refused, reset or closed too early. A connect timeout is one, too."""
    TIMEOUT = "timeout"
    """The connection exists, but the response, or its next part, did not arrive in time."""
    CLIENT_LEFT = "client_left"
    SHUTDOWN = "shutdown"
    """The gateway stops."""


MAX_ATTEMPTS: Final = 2
"""Attempts of one request. `BACKPRESSURE` is no attempt: the replica has not taken the request."""

FAULTS: Final = frozenset({Outcome.NOT_CONNECTED, Outcome.NO_ANSWER, Outcome.BROKEN, Outcome.SERVER_ERROR})
"""Outcomes that count against the replica. Answers 4xx (429 too) and 503 do not, nor does a client that leaves."""

_TOO_MANY_REQUESTS: Final = 429
_UNAVAILABLE: Final = 503
_LOWEST_CLIENT_ERROR: Final = 400
_LOWEST_SERVER_ERROR: Final = 500


def classify(status: int | None, failure: Failure | None) -> Outcome:
    """The outcome of one attempt.

    status: HTTP status of the replica; None if no response headers arrived.  failure: None for a complete response.
    Raises ValueError if both are None.
    """
    match failure:
        case None:
            if status is None:
                raise ValueError("an attempt without a response needs a failure")
            return _classify_status(status)
        case Failure.CONNECTION:
            return Outcome.NOT_CONNECTED if status is None else Outcome.BROKEN
        case Failure.TIMEOUT:
            return Outcome.NO_ANSWER if status is None else Outcome.BROKEN
        case Failure.CLIENT_LEFT:
            return Outcome.CLIENT_LEFT
        case Failure.SHUTDOWN:
            return Outcome.CUT_OFF
        case _:
            assert_never(failure)


def may_try_again(outcome: Outcome, attempts: int) -> bool:
    """Whether the request may go to a replica again. attempts: those that have ended, without `BACKPRESSURE`."""
    return outcome is Outcome.BACKPRESSURE or (outcome is Outcome.NOT_CONNECTED and attempts < MAX_ATTEMPTS)


def _classify_status(status: int) -> Outcome:
    if status in {_TOO_MANY_REQUESTS, _UNAVAILABLE}:
        return Outcome.BACKPRESSURE
    if status >= _LOWEST_SERVER_ERROR:
        return Outcome.SERVER_ERROR
    return Outcome.CLIENT_ERROR if status >= _LOWEST_CLIENT_ERROR else Outcome.COMPLETED
