"""The access rules of tools: whose data a tool reads or changes, and what the shop's policy demands before a write.

Rules are data. They come, in this order, from the tool's pinned `_meta` (`ACCESS_META`), from the table of well-known
tools (`gate.retail`), and from conventions (`derive_rule`). A tool that no rule binds to the customer stays closed.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from chatscale_assistant.gate.pins import ToolDescription
from chatscale_assistant.gate.policy import Condition
from chatscale_contract.assistant.tool_calls import ACCESS_META

CUSTOMER_NAMES: Final = frozenset(
    {
        "user_id", "customer_id", "client_id", "account_id", "member_id", "user", "customer", "userid",
        "customerid", "customer_no", "customer_number", "owner_id", "buyer_id", "shopper_id",
    }
)  # fmt: skip
"""Parameters and fields that hold the id of a customer, in snake case."""
PUBLIC_WORDS: Final = frozenset(
    {
        "product", "products", "catalog", "catalogue", "stock", "inventory", "availability", "store", "stores",
        "category", "categories", "item", "items", "variant", "variants", "price", "prices", "faq", "policy",
        "policies",
    }
)  # fmt: skip
PRIVATE_WORDS: Final = frozenset(
    {
        "user", "users", "customer", "customers", "order", "orders", "account", "accounts", "payment", "payments",
        "address", "addresses", "return", "returns", "refund", "refunds", "invoice", "invoices", "email", "phone",
        "my", "cart", "basket", "parcel", "shipment", "tracking", "member", "client", "wallet", "voucher", "gift",
        "card", "zip", "person",
    }
)  # fmt: skip
_ID: Final = re.compile(r"(.+)_ids?")
_PUBLIC_VERBS: Final = frozenset(
    {"get", "list", "find", "search", "read", "show", "check", "lookup", "fetch", "browse"}
)


@dataclass(frozen=True, slots=True)
class Lookup:
    """A reading tool of the same server that returns an object with its owner."""

    tool: str
    parameter: str
    owner: str | None
    """Field of the result with the customer's id. None: whichever of `CUSTOMER_NAMES` the result has."""


@dataclass(frozen=True, slots=True)
class Variants:
    """Pairs of items of an order and of the variants that replace them."""

    order: str = "order_id"
    old: str = "item_ids"
    new: str = "new_item_ids"
    tool: str = "get_product_details"
    parameter: str = "product_id"


@dataclass(frozen=True, slots=True)
class ToolRule:
    """The rules of one tool."""

    public: bool = False
    """Whether an unknown customer may use it."""
    owned: Mapping[str, Lookup] = field(default_factory=dict)
    """By parameter: whose object the parameter names, at any depth of the arguments."""
    result_owner: str | None = None
    """Field of the tool's own result with the customer's id; empty: the result is the id. None: the result has none."""
    profile: Lookup | None = None
    """Reads the customer for the conditions."""
    variants: Variants | None = None
    """Reads the products for the conditions."""
    conditions: tuple[Condition, ...] = ()
    unchecked: tuple[str, ...] = ()
    """Parameters that name an object whose owner no rule checks: a write with them is refused."""


def snake_case(name: str) -> str:
    """`userId`, `User-ID` and `user_id` are one name."""
    parts = re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", name)
    return re.sub(r"[^a-z0-9]+", "_", parts.lower()).strip("_")


def declared_rule(tool: ToolDescription) -> ToolRule | None:
    """The rule in the tool's `_meta`; None if it has none. Raises ValueError for a malformed one.

    E.g. {"public": true}, or {"owned": {"parcel": {"tool": "get_parcel", "parameter": "parcel", "owner": "customer"}}},
    or {"resultOwner": "customer"}.
    """
    found = tool.meta.get(ACCESS_META)
    if found is None:
        return None
    if not isinstance(found, dict) or set(found) - {"public", "owned", "resultOwner"}:
        raise ValueError(f"tool {tool.name}: _meta {ACCESS_META} has other keys than public, owned and resultOwner")
    owned, owner, public = found.get("owned", {}), found.get("resultOwner"), found.get("public", False)
    if not isinstance(owned, dict) or not isinstance(public, bool) or not isinstance(owner, str | None):
        text = f"tool {tool.name}: _meta {ACCESS_META} has a value of another type than documented"
        raise ValueError(text)  # noqa: TRY004 - the server is wrong, not the call
    return ToolRule(
        public, {str(name): _read_lookup(tool.name, each) for name, each in owned.items()}, result_owner=owner
    )


def _read_lookup(tool: str, found: Any) -> Lookup:
    names = ("tool", "parameter", "owner")
    if not isinstance(found, dict) or set(found) != set(names) or not all(isinstance(found[n], str) for n in names):
        raise ValueError(f"tool {tool}: _meta {ACCESS_META} has an owned parameter without tool, parameter and owner")
    return Lookup(found["tool"], found["parameter"], found["owner"])


def derive_rule(tool: ToolDescription, offered: Iterable[ToolDescription], writes: frozenset[str]) -> ToolRule:
    """The rule by convention.

    A parameter `X_id` names an object that a reading tool `get_X_details` or `get_X` returns, whose result has the
    owner in `user_id`, `customer_id` or one of the other names.  A tool is public if its name begins with a reading
    verb, a noun of it is about products, shops or documents, and no word of it or of its parameters is about customers.
    """
    if tool.name not in writes and _sounds_public(tool):
        return ToolRule(public=True)
    readers = {each.name: each for each in offered if each.name not in writes}
    owned: dict[str, Lookup] = {}
    unchecked: list[str] = []
    for parameter in _parameters(tool):
        found = _ID.fullmatch(snake_case(parameter))
        if found is None or found[1] in PUBLIC_WORDS or f"{found[1]}_id" in CUSTOMER_NAMES:
            continue
        lookup = _find_lookup(found[1], readers)
        if lookup is None:
            unchecked.append(parameter)
        elif lookup.tool != tool.name:
            owned[parameter] = lookup
    return ToolRule(owned=owned, unchecked=tuple(unchecked))


def _find_lookup(stem: str, readers: Mapping[str, ToolDescription]) -> Lookup | None:
    reader = readers.get(f"get_{stem}_details") or readers.get(f"get_{stem}")
    names = [] if reader is None else _parameters(reader)
    if reader is None or len(names) != 1 or snake_case(names[0]) != f"{stem}_id":
        return None
    return Lookup(reader.name, names[0], None)


def _parameters(tool: ToolDescription) -> list[str]:
    properties = tool.input_schema.get("properties", {})
    return [str(name) for name in properties] if isinstance(properties, dict) else []


def _sounds_public(tool: ToolDescription) -> bool:
    verb, *nouns = snake_case(tool.name).split("_")
    words = {*nouns, *(word for name in _parameters(tool) for word in snake_case(name).split("_"))}
    return verb in _PUBLIC_VERBS and bool(PUBLIC_WORDS & set(nouns)) and not PRIVATE_WORDS & words
