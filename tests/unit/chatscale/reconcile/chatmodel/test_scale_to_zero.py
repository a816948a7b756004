"""Scale to zero and back through whole passes, in both modes that have it."""

import asyncio
from datetime import datetime, timedelta

import pytest

from chatscale.cluster.interface import CHATMODEL, DEPLOYMENT, POD
from chatscale.reconcile.controller import Controller
from tests.support.builders import START, ChatModelBuilder, a_chatmodel, a_pod
from tests.support.clock import virtual_time_loop
from tests.support.fake_cluster import FakeCluster
from tests.support.gateways import FakeGateways
from tests.support.world import TINY, World

MODES = ["Operator", "HPA"]


def a_sleeper(mode: str, replicas: int = 1) -> ChatModelBuilder:
    sleeper = a_chatmodel().with_spec(server={"maxConcurrency": 8})
    return sleeper.in_mode(mode, scaleToZero={"idleSeconds": 60}).with_replicas(replicas)


async def a_world_with_a_gateway(chatmodel: ChatModelBuilder, *, ready: bool = False) -> World:
    pods = [a_pod().ready().manifest()] if ready else []
    world = World(FakeCluster(chatmodel.manifest(), *pods), gateways=FakeGateways())
    await world.tick(times=2, seconds=2)
    world.cluster.written()
    return world


def replicas(world: World) -> tuple[int, int]:
    counts = (world.cluster.the(kind)["spec"]["replicas"] for kind in (CHATMODEL, DEPLOYMENT))
    return next(counts), next(counts)


@pytest.mark.parametrize("mode", MODES)
async def test_an_idle_model_goes_to_zero_and_is_ready_there(mode: str):
    world = await a_world_with_a_gateway(a_sleeper(mode), ready=True)
    await world.tick(times=28, seconds=2)
    assert replicas(world) == (1, 1)
    await world.tick(times=6, seconds=2)
    assert replicas(world) == (0, 0)
    world.cluster.remove(POD, "tiny-1")
    world.cluster.settle_deployment()
    await world.tick(times=2, seconds=2)
    assert world.cluster.condition("Ready") == ("True", "ScaledToZero")
    assert world.cluster.condition("ScalingActive") == ("True", "ScaledToZero")
    assert "ScaledDown" in world.cluster.event_reasons()
    world.cluster.written()
    await world.tick(times=30, seconds=2)
    assert replicas(world) == (0, 0)


@pytest.mark.parametrize("mode", MODES)
async def test_a_held_request_starts_the_model_in_the_next_pass(mode: str):
    world = await a_world_with_a_gateway(a_sleeper(mode, replicas=0))
    assert replicas(world) == (0, 0)
    assert world.gateways is not None
    world.gateways.sees(held=9)
    await world.tick(seconds=0.1)
    assert replicas(world) == (2, 2)
    history = world.cluster.the(CHATMODEL)["status"]["autoscaling"]["history"]
    assert history[0]["reason"] == "RequestsHeld: gateways hold 9 requests (oldest 0.0 s) at 0 replicas: recommended 2"


@pytest.mark.parametrize("mode", MODES)
async def test_a_restarted_operator_leaves_a_model_at_zero(mode: str):
    world = await a_world_with_a_gateway(a_sleeper(mode, replicas=0))
    world.restart_operator()
    await world.tick(times=3, seconds=2)
    assert replicas(world) == (0, 0)


async def test_a_model_with_requests_stays():
    world = await a_world_with_a_gateway(a_sleeper("Operator"), ready=True)
    assert world.gateways is not None
    for second in range(60):
        world.gateways.sees(arrived=second // 10)
        await world.tick(seconds=2)
    assert replicas(world) == (1, 1)


async def test_without_a_gateway_a_model_never_goes_to_zero():
    world = World(FakeCluster(a_sleeper("Operator").manifest(), a_pod().ready().manifest()))
    await world.tick(times=100, seconds=2)
    assert replicas(world) == (1, 1)


async def test_an_hpa_that_writes_at_the_same_time_wins_no_lost_update():
    world = await a_world_with_a_gateway(a_sleeper("HPA"), ready=True)
    world.cluster.autoscaler_sets_replicas(3)
    await world.tick(times=40, seconds=2)
    assert replicas(world) == (3, 3), "above minReplicas only the HPA lowers the count"


async def test_an_unreadable_gateway_is_reported():
    world = await a_world_with_a_gateway(a_sleeper("Operator"), ready=True)
    assert world.gateways is not None
    world.gateways.sees(gateways=0, unread=("gw-1",), is_current=False)
    await world.tick(seconds=2)
    assert world.cluster.condition("RoutingReady") == ("False", "GatewayUnreadable")
    world.gateways.sees(gateways=1, unread=(), is_current=True)
    await world.tick(seconds=2)
    assert world.cluster.condition("RoutingReady") == ("True", "NamesAccepted")


def test_from_the_wake_to_the_scale_write_it_takes_far_less_than_a_second():
    loop = virtual_time_loop()
    try:
        assert loop.run_until_complete(_seconds_to_the_write()) < 0.5
    finally:
        loop.close()


async def _seconds_to_the_write() -> float:
    """With the controller's own pauses, in virtual time; the wake comes right after another pass began."""
    loop = asyncio.get_running_loop()

    class LoopClock:
        def __call__(self) -> datetime:
            return START + timedelta(seconds=loop.time())

        def monotonic(self) -> float:
            return loop.time()

    gateways = FakeGateways()
    world = World(FakeCluster(a_sleeper("Operator", replicas=0).manifest()), gateways=gateways)
    world.clock = LoopClock()  # type: ignore[assignment]
    world.restart_operator()
    controller = Controller({CHATMODEL.name: world.operator})
    task = asyncio.create_task(controller.run([TINY]))
    await asyncio.sleep(10.3)
    world.deliver()
    controller.wake(TINY)
    await asyncio.sleep(0)
    gateways.sees(held=1)
    started = loop.time()
    controller.wake(TINY)
    while world.cluster.the(CHATMODEL)["spec"]["replicas"] == 0:
        await asyncio.sleep(0.01)
        world.deliver()
        assert loop.time() - started < 5
    took = loop.time() - started
    controller.stop()
    await task
    return took
