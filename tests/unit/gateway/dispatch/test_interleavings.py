"""Random mixes of arrivals, ends, cancels, retries and changes of pods, with the invariants after each step."""

import asyncio
from collections import Counter

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from chatscale.api.v1alpha1.routing import HoldSpec, RoutingSpec, RoutingStrategy
from chatscale_contract.gateway.keys import KeyId, KeyPolicy
from chatscale_contract.openai.errors import ApiError
from chatscale_contract.server.load import ReplicaLoad
from chatscale_gateway.dispatch.interface import Lease
from chatscale_gateway.dispatch.placed_lease import PlacedLease
from chatscale_gateway.keys.caller import ANYBODY, Caller
from chatscale_gateway.routing.catalog import Catalog
from chatscale_gateway.routing.outcomes import Outcome
from tests.support.clock import virtual_time_loop
from tests.support.gateway_world import TINY, a_dispatcher, a_model, a_replica, an_arrival

UIDS = [f"pod-{n}" for n in range(5)]
ROUTING = RoutingSpec(strategy=RoutingStrategy.PREFIX_HASH, hold=HoldSpec(max_requests=6, timeout_seconds=20))


CALLERS = [
    Caller(KeyId("demo", "live"), KeyPolicy(priority=1)),
    Caller(KeyId("demo", "batch"), KeyPolicy(priority=-1)),
    Caller(KeyId("demo", "chores"), KeyPolicy(wake=False)),
    ANYBODY,
]


class Interleavings(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner(loop_factory=virtual_time_loop)
        self.loop = self.runner.get_loop()
        self.dispatcher = a_dispatcher(now=self.loop.time)
        self.tasks: list[asyncio.Task[Lease]] = []
        self.leases: list[Lease] = []
        self.known: set[str] = set()
        self.slots: dict[str, int] = {}
        self.arrived = 0
        self.change_pods({"pod-0"}, leaving=set())

    def teardown(self) -> None:
        for task in self.tasks:
            task.cancel()
        self.settle()
        for lease in self.leases:
            lease.end(Outcome.COMPLETED, self.loop.time())
        found = self.dispatcher.demand().models.get(str(TINY))
        assert found is None or (found.held, found.in_flight, found.in_flight_by_pod) == (0, 0, {})
        assert found is None or (found.no_wake_held, found.no_wake_in_flight) == (0, 0)
        assert self.dispatcher._budget.used_bytes == 0
        self.runner.close()

    def settle(self, seconds: float = 0) -> None:
        async def pause() -> None:
            for _ in range(3):
                await asyncio.sleep(0)
            if seconds:
                await asyncio.sleep(seconds)

        self.runner.run(pause())
        for task in [task for task in self.tasks if task.done()]:
            self.tasks.remove(task)
            if not task.cancelled() and not isinstance(task.exception(), ApiError):
                self.leases.append(task.result())

    def start(self, after: Lease | None = None, **fields) -> None:
        arrival = an_arrival(arrived_s=self.loop.time(), **fields)
        self.tasks.append(self.loop.create_task(self.dispatcher.lease(arrival, after=after)))

    @rule(prefix=st.sampled_from([b"", b"one", b"two"]), session=st.sampled_from(["", "s"]), streamed=st.booleans(),
          caller=st.sampled_from(CALLERS))  # fmt: skip
    def arrive(self, prefix, session, streamed, caller) -> None:
        self.start(prefix=prefix, session=session, streamed=streamed, caller=caller)
        self.settle()

    @precondition(lambda self: self.leases)
    @rule(number=st.integers(0, 99), outcome=st.sampled_from(list(Outcome)), again=st.booleans(), cancel=st.booleans())
    def end(self, number, outcome, again, cancel) -> None:
        lease = self.leases.pop(number % len(self.leases))
        lease.first_token(self.loop.time())
        lease.end(outcome, self.loop.time())
        if again and outcome in {Outcome.BACKPRESSURE, Outcome.NOT_CONNECTED}:
            self.start(after=lease)
        if cancel and self.tasks:  # in the turn of the loop in which it may have got the place
            self.tasks[number % len(self.tasks)].cancel()
        self.settle()
        lease.end(Outcome.COMPLETED, self.loop.time())

    @precondition(lambda self: self.tasks)
    @rule(number=st.integers(0, 99))
    def cancel(self, number) -> None:
        self.tasks[number % len(self.tasks)].cancel()
        self.settle()

    @rule(uids=st.sets(st.sampled_from(UIDS)), leaving=st.sets(st.sampled_from(UIDS)))
    def change_pods(self, uids, leaving) -> None:
        pods = tuple(a_replica(uid, leaving=uid in leaving) for uid in sorted(uids))
        self.dispatcher.catalog_changed(Catalog({TINY: a_model(routing=ROUTING)}, {TINY: pods}))
        self.known = uids - leaving
        self.settle()

    @rule()
    def delete_model(self) -> None:
        self.dispatcher.catalog_changed(Catalog())
        self.known = set()
        self.settle()

    @rule(readings=st.dictionaries(st.sampled_from(UIDS), st.none() | st.integers(1, 4)))
    def read(self, readings) -> None:
        loads = {uid: None if slots is None else ReplicaLoad(0, 0, slots) for uid, slots in readings.items()}
        self.dispatcher.loads_read(loads, self.loop.time())
        self.settle()

    @rule(seconds=st.integers(1, 30))
    def wait(self, seconds) -> None:
        self.settle(seconds)

    @invariant()
    def gauges_equal_what_is_open(self) -> None:
        found = self.dispatcher.demand().models.get(str(TINY))
        if found is None:
            assert not self.tasks
            assert not self.leases
            return
        assert found.held == len(self.tasks)
        assert found.in_flight == len(self.leases)
        assert found.in_flight_by_pod == Counter(lease.replica.uid for lease in self.leases)
        chores = [lease for lease in self.leases if isinstance(lease, PlacedLease) and not lease.request.wakes]
        assert found.no_wake_in_flight == len(chores)

    @invariant()
    def forgets_pods_that_are_gone(self) -> None:
        for state in self.dispatcher._states.values():
            unused = [pod for pod in state.pods.values() if not pod.exists and not pod.in_flight]
            assert not unused
            assert set(state.accepting) == self.known
            assert bool(state.candidates) == bool(state.accepting)

    @invariant()
    def no_request_waits_beside_a_free_place_that_it_may_use(self) -> None:
        for state in self.dispatcher._states.values():
            if any(not request.avoid and request.priority >= 0 for request in state.queue):
                assert not any(pod.free > 0 for pod in state.candidates.values())


Interleavings.TestCase.settings = settings(max_examples=60, stateful_step_count=40)
TestPromise2CountsInFlightBackToZero = Interleavings.TestCase
