"""The tools that change something, by tau2's retail policy. Each checks everything before it changes anything."""

from collections import Counter
from typing import Any, Final

from hack.shop.state import Row, Shop, ShopError

CANCEL_REASONS: Final = ("no longer needed", "ordered by mistake")
ADDRESS: Final = ("address1", "address2", "city", "state", "country", "zip")


def cancel_pending_order(shop: Shop, order_id: str, reason: str) -> Row:
    """Cancel an order and refund each of its payments to the method that it was paid with."""
    order = shop.order(order_id)
    _expect_status(order, "pending")
    if reason not in CANCEL_REASONS:
        raise ShopError(f"the reason is none of: {', '.join(CANCEL_REASONS)}")
    refunds = [{**payment, "transaction_type": "refund"} for payment in order["payment_history"]]
    methods = [shop.payment_method(order["user_id"], each["payment_method_id"]) for each in refunds]
    for method, refund in zip(methods, refunds, strict=True):
        _add_to_gift_card(method, refund["amount"])
    order["status"] = "cancelled"
    order["cancel_reason"] = reason
    order["payment_history"].extend(refunds)
    return order


def modify_pending_order_address(shop: Shop, order_id: str, **address: str) -> Row:
    """Change the shipping address of one order."""
    order = shop.order(order_id)
    _expect_status(order, "pending", "pending (item modified)")
    order["address"] = {name: address[name] for name in ADDRESS}
    return order


def modify_pending_order_payment(shop: Shop, order_id: str, payment_method_id: str) -> Row:
    """Pay an order with another method, and refund the first one."""
    order = shop.order(order_id)
    _expect_status(order, "pending", "pending (item modified)")
    method = shop.payment_method(order["user_id"], payment_method_id)
    payments = order["payment_history"]
    if len(payments) != 1 or payments[0]["transaction_type"] != "payment":
        raise ShopError("the order has not exactly one payment")
    first = payments[0]
    if first["payment_method_id"] == payment_method_id:
        raise ShopError("the payment method is the current one")
    _expect_balance(method, first["amount"])
    _add_to_gift_card(method, -first["amount"])
    _add_to_gift_card(shop.payment_method(order["user_id"], first["payment_method_id"]), first["amount"])
    payments.append({**first, "payment_method_id": payment_method_id})
    payments.append({**first, "transaction_type": "refund"})
    return order


def modify_pending_order_items(
    shop: Shop, order_id: str, item_ids: list[str], new_item_ids: list[str], payment_method_id: str
) -> Row:
    """Replace items of an order that is not sent yet; once per order."""
    order = shop.order(order_id)
    _expect_status(order, "pending")
    if any(old == new for old, new in zip(item_ids, new_item_ids, strict=False)):
        raise ShopError("a new item is the old one")
    pairs = _pair_items(shop, order, item_ids, new_item_ids)
    difference = _difference(pairs)
    method = shop.payment_method(order["user_id"], payment_method_id)
    _expect_balance(method, difference)
    _add_to_gift_card(method, -difference)
    order["payment_history"].append({
        "transaction_type": "payment" if difference > 0 else "refund",
        "amount": abs(difference),
        "payment_method_id": payment_method_id,
    })  # fmt: skip
    for item, variant in pairs:
        item.update(item_id=variant["item_id"], price=variant["price"], options=dict(variant["options"]))
    order["status"] = "pending (item modified)"
    return order


def exchange_delivered_order_items(
    shop: Shop, order_id: str, item_ids: list[str], new_item_ids: list[str], payment_method_id: str
) -> Row:
    """Request the exchange of items of a delivered order; once per order."""
    order = shop.order(order_id)
    _expect_status(order, "delivered")
    difference = _difference(_pair_items(shop, order, item_ids, new_item_ids))
    _expect_balance(shop.payment_method(order["user_id"], payment_method_id), difference)
    order["status"] = "exchange requested"
    order["exchange_items"] = sorted(item_ids)
    order["exchange_new_items"] = sorted(new_item_ids)
    order["exchange_payment_method_id"] = payment_method_id
    order["exchange_price_difference"] = difference
    return order


def return_delivered_order_items(shop: Shop, order_id: str, item_ids: list[str], payment_method_id: str) -> Row:
    """Request the return of items of a delivered order; once per order."""
    order = shop.order(order_id)
    _expect_status(order, "delivered")
    method = shop.payment_method(order["user_id"], payment_method_id)
    original = order["payment_history"][0]["payment_method_id"]
    if method["source"] != "gift_card" and payment_method_id != original:
        raise ShopError("the refund goes to the original payment method or to a gift card")
    _expect_items(order, item_ids)
    order["status"] = "return requested"
    order["return_items"] = sorted(item_ids)
    order["return_payment_method_id"] = payment_method_id
    return order


def modify_user_address(shop: Shop, user_id: str, **address: str) -> Row:
    """Change the default address of a user."""
    user = shop.user(user_id)
    user["address"] = {name: address[name] for name in ADDRESS}
    return user


def _expect_status(order: Row, *expected: str) -> None:
    if order["status"] not in expected:
        raise ShopError(f"the order's status is {order['status']}, expected {' or '.join(expected)}")


def _expect_items(order: Row, item_ids: list[str]) -> None:
    if not Counter(item_ids) <= Counter(item["item_id"] for item in order["items"]):
        raise ShopError("an item is not in the order that often")


def _pair_items(shop: Shop, order: Row, item_ids: list[str], new_item_ids: list[str]) -> list[tuple[Row, Row]]:
    """Item of the order and available variant of the same product, for each old and new id."""
    if len(item_ids) != len(new_item_ids):
        raise ShopError("the numbers of old and new items differ")
    _expect_items(order, item_ids)
    free = list(order["items"])
    pairs = []
    for old, new in zip(item_ids, new_item_ids, strict=True):
        item = next(each for each in free if each["item_id"] == old)
        free = [each for each in free if each is not item]
        variant = shop.product(item["product_id"])["variants"].get(new)
        if variant is None or not variant["available"]:
            raise ShopError("a new item is no available variant of the same product")
        pairs.append((item, variant))
    return pairs


def _difference(pairs: list[tuple[Row, Row]]) -> float:
    return float(round(sum(variant["price"] - item["price"] for item, variant in pairs), 2))


def _expect_balance(method: Row, amount: float) -> None:
    if method["source"] == "gift_card" and method["balance"] < amount:
        raise ShopError("the balance of the gift card is too low")


def _add_to_gift_card(method: Row, amount: float) -> None:
    if method["source"] == "gift_card":
        method["balance"] = round(method["balance"] + amount, 2)


WRITES: Final[dict[str, Any]] = {
    each.__name__: each
    for each in (
        cancel_pending_order,
        exchange_delivered_order_items,
        modify_pending_order_address,
        modify_pending_order_items,
        modify_pending_order_payment,
        modify_user_address,
        return_delivered_order_items,
    )
}
"""By the tool's name."""
