"""Each request keeps or misses the SLO once, counted from its arrival: 2 s to the first token, 0.1 s per token."""

import asyncio

import pytest

from chatscale_contract.gateway.demand import ModelDemand
from chatscale_contract.server.load import ReplicaLoad
from chatscale_gateway.dispatch.dispatcher import HoldingDispatcher
from chatscale_gateway.routing.outcomes import Outcome, Usage
from tests.support.gateway_world import TINY, a_catalog, a_dispatcher, an_arrival, slots, virtual_time


def ready(pods: int = 1) -> HoldingDispatcher:
    dispatcher = a_dispatcher(now=asyncio.get_running_loop().time)
    dispatcher.catalog_changed(a_catalog({"tiny": pods}))
    dispatcher.loads_read(slots(8, *(f"tiny-{n}" for n in range(pods))), 0.0)
    return dispatcher


def tiny(dispatcher: HoldingDispatcher) -> ModelDemand:
    return dispatcher.demand().models[str(TINY)]


def misses(dispatcher: HoldingDispatcher) -> tuple[int, int]:
    """SLO misses and wake misses."""
    return tiny(dispatcher).slo_misses, tiny(dispatcher).wake_misses


@virtual_time
@pytest.mark.parametrize(
    ("first_token_s", "end_s", "tokens", "missed"),
    [
        pytest.param(2.0, 3.0, 11, 0, id="in time"),
        pytest.param(2.1, 2.5, 11, 1, id="late first token"),
        pytest.param(1.0, 5.0, 11, 1, id="slow tokens"),
        pytest.param(9.0, 99.0, 11, 1, id="both count once"),
        pytest.param(None, 3.0, 11, 0, id="no first token seen, but both objectives allow it"),
        pytest.param(None, 3.1, 11, 1, id="no first token seen, longer than both allow"),
    ],
)
async def test_judges_a_complete_answer_once(first_token_s, end_s, tokens, missed):
    dispatcher = ready()
    lease = await dispatcher.lease(an_arrival())
    if first_token_s is not None:
        lease.first_token(first_token_s)
        lease.first_token(first_token_s + 50)
    lease.end(Outcome.COMPLETED, end_s, Usage(prompt_tokens=10, cached_tokens=4, generated_tokens=tokens))
    assert misses(dispatcher) == (missed, 0)
    found = tiny(dispatcher)
    assert (found.prompt_tokens, found.cached_tokens, found.generated_tokens) == (10, 4, tokens)
    assert (found.arrived, found.sent, found.finished) == (1, 1, 1)


@virtual_time
async def test_an_answer_that_is_not_streamed_is_judged_at_its_end():
    dispatcher = ready()
    lease = await dispatcher.lease(an_arrival(streamed=False))
    lease.first_token(11.9)
    assert misses(dispatcher) == (0, 0)
    lease.end(Outcome.COMPLETED, 11.9, Usage(10, 0, 101))
    assert misses(dispatcher) == (0, 0)


@virtual_time
async def test_a_long_prompt_may_take_three_times_its_prefill():
    dispatcher = ready()
    dispatcher.loads_read({"tiny-0": ReplicaLoad(0, 0, 8, prefill_tokens_per_second=1000)}, 0.0)
    lease = await dispatcher.lease(an_arrival(prompt_tokens=3000))
    lease.first_token(9.0)
    late = await dispatcher.lease(an_arrival(prompt_tokens=3000))
    late.first_token(9.1)
    assert misses(dispatcher) == (1, 0)


@virtual_time
@pytest.mark.parametrize(("left_s", "missed"), [(1.9, 0), (2.1, 1)])
@pytest.mark.parametrize("held", [True, False])
async def test_an_abandoned_request_misses_only_after_the_limit_of_its_first_token(left_s, missed, held):
    dispatcher = ready()
    leases = [await dispatcher.lease(an_arrival()) for _ in range(8)]
    task = asyncio.ensure_future(dispatcher.lease(an_arrival()))
    if held:
        leases.append(await dispatcher.lease(an_arrival()))
    await asyncio.sleep(left_s)
    if held:
        task.cancel()
        await asyncio.wait([task])
    else:
        (await task).end(Outcome.CLIENT_LEFT, left_s)
    assert (misses(dispatcher), tiny(dispatcher).abandoned) == ((missed, 0), 1)


@virtual_time
@pytest.mark.parametrize(
    ("outcome", "missed"),
    [(Outcome.NO_ANSWER, 1), (Outcome.BROKEN, 1), (Outcome.CLIENT_ERROR, 0), (Outcome.CUT_OFF, 0)],
)
async def test_an_end_without_a_first_token_misses_unless_the_client_or_the_shutdown_caused_it(outcome, missed):
    dispatcher = ready()
    (await dispatcher.lease(an_arrival())).end(outcome, 60.0)
    assert misses(dispatcher) == (missed, 0)


@virtual_time
async def test_misses_during_a_start_from_zero_are_counted_apart():
    dispatcher = ready(0)
    woken, left = (asyncio.ensure_future(dispatcher.lease(an_arrival())) for _ in range(2))
    await asyncio.sleep(30)
    left.cancel()
    dispatcher.catalog_changed(a_catalog({"tiny": 1}))
    lease = await woken
    lease.first_token(31.0)
    lease.end(Outcome.COMPLETED, 99.0, Usage(10, 0, 20))
    assert misses(dispatcher) == (0, 2)
    slow = await dispatcher.lease(an_arrival(arrived_s=100.0))
    slow.first_token(103.0)
    assert misses(dispatcher) == (1, 2)
