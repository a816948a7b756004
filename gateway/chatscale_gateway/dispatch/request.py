"""One request from its arrival to its end, over all attempts, and its lease of a place."""

from asyncio import Future, TimerHandle
from typing import TYPE_CHECKING, Protocol

from chatscale_gateway.dispatch.interface import Arrival
from chatscale_gateway.dispatch.pods import Pod
from chatscale_gateway.routing.catalog import Replica
from chatscale_gateway.routing.outcomes import Outcome, Usage

if TYPE_CHECKING:
    from chatscale_gateway.dispatch.model_state import ModelState


class Request:
    """State of one request. Several leases can share it."""

    __slots__ = ("arrival", "attempts", "avoid", "began", "body_bytes", "deadline_s", "first_token_s", "future",
                 "missed", "prompt_tokens", "timer", "waited_for_start")  # fmt: skip

    def __init__(self, arrival: Arrival, deadline_s: float) -> None:
        self.arrival = arrival
        self.body_bytes = arrival.body_bytes
        self.prompt_tokens = arrival.prompt_tokens
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
        self.future: Future[PlacedLease] | None = None
        """While it is held."""
        self.timer: TimerHandle | None = None


class LeaseOwner(Protocol):
    """Who gets the place back."""

    def first_token_seen(self, lease: "PlacedLease", now_s: float) -> None:
        """The replica sent the first part of its answer."""
        ...

    def lease_ended(self, lease: "PlacedLease", now_s: float, usage: Usage | None) -> None:
        """The attempt ended with `lease.outcome`. Called once."""
        ...


class PlacedLease:
    """A `Lease`: a place on a replica for one attempt."""

    __slots__ = ("_owner", "held_s", "outcome", "pod", "replica", "request", "state")

    def __init__(self, owner: LeaseOwner, state: "ModelState", request: Request, pod: Pod, now_s: float) -> None:
        self._owner = owner
        self.state = state
        self.request = request
        self.pod = pod
        self.replica: Replica = pod.replica
        self.held_s = max(0.0, now_s - request.arrival.arrived_s)
        self.outcome: Outcome | None = None
        """None until it has ended."""

    def first_token(self, now_s: float) -> None:
        """Record the time to first token. Later calls change nothing."""
        if self.outcome is None:
            self._owner.first_token_seen(self, now_s)

    def end(self, outcome: Outcome, now_s: float, usage: Usage | None = None) -> None:
        """Give the place back. Later calls change nothing."""
        if self.outcome is None:
            self.outcome = outcome
            self._owner.lease_ended(self, now_s, usage)
