"""A fallback of `spec.routing.overload` that the gateway cannot use is reported, until it can be used."""

from chatscale.reconcile.chatmodel.routing import find_fallback_fault
from tests.support.builders import a_chatmodel
from tests.support.world import TINY, a_world
from tests.unit.chatscale.reconcile.chatmodel.test_aliases import passes, routing_condition

OVERLOAD = {"overload": {"heldRequests": 10, "fallback": "small"}}


def small(**spec: object) -> dict:
    return a_chatmodel().named("small", "demo").with_spec(**spec).manifest()


async def test_a_missing_fallback_is_reported_until_it_exists():
    world = a_world(a_chatmodel().with_spec(routing=OVERLOAD))
    await passes(world)
    condition = routing_condition(world, "tiny", "demo")
    assert (condition["status"], condition["reason"], condition["message"]) == (
        "False", "FallbackUnavailable",
        "the fallback demo/small does not exist: spec.routing.overload is ignored and requests wait",
    )  # fmt: skip


async def test_a_change_of_the_fallback_reconciles_the_chatmodel_that_names_it():
    world = a_world(a_chatmodel().with_spec(routing=OVERLOAD), small())
    await passes(world)
    assert routing_condition(world, "tiny", "demo")["reason"] == "NamesAccepted"
    world.deliver()
    world.cluster.user_sets_spec("small", "demo", replicas=0)
    assert TINY in world.deliver()
    await passes(world)
    assert "has 0 replicas and no scaleToZero" in routing_condition(world, "tiny", "demo")["message"]


def test_a_fallback_that_scales_to_zero_can_be_used():
    chatmodel = a_chatmodel().with_spec(routing=OVERLOAD).build()
    asleep = small(replicas=0, autoscaling={"maxReplicas": 2, "scaleToZero": {"idleSeconds": 900}})
    assert find_fallback_fault(chatmodel, [asleep]) is None


def test_a_fallback_of_another_namespace_does_not_count():
    chatmodel = a_chatmodel().with_spec(routing=OVERLOAD).build()
    other = a_chatmodel().named("small", "shop").manifest()
    assert "demo/small does not exist" in (find_fallback_fault(chatmodel, [other]) or "")
