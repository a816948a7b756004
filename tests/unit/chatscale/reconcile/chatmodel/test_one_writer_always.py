"""Whatever the others do, in whatever order, and however often the operator restarts: the writer's count holds."""

import asyncio
from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st

from chatscale.cluster.interface import CHATMODEL, DEPLOYMENT
from tests.support.builders import a_chatmodel
from tests.support.world import World, a_settled_world

COUNTS = st.integers(1, 9)
Act = Callable[[World], None]

OTHERS = st.one_of(
    COUNTS.map(lambda n: lambda world: world.cluster.user_sets_spec(replicas=n)),
    COUNTS.map(lambda n: lambda world: world.cluster.autoscaler_sets_replicas(n, kind=DEPLOYMENT)),
    COUNTS.map(lambda n: lambda world: world.cluster.user_sets_spec(drain={"timeoutSeconds": n})),
    st.just(lambda world: world.restart_operator()),
)


def counts(world: World) -> tuple[int, int, int]:
    chatmodel = world.cluster.the(CHATMODEL)
    deployment = world.cluster.the(DEPLOYMENT)["spec"]["replicas"]
    return chatmodel["spec"]["replicas"], chatmodel["status"]["desiredReplicas"], deployment


@given(st.lists(st.lists(OTHERS, max_size=3), max_size=8))
def test_in_mode_operator_the_decision_applies(rounds: list[list[Act]]):
    async def play() -> None:
        world = await a_settled_world(a_chatmodel().in_mode("Operator", min_replicas=3, max_replicas=3))
        for others in rounds:
            for act in others:
                act(world)
            await world.tick()
            assert counts(world) == (3, 3, 3)

    asyncio.run(play())


@given(st.lists(st.tuples(COUNTS, st.lists(OTHERS, max_size=3)), max_size=8))
def test_in_mode_hpa_the_last_count_of_the_hpa_applies(rounds: list[tuple[int, list[Act]]]):
    async def play() -> None:
        world = await a_settled_world(a_chatmodel().in_mode("HPA", max_replicas=9))
        for replicas, others in rounds:
            world.cluster.autoscaler_sets_replicas(replicas)
            await world.tick()
            for act in others:
                act(world)
            await world.tick()
            assert counts(world) == (replicas, replicas, replicas)

    asyncio.run(play())


@given(st.lists(OTHERS, max_size=8))
def test_a_pass_after_a_pass_writes_nothing(others: list[Act]):
    async def play() -> None:
        world = await a_settled_world(a_chatmodel().in_mode("Operator"))
        for act in others:
            act(world)
        await world.tick()
        world.cluster.settle_deployment()
        await world.tick(times=2)
        world.cluster.written()
        await world.tick(seconds=5)
        assert world.cluster.written() == []

    asyncio.run(play())
