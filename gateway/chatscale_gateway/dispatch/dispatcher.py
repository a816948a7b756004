"""Holds requests and leases replicas, on one event loop, in memory.

Binding is late: a held request gets its replica when a place becomes free, so a new replica takes held requests at
once, and requests leave the queue no faster than places appear.
"""

import asyncio
from collections.abc import Callable, Mapping
from typing import Final

from chatscale_contract.gateway.demand import GatewayDemand
from chatscale_contract.openai.errors import ApiError
from chatscale_contract.server.load import ReplicaLoad
from chatscale_gateway.dispatch.events import DispatchEvents, NoEvents
from chatscale_gateway.dispatch.interface import Arrival, Lease, ModelStatus
from chatscale_gateway.dispatch.model_state import ModelState
from chatscale_gateway.dispatch.placed_lease import PlacedLease
from chatscale_gateway.dispatch.pods import Pod
from chatscale_gateway.dispatch.request import Request
from chatscale_gateway.holding.queue import HoldBudget, hold_deadline_s
from chatscale_gateway.holding.refusals import BOUND_REASONS, RefusalReason, refuse
from chatscale_gateway.keys.caller import Caller
from chatscale_gateway.limits.limiter import Limiter
from chatscale_gateway.routing.candidates import Rng
from chatscale_gateway.routing.catalog import Catalog, Model, ModelKey
from chatscale_gateway.routing.names import Allowed, NameIndex, allow_all, model_not_found
from chatscale_gateway.routing.outcomes import FAULTS, Outcome, Usage, may_try_again
from chatscale_gateway.routing.prefix_hash import PrefixChoice

_RETRY_AFTER_SHUTDOWN_S: Final = 1
"""Another gateway is ready already."""
_COUNTED_REFUSALS: Final = BOUND_REASONS | {RefusalReason.DEADLINE}


class HoldingDispatcher:
    """The `Dispatcher` of one gateway.

    gateway: name of the gateway's pod, as peers know it.  instance: changes with each start of the process.
    now: monotonic seconds, the clock of `Arrival.arrived_s`.  max_held_bytes: bodies of held requests, all models.
    """

    def __init__(
        self,
        *,
        gateway: str,
        instance: str,
        now: Callable[[], float],
        rng: Rng,
        max_held_bytes: int,
        events: DispatchEvents | None = None,
    ) -> None:
        self._gateway: Final = gateway
        self._instance: Final = instance
        self._now: Final = now
        self._rng: Final = rng
        self._budget: Final = HoldBudget(max_held_bytes)
        self._events: Final[DispatchEvents] = events or NoEvents()
        self._states: Final[dict[ModelKey, ModelState]] = {}
        self.limiter: Final = Limiter()
        self._names = NameIndex(Catalog())
        self._peers: Mapping[str, GatewayDemand] = {}
        self._wake_seq = 0
        self._woken = asyncio.Event()
        self._draining = False
        self._refusing = False

    # ---- requests ----

    def resolve(self, name: str, namespace: str | None = None, allowed: Allowed = allow_all) -> Model:
        """The ChatModel for the `model` of a request. See `Dispatcher.resolve`."""
        return self._names.resolve(name, namespace, allowed)

    def available(self, key: ModelKey, *, wakes: bool) -> Model | None:
        """See `Dispatcher.available`."""
        state = self._states.get(key)
        if state is None or state.deleted or (state.model.stopped and not state.accepting):
            return None
        return None if state.asleep and not wakes else state.model

    def held(self, key: ModelKey) -> int:
        """Requests that wait for this model, over all gateways as last read."""
        state, name = self._states.get(key), str(key)
        peers = (report.models.get(name) for report in self._peers.values())
        return (len(state.queue) if state else 0) + sum(found.held for found in peers if found)

    def models(self) -> tuple[Model, ...]:
        """All known models, sorted by namespace and name."""
        return self._names.models

    def statuses(self) -> tuple[ModelStatus, ...]:
        """The states of all known models, in the same order."""
        return tuple(self._states[model.key].status(self._peers.values()) for model in self._names.models)

    async def lease(self, arrival: Arrival, *, after: Lease | None = None) -> Lease:
        """Wait for a place on a replica. See `Dispatcher.lease`.

        After an attempt that allows no other one, raises ValueError; after the last `NOT_CONNECTED`, ApiError 503.
        """
        state = self._states.get(arrival.model)
        if state is None or state.deleted:
            raise model_not_found(str(arrival.model))
        if self._refusing:
            raise self._refusal(state, RefusalReason.SHUTDOWN)
        if after is None:
            hold = state.model.routing.hold
            request = Request(arrival, hold_deadline_s(arrival.arrived_s, hold, streamed=arrival.streamed))
        else:
            request = self._next_attempt(state, after)
        # A request that comes back goes to the front, so it may be served before those that wait.
        if (after is not None or state.queue.is_before_all(request)) and (chosen := state.choose(request, self._rng)):
            if after is None:
                state.accounts.arrive(request)
            return self._place(state, request, *chosen, self._now())
        future = self._hold(state, request, is_new=after is None)
        try:
            return await future
        except asyncio.CancelledError:
            self._leave(state, request, future)
            raise

    def demand(self) -> GatewayDemand:
        """The report for the operator and for peers."""
        now_s = self._now()
        return GatewayDemand(
            gateway=self._gateway,
            instance=self._instance,
            wake_seq=self._wake_seq,
            draining=self._draining,
            models={str(state.key): state.report(now_s) for state in self._states.values()},
            keys=self.limiter.report(now_s),
        )

    async def wait_for_wake(self, wake_seq: int) -> None:
        """Return when `wake_seq` differs from the gateway's."""
        while self._wake_seq == wake_seq:
            await self._woken.wait()

    # ---- reports of discovery ----

    def catalog_changed(self, catalog: Catalog) -> None:
        """Apply new models and replicas; give free places to held requests."""
        self._names = NameIndex(catalog)
        for state in [each for key, each in self._states.items() if key not in catalog.models]:
            state.deleted = True
            state.set_replicas(())
            self._refuse_all(state, RefusalReason.DELETED)
            self._forget_if_unused(state)
        for key, model in catalog.models.items():
            state = self._states.get(key) or ModelState(model, self._budget)
            self._states[key] = state
            state.set_model(model)
            state.deleted = False
            state.set_replicas(catalog.replicas.get(key, ()))
            state.set_limits(self._gateway, self._peers)
            if model.stopped and not state.accepting:
                self._refuse_all(state, RefusalReason.STOPPED)
            if state.asleep and state.no_wake_held:
                self._refuse_all(state, RefusalReason.ASLEEP)
            self._release(state)
            self._ask_for_start(state)

    def loads_read(self, loads: Mapping[str, ReplicaLoad | None], now_s: float) -> None:
        """Apply a reading of loads; eject and readmit replicas; give free places to held requests."""
        for state in self._states.values():
            read = {uid: loads[uid] for uid in state.pods if uid in loads}
            if not read:
                continue
            slots = [pod.slots for pod in state.pods.values()]
            # Answers first: a missed reading ejects only while another replica answers.
            for uid, load in sorted(read.items(), key=lambda item: item[1] is None):
                self._apply_reading(state, state.pods[uid], load, now_s)
            state.refresh()
            if slots != [pod.slots for pod in state.pods.values()]:
                state.set_limits(self._gateway, self._peers)
            self._release(state)
            self._ask_for_start(state)

    def peers_read(self, peers: Mapping[str, GatewayDemand]) -> None:
        """Compute the shares of this gateway again, and take what the peers used from the buckets of keys."""
        self._peers = {name: report for name, report in peers.items() if name != self._gateway}
        self.limiter.peers_read(self._peers, self._now())
        for state in self._states.values():
            state.set_limits(self._gateway, self._peers)
            self._release(state)

    def refuse_revoked(self, current: Callable[[Caller], Caller | None]) -> None:
        """Refuse held requests whose key is not valid any more, or does not open their model any more."""
        for state in self._states.values():
            for request in list(state.queue):
                if (caller := current(request.arrival.caller)) is None:
                    self._refuse_one(state, request, RefusalReason.REVOKED)
                elif not caller.may_use(state.key):
                    self._refuse_one(state, request, RefusalReason.DELETED)

    # ---- shutdown ----

    def stop_accepting(self) -> None:
        """Report `draining`. Held requests wait on, and requests that arrive on open connections are served."""
        self._draining = True

    def refuse_held(self) -> None:
        """The grace period is over: refuse all held and all further requests with 503 and Retry-After 1."""
        self._draining = True
        self._refusing = True
        for state in self._states.values():
            self._refuse_all(state, RefusalReason.SHUTDOWN)

    # ---- leases report here ----

    def first_token_seen(self, lease: PlacedLease, now_s: float) -> None:
        """Record the time to first token."""
        state = lease.state
        state.accounts.first_token(lease.request, state.model.slo, lease.pod.prefill_rate, now_s)

    def lease_ended(self, lease: PlacedLease, now_s: float, usage: Usage | None) -> None:
        """Count the outcome and give the place to the next request."""
        state, pod, outcome = lease.state, lease.pod, lease.outcome
        if outcome is None:
            raise ValueError("the lease has not ended")
        if outcome is Outcome.BACKPRESSURE:
            pod.mark_full()
        else:
            lease.request.attempts += 1
        state.accounts.attempt_ended(lease.request, outcome, state.model.slo, pod.prefill_rate, now_s, usage)
        if outcome in FAULTS and (cause := state.ejections.record_fault(pod.uid, state.accepting, now_s)):
            state.refresh()
            self._events.ejected(state.key, pod.replica, cause)
        self._give_back(lease)

    # ---- places ----

    def _place(
        self, state: ModelState, request: Request, pod: Pod, choice: PrefixChoice | None, now_s: float
    ) -> PlacedLease:
        pod.take()
        state.in_flight += 1
        if not request.wakes:
            state.no_wake_in_flight += 1
            state.accounts.no_wake_placed += 1
        if choice is not None:
            self._events.chosen_by_hash(state.key, choice)
        return PlacedLease(self, state, request, pod, now_s)

    def _give_back(self, lease: PlacedLease) -> None:
        state, pod = lease.state, lease.pod
        pod.give_back()
        state.in_flight -= 1
        state.no_wake_in_flight -= not lease.request.wakes
        state.forget_if_unused(pod)
        self._forget_if_unused(state)
        self._release(state)

    def _release(self, state: ModelState) -> None:
        """Give free places to held requests, in order."""
        while state.queue and (found := self._next_placeable(state)):
            request, pod, choice = found
            now_s = self._now()
            future = request.future
            self._end_hold(state, request, now_s, served=True)
            state.drain_rate.record(now_s)
            if future is not None:
                future.set_result(self._place(state, request, pod, choice, now_s))

    def _next_placeable(self, state: ModelState) -> tuple[Request, Pod, PrefixChoice | None] | None:
        for request in state.queue:
            if request.future is None or request.future.done():
                continue  # cancelled; its task takes it out of the queue
            if chosen := state.choose(request, self._rng):
                return request, *chosen
            if not request.avoid:
                return None
        return None

    def _apply_reading(self, state: ModelState, pod: Pod, load: ReplicaLoad | None, now_s: float) -> None:
        state.read(pod, load)
        was_ejected = state.ejections.is_ejected(pod.uid)
        cause = state.ejections.record_reading(
            pod.uid, answered=load is not None, accepting=state.accepting, now_s=now_s
        )
        if cause is not None:
            self._events.ejected(state.key, pod.replica, cause)
        elif was_ejected and not state.ejections.is_ejected(pod.uid):
            self._events.readmitted(state.key, pod.replica)

    def _forget_if_unused(self, state: ModelState) -> None:
        if state.deleted and state.in_flight == 0:
            self._states.pop(state.key, None)

    # ---- held requests ----

    def _next_attempt(self, state: ModelState, after: Lease) -> Request:
        if not isinstance(after, PlacedLease) or after.outcome is None:
            raise TypeError("after must be a lease of this dispatcher that has ended")
        request = after.request
        if after.outcome is Outcome.NOT_CONNECTED and not may_try_again(after.outcome, request.attempts):
            raise self._refusal(state, RefusalReason.UNREACHABLE)
        if not may_try_again(after.outcome, request.attempts):
            raise ValueError(f"no further attempt is allowed after {after.outcome}")
        if after.outcome in FAULTS:
            request.avoid |= {after.pod.uid}
        self._events.retried(state.key, after.outcome)
        return request

    def _hold(self, state: ModelState, request: Request, *, is_new: bool) -> asyncio.Future[Lease]:
        """Put a request into the queue. The result is its lease. Raises ApiError if it cannot wait."""
        hold = state.model.routing.hold
        if state.model.stopped and not state.accepting:
            raise self._refusal(state, RefusalReason.STOPPED)
        if state.asleep and not request.wakes:
            raise self._refusal(state, RefusalReason.ASLEEP, request)
        if is_new:
            state.accounts.arrive(request)
        if request.deadline_s <= self._now():
            raise self._refusal(state, RefusalReason.DEADLINE, request)
        if reason := state.queue.refusal(request, hold) if is_new else state.queue.refusal_to_put_back(hold):
            displaced = state.queue.displaced_by(request, hold) if is_new else None
            if displaced is None:
                raise self._refusal(state, reason, request)
            self._refuse_one(state, displaced, RefusalReason.DISPLACED)
        if len(state.queue) == state.no_wake_held:
            state.start_requested = False
        request.waited_for_start |= not state.accepting
        if is_new:
            state.queue.append(request)
        else:
            state.queue.put_back(request)
        state.no_wake_held += not request.wakes
        loop = asyncio.get_running_loop()
        future = request.future = loop.create_future()
        request.timer = loop.call_later(request.deadline_s - self._now(), self._expire, state, request)
        self._events.held(state.key)
        self._ask_for_start(state)
        # Requests at the front that avoid the only free replica leave its places to those behind them.
        self._release(state)
        return future

    def _leave(self, state: ModelState, request: Request, future: "asyncio.Future[Lease]") -> None:
        """The client left, before the request was sent."""
        now_s = self._now()
        if request in state.queue:
            self._end_hold(state, request, now_s)
        elif future.done() and not future.cancelled():
            if future.exception() is not None:
                return  # it was refused at the same time, and has been counted
            if isinstance(lease := future.result(), PlacedLease):
                lease.outcome = Outcome.CLIENT_LEFT
                self._give_back(lease)
        state.accounts.left_before_sent(request, state.model.slo, state.prefill_rate, now_s)

    def _end_hold(self, state: ModelState, request: Request, now_s: float, *, served: bool = False) -> None:
        state.queue.remove(request, served=served)
        state.no_wake_held -= not request.wakes
        if request.timer is not None:
            request.timer.cancel()
            request.timer = None
        request.future = None
        self._events.hold_ended(state.key, max(0.0, now_s - request.arrival.arrived_s))

    def _expire(self, state: ModelState, request: Request) -> None:
        self._refuse_one(state, request, RefusalReason.DEADLINE)

    def _refuse_all(self, state: ModelState, reason: RefusalReason) -> None:
        for request in list(state.queue):
            if reason is not RefusalReason.ASLEEP or not request.wakes:
                self._refuse_one(state, request, reason)

    def _refuse_one(self, state: ModelState, request: Request, reason: RefusalReason) -> None:
        future = request.future
        if future is None or future.done():
            return
        self._end_hold(state, request, self._now())
        future.set_exception(self._refusal(state, reason, request))

    def _refusal(self, state: ModelState, reason: RefusalReason, request: Request | None = None) -> ApiError:
        """Count a refusal and build its response. A refusal at 0 replicas starts the model, as a held request does."""
        if reason in _COUNTED_REFUSALS and (request is None or request.wakes):
            state.accounts.refused += 1
            if not state.accepting and not state.start_requested:
                self._request_start(state)
        self._events.refused(state.key, reason)
        if reason is RefusalReason.SHUTDOWN:
            return refuse(reason, state.key, _RETRY_AFTER_SHUTDOWN_S)
        return refuse(reason, state.key, state.retry_after_s(self._now()))

    def _ask_for_start(self, state: ModelState) -> None:
        """Let `wake_seq` grow, once, when requests begin to wait for a model without an accepting replica."""
        if state.accepting or len(state.queue) == state.no_wake_held or state.start_requested:
            return
        for request in state.queue:
            request.waited_for_start = True
        self._request_start(state)

    def _request_start(self, state: ModelState) -> None:
        state.start_requested = True
        if state.starting_since_s is None or state.model.replicas == 0:
            state.starting_since_s = self._now()
        self._wake_seq += 1
        self._woken.set()
        self._woken = asyncio.Event()
        self._events.wake_requested(state.key)
