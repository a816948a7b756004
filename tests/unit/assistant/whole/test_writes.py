"""Changes of orders that need more than the order's number: a new address, other variants. In three languages."""

import re
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from hack.shop.state import Row
from tests.unit.assistant.whole.shop import WholeShop, an_order, talk, whole_shop, writes

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.asyncio(loop_scope="module"),
]
COLOURS = {
    "black": ("noire", "黑色"), "white": ("blanche", "白色"), "red": ("rouge", "红色"), "blue": ("bleue", "蓝色"),
    "green": ("verte", "绿色"), "purple": ("violette", "紫色"), "silver": ("argentée", "银色"),
    "gold": ("dorée", "金色"), "brown": ("marron", "棕色"), "pink": ("rose", "粉色"), "yellow": ("jaune", "黄色"),
}  # fmt: skip
"""Colour -> what a customer writes in French and Chinese."""
DENVER = {
    "address1": "12 Main Street", "address2": "", "city": "Denver", "state": "CO", "zip": "80014", "country": "USA",
}  # fmt: skip
PARIS = {
    "address1": "12 rue de la Paix", "address2": "", "city": "Paris", "state": "Île-de-France", "zip": "75002",
    "country": "France",
}  # fmt: skip
LONDON = {
    "address1": "10 Downing Street", "address2": "", "city": "London", "state": "", "zip": "SW1A 2AA",
    "country": "United Kingdom",
}  # fmt: skip
HANGZHOU = {
    "address1": "西湖区文三路1号", "address2": "", "city": "杭州市", "state": "浙江省", "zip": "310012",
    "country": "中国",
}  # fmt: skip


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[WholeShop]:
    async with whole_shop(tmp_path_factory.mktemp("shop"), tmp_path_factory.mktemp("index")) as found:
        yield found


@pytest.fixture
def shop(running: WholeShop) -> WholeShop:
    running.desk.cases.clear()
    running.tools.calls.clear()
    return running


@pytest.mark.parametrize(
    ("texts", "yes", "address", "index"),
    [
        pytest.param(("Change the delivery address of {} to 12 Main Street, Denver, CO 80014, USA",), "yes", DENVER, 0),
        pytest.param(
            ("I want to change the address of {}", "12 Main Street, Denver", "CO 80014", "USA"),
            "yes, change the address", DENVER, 1,
        ),
        pytest.param(
            ("Changer l'adresse de livraison de {} : 12 rue de la Paix, 75002 Paris, Île-de-France, France",),
            "oui", PARIS, 2,
        ),
        pytest.param(
            (
                "Je veux modifier l'adresse de la commande {}",
                "Ma nouvelle adresse est 12 rue de la Paix, 75002 Paris",
                "Île-de-France, France",
            ),
            "oui", PARIS, 3,
        ),
        pytest.param(
            ("请把订单 {} 的收货地址改成浙江省杭州市西湖区文三路1号，310012，中国",), "是", HANGZHOU, 4,
        ),
        pytest.param(
            ("我要修改订单 {} 的地址", "杭州市西湖区文三路1号", "浙江省，310012，中国"),
            "是的", HANGZHOU, 5,
        ),
        pytest.param(
            ("Change the address of {} to 10 Downing Street, London SW1A 2AA, United Kingdom",), "yes", LONDON, 6,
        ),
    ],
    ids=["en", "en, part by part", "fr", "fr, part by part", "zh", "zh, part by part", "no region"],
)  # fmt: skip
async def test_an_address_changes_only_after_a_yes_to_exactly_this_address(shop, texts, yes, address, index):
    order = an_order(shop, "pending", 1, index)
    before, number = dict(order["address"]), str(order["order_id"])
    *asked, proposal = await talk(shop, *(text.format(number) for text in texts), customer=order["user_id"])

    assert all(each["pending"] is None for each in asked)
    assert proposal["pending"]
    assert all(value in proposal["text"] for value in address.values())
    assert before["address1"] in proposal["text"]
    assert order["address"] == before
    assert not writes(shop)

    *_, done = await talk(shop, *(text.format(number) for text in texts), yes, customer=order["user_id"])

    assert order["address"] == address
    assert writes(shop) == [{"order_id": number, **address}]
    assert "R-" in done["text"]
    assert not shop.desk.cases


@pytest.mark.parametrize(
    ("text", "asks", "has"),
    [
        ("Change the address of {}", "full new address", ""),
        ("Change the address of {} to 12 Main Street, Denver", "state or region, postcode, country", "Denver"),
        ("Changer l'adresse de {} : 12 rue de la Paix, 75002 Paris", "région, pays", "Paris"),
        ("把订单 {} 的地址改成杭州市西湖区文三路1号", "省或州, 邮编, 国家", "杭州市"),
    ],
)
async def test_the_assistant_asks_for_the_parts_of_an_address_that_are_missing(shop, text, asks, has):
    order = an_order(shop, "pending", 1, 6)
    (answer,) = await talk(shop, text.format(order["order_id"]), customer=order["user_id"])

    assert asks in answer["text"]
    assert has in answer["text"]
    assert answer["rung"] == "template"


async def test_a_correction_of_an_address_is_a_new_proposal_that_needs_its_own_yes(shop):
    order = an_order(shop, "pending", 1, 7)
    request = f"Change the address of {order['order_id']} to 12 Main Street, Denver, CO 80014, USA"
    first, second = await talk(shop, request, "no, the zip code is 80015", customer=order["user_id"])

    assert second["pending"] not in {None, first["pending"]}
    assert "80015" in second["text"]
    assert "80014" not in second["text"]
    assert not writes(shop)


async def test_a_yes_to_an_address_with_another_number_changes_nothing(shop):
    order = an_order(shop, "pending", 1, 7)
    before = dict(order["address"])
    request = f"Change the address of {order['order_id']} to 12 Main Street, Denver, CO 80014, USA"
    await talk(shop, request, "yes, to 14 Main Street", customer=order["user_id"])

    assert order["address"] == before
    assert not writes(shop)


@pytest.mark.parametrize("text", ["the same as last time", "à mon bureau, comme la dernière fois", "跟我上次的一样"])
async def test_an_address_that_cannot_be_read_goes_to_a_person(shop, text):
    order = an_order(shop, "pending", 1, 8)
    _, answer = await talk(shop, f"Change the address of {order['order_id']}", text, customer=order["user_id"])

    assert answer["hand_over"] == "requested"
    assert len(shop.desk.cases) == 1
    assert not writes(shop)


@pytest.mark.parametrize(
    "text",
    [
        "Change the address of {}",
        "Change the address of {} to 12 Main Street, Denver, CO 80014, USA",
        "我要取消订单 {}",
    ],
)
async def test_nothing_is_asked_about_an_order_whose_state_forbids_the_change(shop, text):
    order = an_order(shop, "delivered", 1)
    (answer,) = await talk(shop, text.format(order["order_id"]), customer=order["user_id"])

    assert "delivered" in answer["text"] or "已送达" in answer["text"]
    assert answer["pending"] is None
    assert not writes(shop)


async def test_the_order_of_another_customer_keeps_its_address(shop):
    order, other = an_order(shop, "pending", 1), an_order(shop, "delivered", 1)
    request = f"Change the address of {order['order_id']} to 12 Main Street, Denver, CO 80014, USA"
    answer, _ = await talk(shop, request, "yes", customer=other["user_id"])

    assert "no order" in answer["text"]
    assert not writes(shop)


def an_exchange(shop: WholeShop, index: int = 0, *, in_stock: bool = True) -> tuple[Row, Row, Row]:
    """A delivered order, its item, and a variant that differs in a colour only."""
    found = [
        (order, item, variant)
        for order in shop.tools.shop.orders.values()
        if order["status"] == "delivered" and len({each["name"] for each in order["items"]}) == len(order["items"]) > 1
        for item in order["items"]
        for variant in shop.tools.shop.products[item["product_id"]]["variants"].values()
        if {variant["options"].get("color"), item["options"].get("color")} <= set(COLOURS)
        and {k for k, v in variant["options"].items() if item["options"][k] != v} == {"color"}
        and variant["available"] is in_stock
        and order["payment_history"][0]["payment_method_id"].startswith(("credit", "paypal"))
    ]
    return list({order["order_id"]: (order, item, variant) for order, item, variant in found}.values())[index]


@pytest.mark.parametrize(
    ("texts", "yes", "index"),
    [
        (("I want to exchange the {old} {name} of order {order} for the {new} one",), "yes, exchange it", 0),
        (("I want to exchange something from {order}", "the {name}", "the {new} one"), "yes", 1),
        (("Je veux échanger {name} de la commande {order} contre une variante {fr}",), "oui", 2),
        (("Je veux échanger un article de {order}", "{name}", "{fr}"), "oui", 3),
        (("我想把订单 {order} 里的 {name} 换成{zh}的",), "是", 4),
        (("我想换货，订单 {order}", "{name}", "换成{zh}的"), "是的", 5),
    ],
    ids=["en", "en, part by part", "fr", "fr, part by part", "zh", "zh, part by part"],
)
async def test_an_item_is_exchanged_only_after_a_yes_to_exactly_this_variant(shop, texts, yes, index):
    order, item, variant = an_exchange(shop, index)
    fr, zh = COLOURS[variant["options"]["color"]]
    words = {"old": item["options"]["color"], "new": variant["options"]["color"], "fr": fr, "zh": zh}
    said = [text.format(order=order["order_id"], name=item["name"], **words) for text in texts]
    *asked, proposal = await talk(shop, *said, customer=order["user_id"])

    assert all(each["pending"] is None and each["hand_over"] == "none" for each in asked)
    assert proposal["pending"], proposal["text"]
    assert all(each["item_id"] in proposal["text"] for each in (item, variant))
    difference = abs(round(variant["price"] - item["price"], 2))
    assert re.search(f"{difference:.2f}".replace(".", "[.,]"), proposal["text"])
    assert order["status"] == "delivered"
    assert not writes(shop)

    *_, done = await talk(shop, *said, yes, customer=order["user_id"])

    method = order["payment_history"][0]["payment_method_id"]
    assert writes(shop) == [
        {
            "order_id": order["order_id"],
            "item_ids": [item["item_id"]],
            "new_item_ids": [variant["item_id"]],
            "payment_method_id": method,
        }
    ]
    assert order["status"] == "exchange requested"
    assert "R-" in done["text"]
    assert not shop.desk.cases


async def test_a_variant_that_is_out_of_stock_is_not_proposed(shop):
    order, item, variant = an_exchange(shop, 6, in_stock=False)
    request = f"I want to exchange the {item['name']} of {order['order_id']} for the {variant['options']['color']} one"
    (answer,) = await talk(shop, request, customer=order["user_id"])

    assert answer["pending"] is None
    assert "out of stock" in answer["text"]
    assert variant["item_id"] not in answer["text"]
    assert not writes(shop)


@pytest.mark.parametrize("wanted", ["the transparent one", "another one", "the orange one in size XXL"])
async def test_a_variant_that_the_product_does_not_have_leads_to_the_ones_in_stock(shop, wanted):
    order, item, variant = an_exchange(shop, 7)
    request = f"I want to exchange the {item['name']} of {order['order_id']} for {wanted}"
    (answer,) = await talk(shop, request, customer=order["user_id"])

    assert answer["pending"] is None
    assert "Which of these would you like instead?" in answer["text"]
    assert variant["item_id"] in answer["text"]
    assert not writes(shop)


async def test_nothing_is_asked_about_an_exchange_of_a_pending_order(shop):
    order = an_order(shop, "pending", 2)
    (answer,) = await talk(shop, f"I want to exchange something from {order['order_id']}", customer=order["user_id"])

    assert "pending" in answer["text"]
    assert "Which" not in answer["text"]
    assert not writes(shop)
