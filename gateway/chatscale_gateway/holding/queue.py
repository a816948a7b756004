"""The queue of one model, in fair order, within the bounds of `spec.routing.hold`."""

from collections import OrderedDict
from collections.abc import Iterator
from typing import Final, Generic, Protocol, TypeVar

from chatscale.api.v1alpha1.routing import HoldSpec
from chatscale_gateway.holding.fair_order import FairOrder, Ordered
from chatscale_gateway.holding.refusals import RefusalReason

LONGEST_HOLD_WITHOUT_STREAM_S: Final = 55.0
"""A request that is not streamed gets no keep-alive, and many proxies close idle connections after 60 s."""


class Holdable(Ordered, Protocol):
    """A request in the queue. Compared by identity."""

    @property
    def body_bytes(self) -> int:
        """Length of the body."""
        ...

    @property
    def prompt_tokens(self) -> int:
        """Estimated."""
        ...


R = TypeVar("R", bound=Holdable)


class HoldBudget:
    """Bytes of held bodies over all models of one gateway."""

    __slots__ = ("max_bytes", "used_bytes")

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes: Final = max_bytes
        self.used_bytes = 0


class HoldQueue(Generic[R]):
    """The held requests of one model, in the order of service. Changes the shared `budget`."""

    __slots__ = ("_budget", "_order", "_requests", "prompt_tokens", "used_bytes")

    def __init__(self, budget: HoldBudget) -> None:
        self._budget = budget
        self._requests: OrderedDict[int, R] = OrderedDict()
        """In the order of arrival; those that were put back are first."""
        self._order: FairOrder[R] = FairOrder()
        self.prompt_tokens = 0
        self.used_bytes = 0

    def __len__(self) -> int:
        return len(self._requests)

    def __iter__(self) -> Iterator[R]:
        """In the order of service, see `fair_order`."""
        return iter(self._order)

    def __contains__(self, request: object) -> bool:
        return id(request) in self._requests

    def is_before_all(self, request: R) -> bool:
        """Whether no held request has the same or a higher priority."""
        highest = self._order.highest_priority()
        return highest is None or highest < request.priority

    def refusal(self, request: R, bounds: HoldSpec) -> RefusalReason | None:
        """Why `request` does not fit: the first reason that applies. An empty queue accepts a prompt of any length."""
        return self._refusal(request, bounds, len(self), 0, 0)

    def refusal_to_put_back(self, bounds: HoldSpec) -> RefusalReason | None:
        """Why a request cannot come back. The other bounds do not apply: it was admitted within them."""
        return RefusalReason.HOLDS_NONE if bounds.max_requests == 0 else None

    def displaced_by(self, request: R, bounds: HoldSpec) -> R | None:
        """The held request without which `request` fits, and that has to give way; None if there is none.

        Without this rule one key could fill the queue, and every other key would be refused.
        """
        last = self._order.last_for(request)
        if last is None or self._refusal(request, bounds, len(self) - 1, last.body_bytes, last.prompt_tokens):
            return None
        return last

    def append(self, request: R) -> None:
        """Add a new request. Check `refusal` first."""
        self._add(request, first=False)

    def put_back(self, request: R) -> None:
        """Add a request that has waited before: the next one of its owner, with the next turn among its priority.

        Bounds do not apply: it was admitted within them.
        """
        self._add(request, first=True)
        self._requests.move_to_end(id(request), last=False)

    def remove(self, request: R, *, served: bool = False) -> bool:
        """Take a request out; False if it is not in the queue. served: it gets a place: its owner's turn is over."""
        if self._requests.pop(id(request), None) is None:
            return False
        self._order.remove(request, served=served)
        self._count(request, -1)
        return True

    def oldest(self) -> R | None:
        """The request that has waited longest. It need not be the next one."""
        return next(iter(self._requests.values()), None)

    def _refusal(
        self, request: R, bounds: HoldSpec, held: int, freed_bytes: int, freed_tokens: int
    ) -> RefusalReason | None:
        """As `refusal`, with `held` requests, after so much of the queue's content was freed."""
        size, most_tokens, budget = request.body_bytes, bounds.max_prompt_tokens, self._budget
        exceeded = {
            RefusalReason.HOLDS_NONE: bounds.max_requests == 0,
            RefusalReason.TOO_LARGE: size > min(bounds.max_bytes, budget.max_bytes),
            RefusalReason.REQUESTS: held >= bounds.max_requests,
            RefusalReason.BYTES: self.used_bytes - freed_bytes + size > bounds.max_bytes,
            RefusalReason.PROMPT_TOKENS: most_tokens is not None
            and held > 0
            and self.prompt_tokens - freed_tokens + request.prompt_tokens > most_tokens,
            RefusalReason.GATEWAY_BYTES: budget.used_bytes - freed_bytes + size > budget.max_bytes,
        }
        return next((reason for reason, applies in exceeded.items() if applies), None)

    def _add(self, request: R, *, first: bool) -> None:
        if id(request) in self._requests:
            raise ValueError("the request is in the queue already")
        self._requests[id(request)] = request
        self._order.add(request, first=first)
        self._count(request, 1)

    def _count(self, request: R, sign: int) -> None:
        self.prompt_tokens += sign * request.prompt_tokens
        self.used_bytes += sign * request.body_bytes
        self._budget.used_bytes += sign * request.body_bytes


def hold_deadline_s(arrived_s: float, bounds: HoldSpec, *, streamed: bool) -> float:
    """When a request that arrived at `arrived_s` is refused if it is still held."""
    timeout_s = float(bounds.timeout_seconds)
    return arrived_s + (timeout_s if streamed else min(timeout_s, LONGEST_HOLD_WITHOUT_STREAM_S))
