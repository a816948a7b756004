"""The tools that change nothing."""

import ast
import operator
from math import isfinite
from typing import Any, Final

from hack.shop.state import Row, Shop, ShopError

_OPERATORS: Final[dict[type[ast.operator], Any]] = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv,
}  # fmt: skip
_MAX_EXPRESSION: Final = 200


def find_user_id_by_email(shop: Shop, email: str) -> str:
    """The id of the user with this e-mail address."""
    return _first(shop, lambda user: user["email"].lower() == email.lower())


def find_user_id_by_name_zip(shop: Shop, first_name: str, last_name: str, zip: str) -> str:  # noqa: A002 - the tool's parameter
    """The id of the user with this name and postal code."""
    name = (first_name.lower(), last_name.lower(), zip)
    return _first(
        shop,
        lambda user: (
            user["name"]["first_name"].lower(), user["name"]["last_name"].lower(), user["address"]["zip"]
        ) == name,
    )  # fmt: skip


def get_order_details(shop: Shop, order_id: str) -> Row:
    """Status, items, address, parcels and payments of an order."""
    return shop.order(order_id)


def get_product_details(shop: Shop, product_id: str) -> Row:
    """Name and variants of a product, with options, prices and availability."""
    return shop.product(product_id)


def get_item_details(shop: Shop, item_id: str) -> Row:
    """One variant of a product."""
    for product in shop.products.values():
        if item_id in product["variants"]:
            return {"name": product["name"], "product_id": product["product_id"], **product["variants"][item_id]}
    raise ShopError("item not found")


def get_user_details(shop: Shop, user_id: str) -> Row:
    """Name, address, payment methods and orders of a user."""
    return shop.user(user_id)


def list_all_product_types(shop: Shop) -> dict[str, str]:
    """Product ids by name of the product."""
    return dict(sorted((product["name"], product["product_id"]) for product in shop.products.values()))


def calculate(shop: Shop, expression: str) -> str:  # noqa: ARG001 - every tool gets the shop
    """The value of an expression of numbers, + - * / and parentheses, rounded to two decimals."""
    if len(expression) > _MAX_EXPRESSION:
        raise ShopError("the expression is too long")
    try:
        value = round(_value(ast.parse(expression.strip(), mode="eval").body), 2)
    except (SyntaxError, ValueError, ZeroDivisionError, OverflowError, RecursionError, MemoryError) as error:
        raise ShopError("the expression is invalid") from error
    if not isfinite(value):
        raise ShopError("the expression has no finite value")
    return str(value)


def transfer_to_human_agents(shop: Shop, summary: str) -> str:  # noqa: ARG001 - the sample shop has no desk
    """Hand the customer over to a person."""
    return "Transfer successful"


def _value(node: ast.expr) -> float:
    match node:
        case ast.Constant(value=int() | float() as number) if not isinstance(number, bool):
            return float(number)
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -_value(operand)
        case ast.UnaryOp(op=ast.UAdd(), operand=operand):
            return _value(operand)
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _OPERATORS:
            return float(_OPERATORS[type(op)](_value(left), _value(right)))
        case _:
            raise ValueError("another operation")


def _first(shop: Shop, matches: Any) -> str:
    for user_id, user in shop.users.items():
        if matches(user):
            return user_id
    raise ShopError("user not found")


READS: Final[dict[str, Any]] = {
    each.__name__: each
    for each in (
        calculate,
        find_user_id_by_email,
        find_user_id_by_name_zip,
        get_item_details,
        get_order_details,
        get_product_details,
        get_user_details,
        list_all_product_types,
        transfer_to_human_agents,
    )
}
"""By the tool's name."""
