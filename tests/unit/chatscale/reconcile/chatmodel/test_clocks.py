"""Nobody can stop scrapes, plans or Events by setting the wall clock."""

import pytest

from chatscale.cluster.interface import CHATMODEL, DEPLOYMENT
from tests.support.builders import a_chatmodel, a_pod
from tests.support.world import World, a_settled_world

HOUR = 3600.0
BOTH_WAYS = pytest.mark.parametrize("step", [pytest.param(-HOUR, id="back"), pytest.param(HOUR, id="forward")])


async def a_scaling_world() -> World:
    targets = [{"type": "QueueDepth", "target": 4}]
    world = await a_settled_world(a_chatmodel().in_mode("Operator", metrics=targets), a_pod().ready().manifest())
    await world.tick(times=12)
    return world


@BOTH_WAYS
async def test_a_set_wall_clock_stops_neither_scrapes_nor_scaling(step: float):
    world = await a_scaling_world()
    world.clock.set_wall(step)
    before = world.reader.readings
    world.reader.queue, world.reader.running = 30, 8
    await world.tick(times=4)
    assert world.reader.readings == before + 4
    assert world.cluster.the(DEPLOYMENT)["spec"]["replicas"] > 1
    assert world.cluster.the(CHATMODEL)["status"]["queueDepth"] == 30


@BOTH_WAYS
async def test_a_set_wall_clock_lowers_nothing_before_a_whole_window_as_after_a_restart(step: float):
    world = await a_scaling_world()
    world.cluster.put(a_pod("tiny-2").ready().manifest())
    world.reader.queue, world.reader.running = 30, 8
    await world.tick(times=4)
    high = world.cluster.the(DEPLOYMENT)["spec"]["replicas"]
    world.reader.queue = world.reader.running = 0
    world.clock.set_wall(step)
    await world.tick(times=100)
    assert world.cluster.the(DEPLOYMENT)["spec"]["replicas"] == high
    await world.tick(times=60)
    assert world.cluster.the(DEPLOYMENT)["spec"]["replicas"] < high


@pytest.mark.parametrize(
    ("step", "kept"),
    [pytest.param(4, True, id="a correction of seconds"), pytest.param(7, False, id="more than five seconds")],
)
async def test_the_memory_is_dropped_only_if_the_wall_clock_was_set_by_more_than_five_seconds(
    step: float, *, kept: bool
):
    world = await a_scaling_world()
    (memory,) = world.operator._memories.values()
    world.clock.set_wall(step)
    await world.tick()
    (after,) = world.operator._memories.values()
    assert (after is memory) is kept


@BOTH_WAYS
async def test_a_set_wall_clock_stops_no_status(step: float):
    world = await a_scaling_world()
    world.clock.set_wall(step)
    await world.tick(times=3)
    world.cluster.written()
    await world.tick(times=240)
    assert world.cluster.written() == ["patch status"]


async def test_a_quiet_day_keeps_its_memory():
    world = await a_scaling_world()
    (memory,) = world.operator._memories.values()
    await world.tick(times=10, seconds=600)
    assert list(world.operator._memories.values()) == [memory]
