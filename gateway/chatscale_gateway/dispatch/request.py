"""One request from its arrival to its end, over all attempts."""

from asyncio import Future, TimerHandle

from chatscale_gateway.dispatch.interface import Arrival, Lease


class Request:
    """State of one request. Several leases can share it."""

    __slots__ = ("arrival", "attempts", "avoid", "began", "body_bytes", "deadline_s", "first_token_s", "future",
                 "missed", "owner", "priority", "prompt_tokens", "timer", "waited_for_start", "wakes")  # fmt: skip

    def __init__(self, arrival: Arrival, deadline_s: float) -> None:
        self.arrival = arrival
        self.body_bytes = arrival.body_bytes
        self.prompt_tokens = arrival.prompt_tokens
        self.owner = arrival.caller.key
        self.priority = arrival.caller.policy.priority
        self.wakes = arrival.caller.policy.wake
        """Whether it may start a model and keep it awake."""
        self.deadline_s = deadline_s
        self.attempts = 0
        """Attempts that have ended, without `BACKPRESSURE`."""
        self.avoid: frozenset[str] = frozenset()
        """UIDs of the replicas that failed it."""
        self.waited_for_start = False
        """It was held while the model had no accepting replica."""
        self.began = False
        self.missed = False
        """Its SLO miss has been counted."""
        self.first_token_s: float | None = None
        self.future: Future[Lease] | None = None
        """While it is held."""
        self.timer: TimerHandle | None = None
