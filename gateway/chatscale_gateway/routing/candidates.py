"""What a routing strategy sees of a replica, and the random numbers that it may use."""

from typing import Protocol


class Candidate(Protocol):
    """A replica that may get the next request."""

    @property
    def uid(self) -> str:
        """UID of the pod."""
        ...

    @property
    def load(self) -> int:
        """Requests on the replica: last reading of running + waiting, plus what this gateway sent since, minus what
        ended since.
        """
        ...

    @property
    def slots(self) -> int:
        """Batch slots, at least 1."""
        ...

    @property
    def free(self) -> int:
        """Further requests that this gateway may send now. Can be negative after its share has become smaller."""
        ...


class Rng(Protocol):
    """`random.Random`, which pure code does not import."""

    def randrange(self, stop: int, /) -> int:
        """A number from 0 to stop - 1."""
        ...
