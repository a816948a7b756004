"""How one attempt of a request ended, and what follows from it."""

from dataclasses import dataclass
from enum import StrEnum


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
    """No connection, or the connection was lost before the response's headers: one more attempt on another replica."""
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
