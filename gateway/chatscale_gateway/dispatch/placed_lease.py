"""The lease of a place on a replica, for one attempt of a request."""

from typing import Protocol

from chatscale_gateway.dispatch.model_state import ModelState
from chatscale_gateway.dispatch.pods import Pod
from chatscale_gateway.dispatch.request import Request
from chatscale_gateway.routing.catalog import Replica
from chatscale_gateway.routing.outcomes import Outcome, Usage


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

    __slots__ = ("_owner", "held_s", "outcome", "pod", "replica", "request", "state", "streamed_tokens")

    def __init__(self, owner: LeaseOwner, state: ModelState, request: Request, pod: Pod, now_s: float) -> None:
        self._owner = owner
        self.state = state
        self.request = request
        self.pod = pod
        self.replica: Replica = pod.replica
        self.held_s = max(0.0, now_s - request.arrival.arrived_s)
        self.outcome: Outcome | None = None
        """None until it has ended."""
        self.streamed_tokens = 0

    def first_token(self, now_s: float) -> None:
        """Record the time to first token. Later calls change nothing."""
        if self.outcome is None:
            self._owner.first_token_seen(self, now_s)

    def streamed(self, tokens: int) -> None:
        """Count the tokens that have passed so far."""
        if self.outcome is None:
            self.state.accounts.passed_tokens += tokens - self.streamed_tokens
            self.streamed_tokens = tokens

    def end(self, outcome: Outcome, now_s: float, usage: Usage | None = None) -> None:
        """Give the place back. Later calls change nothing."""
        if self.outcome is None:
            if usage is not None:
                self.streamed(usage.generated_tokens)
            self.outcome = outcome
            self._owner.lease_ended(self, now_s, usage)
