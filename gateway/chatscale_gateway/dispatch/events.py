"""What the dispatcher reports while it works, for metrics and logs. It must not raise."""

from typing import Protocol

from chatscale_gateway.holding.refusals import RefusalReason
from chatscale_gateway.routing.catalog import ModelKey, Replica
from chatscale_gateway.routing.ejection import EjectionCause
from chatscale_gateway.routing.outcomes import Outcome
from chatscale_gateway.routing.prefix_hash import PrefixChoice


class DispatchEvents(Protocol):
    """Each method is called once per event, on the event loop."""

    def held(self, model: ModelKey) -> None:
        """A request begins to wait. A request that is put back is held again."""
        ...

    def hold_ended(self, model: ModelKey, held_s: float) -> None:
        """A held request got a place, was refused, or its client left. held_s: seconds since it arrived."""
        ...

    def refused(self, model: ModelKey, reason: RefusalReason) -> None:
        """The gateway refused a request."""
        ...

    def retried(self, model: ModelKey, outcome: Outcome) -> None:
        """A request asks for another place after `outcome`."""
        ...

    def chosen_by_hash(self, model: ModelKey, choice: PrefixChoice) -> None:
        """PrefixHash or session affinity chose a replica."""
        ...

    def ejected(self, model: ModelKey, replica: Replica, cause: EjectionCause) -> None:
        """A replica gets no requests until its back-off is over and a load reading has an answer."""
        ...

    def readmitted(self, model: ModelKey, replica: Replica) -> None:
        """An ejected replica gets requests again."""
        ...

    def wake_requested(self, model: ModelKey) -> None:
        """Requests begin to wait for a model without an accepting replica."""
        ...


class NoEvents:
    """Ignores all events."""

    def held(self, model: ModelKey) -> None:
        """Ignore it."""

    def hold_ended(self, model: ModelKey, held_s: float) -> None:
        """Ignore it."""

    def refused(self, model: ModelKey, reason: RefusalReason) -> None:
        """Ignore it."""

    def retried(self, model: ModelKey, outcome: Outcome) -> None:
        """Ignore it."""

    def chosen_by_hash(self, model: ModelKey, choice: PrefixChoice) -> None:
        """Ignore it."""

    def ejected(self, model: ModelKey, replica: Replica, cause: EjectionCause) -> None:
        """Ignore it."""

    def readmitted(self, model: ModelKey, replica: Replica) -> None:
        """Ignore it."""

    def wake_requested(self, model: ModelKey) -> None:
        """Ignore it."""
