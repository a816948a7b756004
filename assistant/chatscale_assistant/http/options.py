"""Limits and times of the HTTP front. The process's settings set some of them; tests set others."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class HttpOptions:
    """All durations are in seconds, all sizes in bytes."""

    max_body_bytes: int = 1024**2
    """Larger bodies of chat requests get 413. A conversation of 200 messages with 4,000 characters each fits."""
    max_task_body_bytes: int = 16 * 1024**2
    """Larger bodies of tasks get 413: a batch is larger than a conversation."""
    max_header_bytes: int = 24 * 1024
    """Names and values of all headers of a request, the customer's token included. More gets 431."""
    max_messages: int = 400
    """Of one conversation."""
    request_timeout_s: float = 20.0
    """Time for a client to send the headers, and again for the body."""
    write_timeout_s: float = 30.0
    """A client that acknowledges no bytes for this long is disconnected."""
    idle_timeout_s: float = 75.0
    """Idle keep-alive connections. Longer than the gateway keeps one."""
    max_running: int = 64
    """Requests that are answered at the same time."""
    max_waiting: int = 64
    """Requests that wait for one of `max_running`. More get 429."""
    wait_timeout_s: float = 1.0
    """A request that waits longer gets 429: with the answer it would take more than the two seconds of a customer."""
    drain_delay_s: float = 5.0
    """From SIGTERM until no new connection is accepted: load balancers need time to remove the endpoint."""
    grace_period_s: float = 25.0
    """After it, what still runs gets 503. Shorter than the pod's terminationGracePeriodSeconds."""
