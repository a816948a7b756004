"""The dispatcher on virtual loop time: holding, releasing, retries, shutdown, wake-ups."""

import asyncio
from collections import Counter
from dataclasses import replace

import pytest

from chatscale.api.v1alpha1.routing import HoldSpec, RoutingSpec
from chatscale_contract.gateway.demand import ModelDemand
from chatscale_contract.openai.errors import ApiError
from chatscale_contract.server.load import ReplicaLoad
from chatscale_gateway.dispatch.dispatcher import HoldingDispatcher
from chatscale_gateway.dispatch.interface import Arrival, Lease
from chatscale_gateway.routing.catalog import Catalog
from chatscale_gateway.routing.outcomes import Outcome
from tests.support.gateway_world import TINY, a_catalog, a_dispatcher, a_replica, an_arrival, slots, virtual_time


def now() -> float:
    return asyncio.get_running_loop().time()


def ready(pods: int, *, each: int = 1, **spec) -> HoldingDispatcher:
    """A dispatcher with pods tiny-0, tiny-1, ... of `each` slots. One slot gives two places (ceil(1.1))."""
    dispatcher = a_dispatcher(now=now)
    dispatcher.catalog_changed(a_catalog({"tiny": pods}, **spec))
    dispatcher.loads_read(slots(each, *(f"tiny-{n}" for n in range(pods))), 0.0)
    return dispatcher


def arrival(**fields) -> Arrival:
    return an_arrival(arrived_s=now(), **fields)


async def held(dispatcher: HoldingDispatcher, request: Arrival | None = None, **fields) -> asyncio.Task[Lease]:
    """A request that waits, or has its place already. `fields` are those of `lease`."""
    task = asyncio.ensure_future(dispatcher.lease(request or arrival(), **fields))
    await asyncio.sleep(0)
    return task


def tiny(dispatcher: HoldingDispatcher) -> ModelDemand:
    return dispatcher.demand().models[str(TINY)]


async def refused(task: asyncio.Task[Lease]) -> ApiError:
    with pytest.raises(ApiError) as error:
        await task
    return error.value


@virtual_time
async def test_promise_8_releases_held_requests_no_faster_than_places_appear():
    dispatcher = ready(1)
    first, second = [await dispatcher.lease(arrival()) for _ in range(2)]
    waiting = [await held(dispatcher) for _ in range(3)]
    for number, lease in enumerate((first, second), start=1):
        lease.end(Outcome.COMPLETED, now())
        await asyncio.sleep(0)
        assert [task.done() for task in waiting] == [index < number for index in range(3)]
    assert (tiny(dispatcher).held, tiny(dispatcher).in_flight) == (1, 2)
    waiting[2].cancel()


@virtual_time
async def test_a_new_replica_takes_held_requests_at_once_in_order():
    dispatcher = ready(0)
    waiting = [await held(dispatcher) for _ in range(6)]
    await asyncio.sleep(7)
    dispatcher.catalog_changed(a_catalog({"tiny": 1}))
    await asyncio.sleep(0)
    assert [task.done() for task in waiting] == [True] * 5 + [False]  # 4 slots are assumed before the first reading
    assert (await waiting[0]).held_s == 7
    dispatcher.loads_read(slots(8, "tiny-0", running=5), now())
    assert (await waiting[5]).replica.uid == "tiny-0"


@virtual_time
async def test_promise_6_a_held_request_is_refused_in_words_before_its_deadline():
    dispatcher = ready(0, routing=RoutingSpec(hold=HoldSpec(timeout_seconds=120)))
    streamed, whole = await held(dispatcher), await held(dispatcher, arrival(streamed=False))
    error = await refused(whole)
    assert (now(), error.status, error.code, error.retry_after_s) == (55, 503, "hold_timeout", 10)
    await refused(streamed)
    assert (now(), tiny(dispatcher).refused, tiny(dispatcher).held) == (120, 2, 0)


@virtual_time
async def test_a_stopped_model_is_refused_at_once_and_starts_nothing():
    dispatcher = ready(0, replicas=0, scale_to_zero=False)
    error = await refused(await held(dispatcher))
    assert (error.status, error.retryable, error.retry_after_s) == (503, False, None)
    assert (dispatcher.demand().wake_seq, tiny(dispatcher)) == (0, ModelDemand())


@virtual_time
async def test_held_requests_are_refused_when_their_model_stops_or_is_deleted():
    dispatcher = ready(0)
    stopped = await held(dispatcher)
    dispatcher.catalog_changed(a_catalog({"tiny": 0}, replicas=0, scale_to_zero=False))
    assert (await refused(stopped)).code == "model_stopped"
    dispatcher.catalog_changed(a_catalog({"tiny": 0}))
    deleted = await held(dispatcher)
    dispatcher.catalog_changed(Catalog())
    assert (await refused(deleted)).status == 404
    assert dispatcher.demand().models == {}


@virtual_time
async def test_a_full_queue_refuses_with_429():
    dispatcher = ready(0, routing=RoutingSpec(hold=HoldSpec(max_requests=1)))
    first = await held(dispatcher)
    error = await refused(await held(dispatcher))
    assert (error.status, error.code, error.retry_after_s) == (429, "held_requests", 10)
    assert (tiny(dispatcher).arrived, tiny(dispatcher).refused) == (2, 1)
    first.cancel()


@virtual_time
@pytest.mark.parametrize(
    "hold",
    [pytest.param(HoldSpec(max_requests=0), id="holds none"), pytest.param(HoldSpec(max_bytes=1024), id="too large")],
)
async def test_a_refusal_at_zero_replicas_starts_the_model_and_says_when_to_come_back(hold):
    dispatcher = ready(0, routing=RoutingSpec(hold=hold), replicas=0, start_s=40.0)
    woken = asyncio.ensure_future(dispatcher.wait_for_wake(0))
    error = await refused(await held(dispatcher, arrival(body_bytes=2000)))
    await woken
    assert (now(), error.status, error.retryable, error.retry_after_s) == (0, 429, True, 40)
    await asyncio.sleep(15)
    assert (await refused(await held(dispatcher, arrival(body_bytes=2000)))).retry_after_s == 25
    assert (dispatcher.demand().wake_seq, tiny(dispatcher).arrived, tiny(dispatcher).refused) == (1, 2, 2)


@virtual_time
async def test_a_model_that_went_back_to_zero_needs_a_new_start():
    spec = {"routing": RoutingSpec(hold=HoldSpec(max_requests=0)), "start_s": 40.0}
    dispatcher = ready(0, replicas=0, **spec)
    await refused(await held(dispatcher))
    for replicas in (1, 0):
        dispatcher.catalog_changed(a_catalog({"tiny": 0}, replicas=replicas, **spec))
    await asyncio.sleep(30)
    assert (await refused(await held(dispatcher))).retry_after_s == 40
    assert dispatcher.demand().wake_seq == 2


@virtual_time
async def test_a_request_that_is_refused_at_its_deadline_arrived_once():
    dispatcher = ready(0, routing=RoutingSpec(hold=HoldSpec(timeout_seconds=10)))
    await refused(await held(dispatcher))
    await refused(await held(dispatcher, an_arrival(arrived_s=now() - 10)))
    assert (tiny(dispatcher).arrived, tiny(dispatcher).refused) == (2, 2)


@virtual_time
async def test_a_request_that_a_replica_and_then_the_hold_refuse_arrived_once():
    dispatcher = ready(1, routing=RoutingSpec(hold=HoldSpec(max_requests=0)))
    lease = await dispatcher.lease(arrival())
    lease.end(Outcome.BACKPRESSURE, now())
    assert (await refused(await held(dispatcher, after=lease))).code == "hold_disabled"
    assert (tiny(dispatcher).arrived, tiny(dispatcher).refused) == (1, 1)


@virtual_time
async def test_promise_2_a_client_that_leaves_gives_back_what_it_was_just_given():
    dispatcher = ready(1)
    leases = [await dispatcher.lease(arrival()) for _ in range(2)]
    waiting = await held(dispatcher)
    for lease in leases:
        lease.end(Outcome.COMPLETED, now())
        lease.end(Outcome.COMPLETED, now())
    waiting.cancel()  # its place was assigned in this turn of the loop
    with pytest.raises(asyncio.CancelledError):
        await waiting
    found = tiny(dispatcher)
    assert (found.in_flight, found.in_flight_by_pod, found.held, found.abandoned, found.finished) == (0, {}, 0, 1, 2)


@virtual_time
async def test_promise_3_forgets_a_pod_whose_deletion_it_did_not_see():
    dispatcher = ready(2)
    leases = [await dispatcher.lease(arrival()) for _ in range(4)]
    dispatcher.catalog_changed(a_catalog({"tiny": 1}))
    assert tiny(dispatcher).in_flight_by_pod == {"tiny-0": 2, "tiny-1": 2}
    for lease in leases:
        lease.end(Outcome.BROKEN, now())
    assert {(await dispatcher.lease(arrival())).replica.uid for _ in range(2)} == {"tiny-0"}
    assert tiny(dispatcher).in_flight_by_pod == {"tiny-0": 2}


@virtual_time
async def test_a_pod_with_the_name_of_an_old_one_starts_without_its_counts():
    dispatcher = ready(1)
    old = [await dispatcher.lease(arrival()) for _ in range(2)]
    catalog = a_catalog({"tiny": 1})
    dispatcher.catalog_changed(replace(catalog, replicas={TINY: (a_replica("uid-2", name="tiny-0"),)}))
    assert (await dispatcher.lease(arrival())).replica.uid == "uid-2"
    old[0].end(Outcome.BROKEN, now())
    assert tiny(dispatcher).in_flight_by_pod == {"tiny-0": 1, "uid-2": 1}


@virtual_time
@pytest.mark.parametrize("sign", ["catalog", "load"])
async def test_promise_4_sends_nothing_new_to_a_pod_that_leaves(sign):
    dispatcher = ready(2, each=8)
    if sign == "catalog":
        catalog = a_catalog({"tiny": 2})
        pods = (a_replica("tiny-0", leaving=True), a_replica("tiny-1"))
        dispatcher.catalog_changed(replace(catalog, replicas={TINY: pods}))
    else:
        dispatcher.loads_read({"tiny-0": ReplicaLoad(0, 0, 8, draining=True)}, now())
    assert {(await dispatcher.lease(arrival())).replica.uid for _ in range(9)} == {"tiny-1"}


@virtual_time
async def test_promise_17_balances_requests():
    dispatcher = ready(4, each=8)
    counts = Counter([(await dispatcher.lease(arrival())).replica.uid for _ in range(32)])
    assert set(counts.values()) == {8}


@virtual_time
async def test_counts_what_others_sent_by_the_last_reading():
    dispatcher = ready(2, each=8)
    dispatcher.loads_read({"tiny-0": ReplicaLoad(6, 0, 8), "tiny-1": ReplicaLoad(0, 0, 8)}, now())
    counts = Counter([(await dispatcher.lease(arrival())).replica.uid for _ in range(8)])
    assert counts == {"tiny-1": 7, "tiny-0": 1}


@virtual_time
async def test_backpressure_returns_to_the_front_and_the_pod_rests_until_its_next_reading():
    dispatcher = ready(1)
    lease = await dispatcher.lease(arrival())
    lease.end(Outcome.BACKPRESSURE, now())
    behind = await held(dispatcher)
    back = await held(dispatcher, after=lease)
    assert (back.done(), behind.done(), tiny(dispatcher).sent) == (False, False, 0)
    dispatcher.loads_read(slots(1, "tiny-0", running=1), now())
    again = await back
    again.end(Outcome.BACKPRESSURE, now())
    third = await held(dispatcher, after=again)  # backpressure is no attempt
    dispatcher.loads_read(slots(1, "tiny-0"), now())
    (await third).end(Outcome.NOT_CONNECTED, now())
    assert (await held(dispatcher, after=await third)).done()
    assert (await behind).replica.uid == "tiny-0"


@virtual_time
async def test_promise_15_sends_a_request_twice_at_most():
    dispatcher = ready(2)
    first = await dispatcher.lease(arrival())
    first.end(Outcome.NOT_CONNECTED, now())
    second = await dispatcher.lease(arrival(), after=first)
    assert second.replica.uid != first.replica.uid
    second.end(Outcome.NOT_CONNECTED, now())
    with pytest.raises(ApiError, match="could not connect") as error:
        await dispatcher.lease(arrival(), after=second)
    assert (error.value.status, error.value.retryable) == (503, True)
    assert (tiny(dispatcher).arrived, tiny(dispatcher).finished, tiny(dispatcher).sent) == (1, 1, 0)


@virtual_time
@pytest.mark.parametrize("outcome", [Outcome.NO_ANSWER, Outcome.BROKEN, Outcome.SERVER_ERROR, Outcome.COMPLETED])
async def test_promise_15_never_repeats_what_a_replica_may_have_begun(outcome):
    dispatcher = ready(2)
    lease = await dispatcher.lease(arrival())
    lease.end(outcome, now())
    with pytest.raises(ValueError, match="no further attempt"):
        await dispatcher.lease(arrival(), after=lease)


@virtual_time
async def test_a_second_attempt_that_waits_for_another_replica_blocks_nobody_behind_it():
    dispatcher = ready(2)
    leases = [await dispatcher.lease(arrival()) for _ in range(4)]
    failed = next(lease for lease in leases if lease.replica.uid == "tiny-0")
    behind = await held(dispatcher)
    failed.end(Outcome.NOT_CONNECTED, now())
    assert (await behind).replica.uid == "tiny-0"
    second = await held(dispatcher, after=failed)
    next(lease for lease in leases if lease.replica.uid == "tiny-0" and lease is not failed).end(
        Outcome.COMPLETED, now()
    )
    third = await held(dispatcher)
    assert (await third).replica.uid == "tiny-0"
    assert not second.done()
    next(lease for lease in leases if lease.replica.uid == "tiny-1").end(Outcome.COMPLETED, now())
    assert (await second).replica.uid == "tiny-1"


@virtual_time
async def test_promise_16_ejects_a_failing_replica_but_never_the_last_one():
    dispatcher = ready(2, each=8)

    async def fail(uid: str) -> None:
        for _ in range(3):
            leases = [await dispatcher.lease(arrival()) for _ in range(8)]
            for lease in leases:
                lease.end(Outcome.SERVER_ERROR if lease.replica.uid == uid else Outcome.COMPLETED, now())

    await fail("tiny-0")
    assert (await dispatcher.lease(arrival())).replica.uid == "tiny-1"
    await fail("tiny-1")
    assert (await dispatcher.lease(arrival())).replica.uid == "tiny-1"
    await asyncio.sleep(5)
    dispatcher.loads_read(slots(8, "tiny-0", "tiny-1"), now())
    assert (await dispatcher.lease(arrival())).replica.uid == "tiny-0"


@virtual_time
async def test_asks_for_a_start_once_and_at_once():
    dispatcher = ready(0)
    woken = asyncio.ensure_future(dispatcher.wait_for_wake(0))
    waiting = [await held(dispatcher) for _ in range(3)]
    await asyncio.wait_for(woken, 0)
    assert (now(), dispatcher.demand().wake_seq) == (0, 1)
    dispatcher.catalog_changed(a_catalog({"tiny": 1}))
    leases = [await task for task in waiting]
    dispatcher.catalog_changed(a_catalog({"tiny": 0}))
    assert dispatcher.demand().wake_seq == 1
    later = await held(dispatcher)
    assert dispatcher.demand().wake_seq == 2
    later.cancel()
    await asyncio.wait([later])
    (await held(dispatcher)).cancel()
    assert dispatcher.demand().wake_seq == 3
    for lease in leases:
        lease.end(Outcome.BROKEN, now())


@virtual_time
async def test_promise_5_names_and_lists_never_start_a_model():
    dispatcher = ready(0)
    assert dispatcher.resolve("tiny").key == TINY
    assert [model.key for model in dispatcher.models()] == [TINY]
    assert dispatcher.demand().wake_seq == 0
    with pytest.raises(ApiError):
        dispatcher.resolve("unknown")


@virtual_time
async def test_a_stopping_gateway_serves_held_requests_until_its_grace_period_ends():
    dispatcher = ready(1)
    leases = [await dispatcher.lease(arrival()) for _ in range(2)]
    served, left = await held(dispatcher), await held(dispatcher)
    dispatcher.stop_accepting()
    assert dispatcher.demand().draining
    leases[0].end(Outcome.COMPLETED, now())
    assert (await served).replica.uid == "tiny-0"
    dispatcher.refuse_held()
    error = await refused(left)
    assert (error.status, error.retry_after_s, error.retryable) == (503, 1, True)
    assert (await refused(await held(dispatcher))).retry_after_s == 1


@virtual_time
async def test_promise_31_retry_after_follows_the_rate_at_which_the_queue_drains():
    dispatcher = ready(1, routing=RoutingSpec(hold=HoldSpec(max_requests=4)))
    leases = [await dispatcher.lease(arrival()) for _ in range(2)]
    waiting = [await held(dispatcher) for _ in range(4)]
    for _ in range(10):  # one request every 2 s
        await asyncio.sleep(2)
        leases.pop(0).end(Outcome.COMPLETED, now())
        leases.append(await waiting.pop(0))
        waiting.append(await held(dispatcher))
    assert (await refused(await held(dispatcher))).retry_after_s == pytest.approx(8, abs=1)
    for task in waiting:
        task.cancel()
