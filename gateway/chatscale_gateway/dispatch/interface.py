"""What the HTTP front needs from the dispatcher, and what discovery reports to it."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from chatscale_contract.gateway.demand import GatewayDemand
from chatscale_contract.server.load import ReplicaLoad
from chatscale_gateway.keys.caller import ANYBODY, Caller
from chatscale_gateway.limits.limiter import Limiter
from chatscale_gateway.routing.catalog import Catalog, Model, ModelKey, Replica
from chatscale_gateway.routing.names import Allowed, allow_all
from chatscale_gateway.routing.outcomes import Outcome, Usage


@dataclass(frozen=True, slots=True)
class Arrival:
    """One admitted request, before it has a replica."""

    model: ModelKey
    body_bytes: int
    prompt_tokens: int
    """Estimated."""
    streamed: bool
    arrived_s: float
    """Monotonic clock."""
    prefix: bytes = b""
    """What `PrefixHash` hashes: system prompt and first user message. Empty: no preference."""
    session: str = ""
    """Value of the model's session header. Empty: no preference."""
    caller: Caller = ANYBODY


class ModelPhase(StrEnum):
    """Whether a model can answer now."""

    READY = "ready"
    """A replica accepts requests."""
    STARTING = "starting"
    """No replica accepts requests yet; some are wanted."""
    ASLEEP = "asleep"
    """0 replicas; a request starts the first one."""
    STOPPED = "stopped"
    """0 replicas, and a request does not change that."""


@dataclass(frozen=True, slots=True)
class ModelStatus:
    """One model at one time, over all gateways as last read."""

    model: Model
    state: ModelPhase
    ready: int
    """Replicas that accept requests."""
    slots: int
    """Requests that these replicas run at the same time; 0 if they do not report it."""
    in_flight: int
    held: int


class Lease(Protocol):
    """A place on a replica for one attempt of a request."""

    @property
    def replica(self) -> Replica:
        """The chosen replica."""
        ...

    @property
    def held_s(self) -> float:
        """Seconds that the request has waited since it arrived."""
        ...

    def first_token(self, now_s: float) -> None:
        """Record the time to first token, from arrival. Call it once."""
        ...

    def streamed(self, tokens: int) -> None:
        """Record how many tokens of a stream have passed so far: one for each event with text."""
        ...

    def end(self, outcome: Outcome, now_s: float, usage: Usage | None = None) -> None:
        """Give the place back and count the outcome. Later calls change nothing."""
        ...


class Dispatcher(Protocol):
    """Holds requests and leases replicas. Runs on one event loop."""

    @property
    def limiter(self) -> Limiter:
        """The limits of all keys in this gateway."""
        ...

    def resolve(self, name: str, namespace: str | None = None, allowed: Allowed = allow_all) -> Model:
        """The ChatModel for the `model` of a request. Raises ApiError 404; if ambiguous, with the full names.

        namespace: preferred where several ChatModels have the name.  allowed: other ChatModels count as unknown.
        """
        ...

    def available(self, key: ModelKey, *, wakes: bool) -> Model | None:
        """The ChatModel, if it exists and a request for it can be answered or held.

        wakes: whether the request may start a model that has 0 replicas.
        """
        ...

    def held(self, key: ModelKey) -> int:
        """Requests that wait for this model, over all gateways as last read."""
        ...

    def models(self) -> tuple[Model, ...]:
        """All known models, sorted by namespace and name."""
        ...

    def statuses(self) -> tuple[ModelStatus, ...]:
        """The states of all known models, in the same order. Reading them is no demand."""
        ...

    async def lease(self, arrival: Arrival, *, after: Lease | None = None) -> Lease:
        """Wait for a place on a replica.

        after: the lease of a failed attempt, which has ended. The request goes to the front of the queue, keeps its
        deadline and, if the attempt was a fault, avoids that replica where there is another one.
        Raises ApiError 429 (a bound is full, or the model holds no requests) or 503 (deadline, or the gateway stops).
        Cancellation takes the request out of the queue.
        """
        ...

    def demand(self) -> GatewayDemand:
        """The report for the operator and for peers."""
        ...

    async def wait_for_wake(self, wake_seq: int) -> None:
        """Return when `wake_seq` differs from the gateway's."""
        ...

    # ---- reports of discovery ----

    def catalog_changed(self, catalog: Catalog) -> None:
        """Models or replicas changed."""
        ...

    def loads_read(self, loads: Mapping[str, ReplicaLoad | None], now_s: float) -> None:
        """A reading of the replicas' loads, by pod UID. None: the replica did not answer in time.

        A ready replica that answers 404 has no load to report: pass a `ReplicaLoad` with 0 slots, not None.
        """
        ...

    def peers_read(self, peers: Mapping[str, GatewayDemand]) -> None:
        """The other gateways that exist, by pod name, with their last report."""
        ...

    # ---- shutdown ----

    def stop_accepting(self) -> None:
        """Report `draining`. Held requests wait on, and requests that arrive on open connections are served."""
        ...

    def refuse_held(self) -> None:
        """The grace period is over: refuse all held and all further requests with 503 and Retry-After 1."""
        ...
