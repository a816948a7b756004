"""Announced events in the passes of both modes that scale. `scaling/test_floor.py` tests the count itself."""

from datetime import timedelta
from typing import Any

import pytest

from chatscale.cluster.interface import AUTOSCALER, CHATMODEL
from tests.support.builders import START, a_chatmodel, a_foreign_hpa, a_pod
from tests.support.world import World, a_settled_world

SALE = {"name": "sale", "start": "2026-11-27T08:05:00Z", "end": "2026-11-27T09:00:00Z", "minReplicas": 3}
MODES = pytest.mark.parametrize("mode", ["Operator", "HPA"])


async def a_shop(mode: str, *others: dict[str, Any], **fields: Any) -> World:
    """At 08:00:15 with a sale at 08:05."""
    world = await a_settled_world(a_chatmodel().in_mode(mode), *others)
    world.cluster.user_sets_spec(autoscaling={"mode": mode, "maxReplicas": 4, "events": [SALE], **fields})
    await world.tick()
    return world


def autoscaling(world: World) -> dict[str, Any]:
    found: dict[str, Any] = world.cluster.the(CHATMODEL)["status"]["autoscaling"]
    return found


def least(world: World, mode: str) -> int:
    """The minReplicas of the HPA; in mode Operator the count itself, since there is no load."""
    if mode == "HPA":
        return world.cluster.the(AUTOSCALER)["spec"].get("minReplicas", 1)
    return world.cluster.the(CHATMODEL)["spec"]["replicas"]


@MODES
async def test_the_least_count_rises_in_time_and_falls_at_the_end(mode: str):
    world = await a_shop(mode)
    assert (least(world, mode), autoscaling(world).get("activeEvent")) == (1, None)
    await world.tick(seconds=100)
    assert (least(world, mode), autoscaling(world).get("activeEvent")) == (3, "sale")
    world.cluster.user_sets_spec(autoscaling={"mode": mode, "maxReplicas": 4, "events": []})
    await world.tick(seconds=10)
    assert autoscaling(world).get("activeEvent") is None
    if mode == "HPA":
        assert least(world, mode) == 1


@MODES
async def test_a_pass_is_due_when_the_lead_begins_however_long_the_interval(mode: str):
    world = await a_shop(mode, source={"intervalSeconds": 300})
    # 08:05:00 less the lead of 185 s is 08:01:55, less 08:00:20 of the next pass.
    assert await world.tick() == pytest.approx(95, abs=5)
    due_s = await world.tick(seconds=90)
    assert due_s is not None
    await world.tick(seconds=due_s)
    assert least(world, mode) == 3


async def a_pod_starts(world: World, scheduled_in_s: float, took_s: float) -> None:
    """A second pod, observed before and after it becomes Ready."""
    scheduled = START - timedelta(seconds=took_s)
    pod = a_pod("tiny-2").created_at(scheduled - timedelta(seconds=scheduled_in_s)).running("node-a", scheduled)
    world.cluster.put(pod.manifest())
    await world.tick()
    world.cluster.put(pod.ready(START).manifest())
    await world.tick(times=2)


@MODES
async def test_a_start_of_22_s_shows_22_s_and_shortens_the_lead(mode: str):
    world = await a_shop(mode)
    assert "coldStartSeconds" not in autoscaling(world)

    await a_pod_starts(world, scheduled_in_s=0, took_s=22)

    assert (autoscaling(world)["coldStartSeconds"], autoscaling(world)["schedulingSeconds"]) == (22, 0)
    # 08:05:00 less the lead of 2 x 22 s + 25 s is 08:03:51.
    await world.tick(seconds=180)
    assert autoscaling(world).get("activeEvent") is None
    await world.tick(seconds=30)
    assert (least(world, mode), autoscaling(world)["activeEvent"]) == (3, "sale")


@MODES
async def test_time_without_a_node_is_shown_apart_and_lengthens_the_lead(mode: str):
    world = await a_shop(mode)

    await a_pod_starts(world, scheduled_in_s=120, took_s=22)

    # The lead of 2 x (120 s + 22 s) + 25 s began at 07:59:51.
    assert (autoscaling(world)["coldStartSeconds"], autoscaling(world)["schedulingSeconds"]) == (22, 120)
    assert least(world, mode) == 3
    world.restart_operator()
    await world.tick()
    assert (autoscaling(world)["coldStartSeconds"], autoscaling(world)["schedulingSeconds"]) == (22, 120)
    assert autoscaling(world)["activeEvent"] == "sale"


@MODES
async def test_a_restart_during_the_lead_keeps_the_event_active(mode: str):
    world = await a_shop(mode)
    await world.tick(seconds=100)
    status = world.cluster.the(CHATMODEL)["status"]
    faster = {**status, "autoscaling": {**status["autoscaling"], "coldStartSeconds": 5}}
    await world.cluster.patch_status(CHATMODEL, "demo", "tiny", faster)
    world.restart_operator()
    await world.tick(times=2)
    assert autoscaling(world)["coldStartSeconds"] == 5
    assert (least(world, mode), autoscaling(world)["activeEvent"]) == (3, "sale")


async def test_no_event_counts_beside_a_foreign_autoscaler():
    world = await a_shop("Operator", a_foreign_hpa())
    await world.tick(seconds=100)
    assert autoscaling(world).get("activeEvent") is None
