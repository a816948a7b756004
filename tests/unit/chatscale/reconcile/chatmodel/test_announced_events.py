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


@MODES
async def test_the_lead_is_twice_the_cold_start_that_was_measured(mode: str):
    world = await a_shop(mode)
    slow = a_pod("tiny-2").created_at(START - timedelta(seconds=500))
    world.cluster.put(slow.manifest())
    await world.tick()
    assert least(world, mode) == 1
    world.cluster.put(slow.ready(START).manifest())
    await world.tick(times=2)
    # (80 + 500) / 2 s, and so its lead has begun.
    assert autoscaling(world)["coldStartSeconds"] == 290
    assert least(world, mode) == 3
    world.restart_operator()
    await world.tick()
    assert (autoscaling(world)["coldStartSeconds"], autoscaling(world)["activeEvent"]) == (290, "sale")


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
