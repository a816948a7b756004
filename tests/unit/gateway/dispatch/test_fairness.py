"""Keys in one queue, and keys that wake no model, on virtual loop time."""

import asyncio

import pytest

from chatscale.api.v1alpha1.routing import HoldSpec, RoutingSpec
from chatscale_contract.gateway.keys import KeyId, KeyPolicy
from chatscale_contract.openai.errors import ApiError
from chatscale_gateway.dispatch.dispatcher import HoldingDispatcher
from chatscale_gateway.dispatch.interface import Lease
from chatscale_gateway.keys.caller import Caller
from chatscale_gateway.routing.outcomes import Outcome
from tests.support.gateway_world import TINY, a_catalog, a_dispatcher, an_arrival, slots, virtual_time


def now() -> float:
    return asyncio.get_running_loop().time()


def a_caller(name: str, **policy: object) -> Caller:
    return Caller(KeyId("demo", name), KeyPolicy(**policy))


def ready(pods: int, **spec: object) -> HoldingDispatcher:
    """One slot of each pod gives two places (ceil(1.1))."""
    dispatcher = a_dispatcher(now=now)
    dispatcher.catalog_changed(a_catalog({"tiny": pods}, **spec))
    dispatcher.loads_read(slots(1, *(f"tiny-{n}" for n in range(pods))), 0.0)
    return dispatcher


async def send(dispatcher: HoldingDispatcher, caller: Caller) -> asyncio.Task[Lease]:
    task = asyncio.ensure_future(dispatcher.lease(an_arrival(arrived_s=now(), caller=caller)))
    await asyncio.sleep(0)
    return task


async def refused(task: asyncio.Task[Lease]) -> ApiError:
    with pytest.raises(ApiError) as error:
        await task
    return error.value


def tiny(dispatcher: HoldingDispatcher):
    return dispatcher.demand().models[str(TINY)]


@virtual_time
async def test_keys_take_turns_and_a_higher_priority_goes_first():
    dispatcher = ready(1)
    batch, live, urgent = a_caller("batch"), a_caller("live"), a_caller("urgent", priority=1)
    leases = [await (await send(dispatcher, batch)) for _ in range(2)]
    sent = [(name, await send(dispatcher, caller)) for name, caller in
            [("b1", batch), ("b2", batch), ("b3", batch), ("l1", live), ("l2", live), ("u1", urgent)]]  # fmt: skip
    order = []
    while sent:
        leases.pop(0).end(Outcome.COMPLETED, now())
        await asyncio.sleep(0)
        ((name, task),) = [each for each in sent if each[1].done()]
        sent.remove((name, task))
        order.append(name)
        leases.append(task.result())
    assert order == ["u1", "b1", "l1", "b2", "l2", "b3"]


@virtual_time
async def test_the_age_of_the_oldest_request_is_reported_whatever_its_turn():
    dispatcher = ready(0)
    first = await send(dispatcher, a_caller("batch"))
    await asyncio.sleep(5)
    second = await send(dispatcher, a_caller("urgent", priority=1))
    assert tiny(dispatcher).oldest_held_s == 5
    first.cancel()
    await asyncio.sleep(0)
    assert tiny(dispatcher).oldest_held_s == 0
    second.cancel()


@virtual_time
async def test_a_key_that_fills_the_queue_leaves_a_place_to_another_key():
    dispatcher = ready(0, routing=RoutingSpec(hold=HoldSpec(max_requests=3)))
    batch = [await send(dispatcher, a_caller("batch")) for _ in range(3)]
    live = await send(dispatcher, a_caller("live"))
    error = await refused(batch[2])
    assert (error.status, error.code, tiny(dispatcher).held, tiny(dispatcher).refused) == (429, "displaced", 3, 1)
    assert not live.done()
    assert (await refused(await send(dispatcher, a_caller("batch")))).code == "held_requests"
    for task in (*batch[:2], live):
        task.cancel()


@virtual_time
async def test_a_key_of_a_priority_below_0_leaves_a_tenth_of_the_slots_to_others():
    dispatcher = a_dispatcher(now=now)
    dispatcher.catalog_changed(a_catalog({"tiny": 1}))
    dispatcher.loads_read(slots(20, "tiny-0"), 0.0)  # 22 places
    batch = [await send(dispatcher, a_caller("batch", priority=-1)) for _ in range(30)]
    assert sum(task.done() for task in batch) == 18
    live = [await send(dispatcher, a_caller("live")) for _ in range(5)]
    assert [task.done() for task in live] == [True] * 4 + [False]
    for task in batch[:5]:
        (await task).end(Outcome.COMPLETED, now())
    await asyncio.sleep(0)
    assert live[4].done()
    assert sum(task.done() for task in batch) == 18  # 13 run, and 5 live requests
    for task in batch[18:]:
        task.cancel()


@virtual_time
async def test_a_queue_full_of_background_requests_refuses_and_displaces_nobody_while_a_slot_is_free():
    dispatcher = a_dispatcher(now=now)
    dispatcher.catalog_changed(
        a_catalog({"tiny": 1}, routing=RoutingSpec(hold=HoldSpec(max_requests=2, max_bytes=1024)))
    )
    dispatcher.loads_read(slots(20, "tiny-0"), 0.0)  # 22 places, 18 for the background
    batch = [await send(dispatcher, a_caller("batch", priority=-1)) for _ in range(20)]
    held = [task for task in batch if not task.done()]
    large = dispatcher.lease(an_arrival(arrived_s=now(), body_bytes=1025, caller=a_caller("live")))
    assert (await large).replica.uid == "tiny-0"
    assert not [task for task in held if task.done()]
    for task in held:
        task.cancel()


@virtual_time
async def test_a_replica_with_one_slot_serves_every_priority():
    dispatcher = ready(1)
    lease = await (await send(dispatcher, a_caller("batch", priority=-100)))
    assert lease.replica.uid == "tiny-0"


@virtual_time
async def test_promise_32_a_key_with_wake_false_does_not_start_a_model():
    dispatcher = a_dispatcher(now=now)
    dispatcher.catalog_changed(a_catalog({"tiny": 0}, replicas=0))
    seq = dispatcher.demand().wake_seq
    error = await refused(await send(dispatcher, a_caller("titles", wake=False)))
    assert (error.status, error.code, error.headers()) == (503, "model_asleep", {"x-should-retry": "false"})
    found = tiny(dispatcher)
    assert (found.arrived, found.refused, found.held, dispatcher.demand().wake_seq) == (0, 0, 0, seq)


@virtual_time
async def test_promise_32_a_key_with_wake_false_waits_for_a_model_that_others_have_started():
    dispatcher = ready(0)  # one replica is wanted, none is Ready yet
    chore = await send(dispatcher, a_caller("titles", wake=False))
    found = tiny(dispatcher)
    assert (found.held, found.no_wake_held, found.no_wake_arrived, dispatcher.demand().wake_seq) == (1, 1, 1, 0)
    dispatcher.catalog_changed(a_catalog({"tiny": 0}, replicas=0))
    assert (await refused(chore)).code == "model_asleep"
    assert tiny(dispatcher).no_wake_held == 0


@virtual_time
async def test_promise_32_requests_with_wake_false_are_served_and_counted_apart():
    dispatcher = ready(1)
    chore = await (await send(dispatcher, a_caller("titles", wake=False)))
    found = tiny(dispatcher)
    assert (found.in_flight, found.no_wake_in_flight, found.no_wake_placed) == (1, 1, 1)
    chore.end(Outcome.COMPLETED, now())
    found = tiny(dispatcher)
    assert (found.arrived, found.no_wake_arrived, found.no_wake_in_flight) == (1, 1, 0)


@virtual_time
async def test_promise_32_the_deadline_of_a_chore_wakes_no_model():
    dispatcher = ready(0, routing=RoutingSpec(hold=HoldSpec(timeout_seconds=5)))
    chore = await send(dispatcher, a_caller("titles", wake=False))
    await asyncio.sleep(6)
    assert (await refused(chore)).code == "hold_timeout"
    assert (tiny(dispatcher).refused, dispatcher.demand().wake_seq) == (0, 0)


@virtual_time
async def test_promise_25_a_request_that_is_held_when_its_key_ends_reaches_no_replica():
    dispatcher = ready(0)
    callers = [a_caller(name) for name in ("valid", "revoked", "narrowed")]
    tasks = [await send(dispatcher, caller) for caller in callers]
    now_only = {"valid": callers[0], "narrowed": a_caller("narrowed", models=frozenset({"other"}))}
    dispatcher.refuse_revoked(lambda caller: now_only.get(caller.key.name if caller.key else ""))
    assert not tasks[0].done()
    errors = [await refused(task) for task in tasks[1:]]
    assert [(error.status, error.code) for error in errors] == [(401, "invalid_api_key"), (404, "model_not_found")]
    assert tiny(dispatcher).held == 1
    tasks[0].cancel()
