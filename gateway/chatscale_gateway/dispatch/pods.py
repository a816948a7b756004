"""The places of one replica, as this gateway counts them. Counts belong to the pod's UID, never to its name."""

from chatscale_contract.server.load import ReplicaLoad
from chatscale_gateway.routing.catalog import Replica
from chatscale_gateway.routing.shares import SLOTS_BEFORE_FIRST_READING, SLOTS_WITHOUT_REPORT, background_cap


class Pod:
    """A `Candidate`. `limit` is this gateway's share of the places."""

    __slots__ = ("_background_limit", "_base", "_full", "_since", "draining", "exists", "free", "in_flight", "limit",
                 "load", "prefill_rate", "replica", "slots", "uid")  # fmt: skip

    def __init__(self, replica: Replica) -> None:
        self.replica = replica
        self.uid = replica.uid
        self.exists = True
        """False after the catalog has dropped it, while requests are still in flight."""
        self.draining = False
        self.prefill_rate = 0.0
        """Prompt tokens per second; 0 while unknown."""
        self.slots = SLOTS_BEFORE_FIRST_READING
        self.limit = 0
        self._background_limit = 0
        self.in_flight = 0
        self.load = 0
        self.free = 0
        self._base = 0
        self._since = 0
        self._full = False

    @property
    def accepting(self) -> bool:
        """Whether it may get a new request."""
        return self.exists and self.replica.accepting and not self.draining

    @property
    def takes_background(self) -> bool:
        """Whether it may get a request of a priority below 0. See `background_cap` and `background_limit`."""
        return self.in_flight < self._background_limit and self.load < background_cap(self.slots)

    def take(self) -> None:
        """A request is sent to it."""
        self.in_flight += 1
        self._since += 1
        self._update()

    def give_back(self) -> None:
        """A request has ended."""
        self.in_flight -= 1
        self._since -= 1
        self._update()

    def mark_full(self) -> None:
        """It answered 429 or 503: it gets nothing until its next load reading."""
        self._full = True
        self._update()

    def set_limit(self, limit: int, background_limit: int) -> None:
        """Change this gateway's shares: for all requests, and while it sends requests of a priority below 0."""
        self.limit = limit
        self._background_limit = background_limit
        self._update()

    def read(self, load: ReplicaLoad | None) -> None:
        """Apply a load reading. None: no answer; the last reading stays."""
        self._full = False
        if load is not None:
            self._base = load.running + load.waiting
            self._since = 0
            self.slots = load.slots or SLOTS_WITHOUT_REPORT
            self.prefill_rate = load.prefill_tokens_per_second
            self.draining = load.draining
        self._update()

    def _update(self) -> None:
        # A request that was on its way during the reading is in neither number; in_flight is the lower limit.
        self.load = max(self.in_flight, self._base + self._since)
        self.free = 0 if self._full else self.limit - self.in_flight
