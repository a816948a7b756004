"""A name at the gateway that means two ChatModels is reported on both, until one of them gives it up."""

import pytest

from chatscale.cluster.interface import CHATMODEL, SHOPASSISTANT
from chatscale.reconcile.chatmodel.routing import find_alias_conflict
from chatscale.reconcile.chatmodel.watches import chatmodel_key
from tests.support.assistant_world import assistant_manifest
from tests.support.builders import ChatModelBuilder, a_chatmodel
from tests.support.world import TINY, World, a_world

OTHER = chatmodel_key("shop", "other")


def another(**routing: object) -> ChatModelBuilder:
    return a_chatmodel().named("other", "shop").with_spec(routing=routing)


async def test_two_chatmodels_with_one_alias_both_say_so():
    world = a_world(a_chatmodel().with_spec(routing={"aliases": ["gpt"]}), another(aliases=["gpt", "b"]).manifest())
    await passes(world)
    for name, namespace in (("tiny", "demo"), ("other", "shop")):
        condition = routing_condition(world, name, namespace)
        assert (condition["status"], condition["reason"]) == ("False", "AliasConflict")
        assert {"demo/tiny", "shop/other", "gpt:"} <= set(condition["message"].split())


async def test_the_condition_clears_on_both_when_one_gives_the_alias_up():
    world = a_world(a_chatmodel().with_spec(routing={"aliases": ["gpt"]}), another(aliases=["gpt"]).manifest())
    await passes(world)
    world.cluster.user_sets_spec("other", "shop", routing={"aliases": ["mine"]})
    assert world.deliver() == {TINY, OTHER}
    await passes(world)
    found = [routing_condition(world, *names)["reason"] for names in (("tiny", "demo"), ("other", "shop"))]
    assert found == ["NamesAccepted", "NamesAccepted"]


async def test_a_new_alias_wakes_the_chatmodel_whose_name_it_is():
    world = a_world(a_chatmodel(), another().manifest())
    await passes(world)
    world.deliver()
    world.cluster.user_sets_spec("other", "shop", routing={"aliases": ["tiny"]})
    assert world.deliver() == {TINY, OTHER}
    await passes(world)
    assert routing_condition(world, "tiny", "demo")["message"] == (
        "the alias tiny of ChatModel shop/other is a name of ChatModel demo/tiny, which takes precedence"
    )


async def test_a_name_that_takes_precedence_over_a_served_name_is_reported_on_both():
    world = a_world(a_chatmodel(), another().manifest())
    await passes(world)
    world.deliver()
    world.cluster.user_sets_spec("other", "shop", model={"uri": "hf://a/b", "servedName": "tiny"})
    assert world.deliver() == {TINY, OTHER}
    await passes(world)
    for name, namespace in (("tiny", "demo"), ("other", "shop")):
        condition = routing_condition(world, name, namespace)
        assert (condition["reason"], condition["message"]) == (
            "AliasConflict",
            "the servedName tiny of ChatModel shop/other is a name of ChatModel demo/tiny, which takes precedence",
        )


async def test_a_deletion_wakes_the_other_one():
    world = a_world(a_chatmodel().with_spec(routing={"aliases": ["gpt"]}), another(aliases=["gpt"]).manifest())
    await passes(world)
    world.deliver()
    world.cluster.remove(CHATMODEL, "other", "shop")
    assert TINY in world.deliver()
    await passes(world)
    assert routing_condition(world, "tiny", "demo")["reason"] == "NamesAccepted"


async def test_a_change_of_a_status_wakes_no_other_chatmodel():
    world = a_world(a_chatmodel().with_spec(routing={"aliases": ["gpt"]}), another(aliases=["gpt"]).manifest())
    await passes(world)
    world.deliver()
    world.cluster.the(CHATMODEL, "other", "shop")["status"]["queueDepth"] = 7
    assert world.deliver() == {OTHER}


@pytest.mark.parametrize(
    ("other", "conflicts"),
    [
        pytest.param(a_chatmodel().named("tiny", "shop"), False, id="a bare name in two namespaces"),
        pytest.param(another(aliases=["b"]), False, id="other aliases"),
        pytest.param(another(aliases=["demo/tiny"]), True, id="the full name as an alias"),
        pytest.param(a_chatmodel().named("gpt"), True, id="an alias that is a name"),
        pytest.param(
            another().with_spec(model={"uri": "hf://a/b", "servedName": "gpt"}), True, id="an alias that is served"
        ),
        pytest.param(
            another().with_spec(model={"uri": "hf://a/b", "servedName": "demo/tiny"}), True, id="served as a full name"
        ),
        pytest.param(
            another().with_spec(model={"uri": "hf://a/b", "servedName": "both"}), False, id="a served name of both"
        ),
        pytest.param(
            a_chatmodel().named("tiny", "shop").with_spec(model={"uri": "hf://a/b", "servedName": "tiny"}),
            False,
            id="a served name that is its own name",
        ),
    ],
)
def test_only_aliases_and_served_names_conflict(other: ChatModelBuilder, *, conflicts: bool):
    served = {"uri": "hf://a/b", "servedName": "both"}
    chatmodel = a_chatmodel().with_spec(routing={"aliases": ["gpt"]}, model=served).build()
    assert (find_alias_conflict(chatmodel, [other.manifest()]) is not None) == conflicts


def test_a_long_list_of_conflicts_is_cut():
    aliases = ["a", "b", "c", "d", "e"]
    chatmodel = a_chatmodel().with_spec(routing={"aliases": aliases}).build()
    message = find_alias_conflict(chatmodel, [another(aliases=aliases).manifest()])
    assert message is not None
    assert message.endswith("; 2 more")


async def passes(world: World) -> None:
    world.clock.advance(15)
    world.deliver()
    for key in (TINY, OTHER):
        await world.operator.reconcile(key)
        world.deliver()


def routing_condition(world: World, name: str, namespace: str) -> dict[str, str]:
    conditions = world.cluster.the(CHATMODEL, name, namespace)["status"]["conditions"]
    return next(c for c in conditions if c["type"] == "RoutingReady")


async def test_an_alias_that_is_the_name_of_an_assistant_is_reported_until_the_assistant_is_deleted():
    world = a_world(a_chatmodel().with_spec(routing={"aliases": ["shop"]}))
    await passes(world)
    world.deliver()
    world.cluster.put(assistant_manifest())
    assert TINY in world.deliver()
    await passes(world)
    assert routing_condition(world, "tiny", "demo")["message"] == (
        "the alias shop of ChatModel demo/tiny is a name of ShopAssistant demo/shop, which takes precedence"
    )

    world.cluster.remove(SHOPASSISTANT, "shop")
    assert TINY in world.deliver()
    await passes(world)
    assert routing_condition(world, "tiny", "demo")["reason"] == "NamesAccepted"


async def test_an_assistant_is_no_fallback():
    overload = {"heldRequests": 0, "fallback": "shop"}
    world = a_world(a_chatmodel().with_spec(routing={"overload": overload}), assistant_manifest())
    await passes(world)

    assert "the fallback demo/shop does not exist" in routing_condition(world, "tiny", "demo")["message"]
