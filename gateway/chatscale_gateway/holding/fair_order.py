"""The order in which held requests get places: higher priority first, then round robin over owners, then arrival.

Adding, removing and finding the next one take constant time, but for the search among the priorities in use (at most
201). An owner that has been served goes to the end of the round; one whose request is put back goes to its start.
"""

from bisect import bisect_left, insort
from collections import OrderedDict
from collections.abc import Hashable, Iterator
from typing import Generic, Protocol, TypeVar


class Ordered(Protocol):
    """A request in the order. Compared by identity."""

    @property
    def priority(self) -> int:
        """Higher ones go first."""
        ...

    @property
    def owner(self) -> Hashable:
        """The key that sent it: owners of the same priority take turns."""
        ...


R = TypeVar("R", bound=Ordered)


class _Band(Generic[R]):
    """The requests of one priority."""

    __slots__ = ("_by_length", "_longest", "_queues")

    def __init__(self) -> None:
        self._queues: OrderedDict[Hashable, OrderedDict[int, R]] = OrderedDict()
        """By owner, in the order of their turns. No queue is empty."""
        self._by_length: dict[int, dict[Hashable, None]] = {}
        """Owners by the length of their queue."""
        self._longest = 0

    def __bool__(self) -> bool:
        return bool(self._queues)

    def __iter__(self) -> Iterator[R]:
        """In the order of service. The first one takes constant time."""
        rest = []
        for queue in self._queues.values():
            requests = iter(queue.values())
            yield next(requests)
            rest.append(requests)
        while rest:
            left = []
            for requests in rest:
                if (request := next(requests, None)) is not None:
                    yield request
                    left.append(requests)
            rest = left

    def length(self, owner: Hashable) -> int:
        """Requests of one owner."""
        return len(self._queues.get(owner, ()))

    def longest(self) -> int:
        """Requests of the owner that has the most."""
        return self._longest

    def youngest_of_longest(self) -> R:
        """The last request of an owner that has the most."""
        queue = self._queues[next(iter(self._by_length[self._longest]))]
        return queue[next(reversed(queue))]

    def add(self, request: R, *, first: bool) -> None:
        """Add a request: at the end of its owner's queue, or at its start and with the next turn."""
        owner = request.owner
        queue = self._queues.setdefault(owner, OrderedDict())
        queue[id(request)] = request
        if first:
            queue.move_to_end(id(request), last=False)
            self._queues.move_to_end(owner, last=False)
        self._move(owner, len(queue) - 1, len(queue))

    def remove(self, request: R, *, served: bool) -> None:
        """Take a request out. served: it was its owner's turn."""
        owner = request.owner
        queue = self._queues[owner]
        del queue[id(request)]
        self._move(owner, len(queue) + 1, len(queue))
        if not queue:
            del self._queues[owner]
        elif served:
            self._queues.move_to_end(owner)

    def _move(self, owner: Hashable, before: int, now: int) -> None:
        if before:
            owners = self._by_length[before]
            del owners[owner]
            if not owners:
                del self._by_length[before]
        if now:
            self._by_length.setdefault(now, {})[owner] = None
        # A length changes by one: when the last of the longest becomes shorter, it is still the longest.
        if now > self._longest or (before == self._longest and before not in self._by_length):
            self._longest = now


class FairOrder(Generic[R]):
    """The held requests in the order of service."""

    __slots__ = ("_bands", "_priorities")

    def __init__(self) -> None:
        self._bands: dict[int, _Band[R]] = {}
        self._priorities: list[int] = []
        """Those in use, ascending."""

    def __iter__(self) -> Iterator[R]:
        for priority in reversed(self._priorities):
            yield from self._bands[priority]

    def add(self, request: R, *, first: bool = False) -> None:
        """Add a request. first: before all others of its owner, with the next turn among its priority."""
        band = self._bands.get(request.priority)
        if band is None:
            band = self._bands[request.priority] = _Band()
            insort(self._priorities, request.priority)
        band.add(request, first=first)

    def remove(self, request: R, *, served: bool) -> None:
        """Take out a request that is in the order. served: it gets a place, so its owner's turn is over."""
        priority = request.priority
        band = self._bands[priority]
        band.remove(request, served=served)
        if not band:
            del self._bands[priority]
            del self._priorities[bisect_left(self._priorities, priority)]

    def highest_priority(self) -> int | None:
        """Of all requests; None if there is none."""
        return self._priorities[-1] if self._priorities else None

    def last_for(self, request: R) -> R | None:
        """The request that should give its place in the queue to `request`; None if there is none.

        It has the lowest priority, and is the youngest of the owner that has the most requests there. At the same
        priority it must leave its owner with at least as many as the owner of `request` then has.
        """
        if not self._priorities or self._priorities[0] > request.priority:
            return None
        band = self._bands[self._priorities[0]]
        if self._priorities[0] == request.priority and band.longest() - 1 <= band.length(request.owner):
            return None
        return band.youngest_of_longest()
