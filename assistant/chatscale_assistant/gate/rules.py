"""The access rules of tools: whose data a tool reads or changes, and what the shop's policy demands before a write.

Rules are data. They come, in this order, from the tool's pinned `_meta` (`ACCESS_META`), from the table of well-known
tools (`gate.retail`), and from conventions (`derive_rule`). A tool that no rule binds to the customer stays closed.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
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
_ID: Final = re.compile(r"(.+)_(id|no|nr|number|ref|reference|code|uuid|key|token)s?")
_OBJECTS: Final = frozenset(
    {
        "id", "uuid", "order", "parcel", "shipment", "tracking", "invoice", "subscription", "booking", "reservation",
        "ticket", "account", "voucher", "cart", "basket", "wallet",
    }
)  # fmt: skip
"""Parameters that name an object although they have no ending such as `_id`."""
_NO_OBJECTS: Final = frozenset(
    {
        "zip", "post", "postal", "country", "language", "currency", "area", "house", "street", "phone", "telephone",
        "mobile", "fax", "reason", "state", "region", "city", "idempotency",
    }
)  # fmt: skip
"""Stems whose code or number is plain data, such as `zip_code`."""
_MAX_SCHEMA_DEPTH: Final = 32
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
    vouched: frozenset[str] = frozenset()
    """Parameters (in snake case) that the rule covers otherwise than by `owned`. Any other one that names an object
    must be in `owned`."""


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
    lookups = {str(name): _read_lookup(tool.name, each) for name, each in owned.items()}
    return ToolRule(public, lookups, result_owner=owner, vouched=frozenset(map(snake_case, parameters_of(tool))))


def _read_lookup(tool: str, found: Any) -> Lookup:
    names = ("tool", "parameter", "owner")
    if not isinstance(found, dict) or set(found) != set(names) or not all(isinstance(found[n], str) for n in names):
        raise ValueError(f"tool {tool}: _meta {ACCESS_META} has an owned parameter without tool, parameter and owner")
    return Lookup(found["tool"], found["parameter"], found["owner"])


def derive_rule(tool: ToolDescription, offered: Iterable[ToolDescription], writes: frozenset[str]) -> ToolRule:
    """The rule by convention.

    A parameter `X_id` or `X_number`, at any depth, names an object that a reading tool `get_X_details` or `get_X` with
    the same parameter returns; its result has the owner in `user_id`, `customer_id` or one of the other names.  A tool
    is public if its name begins with a reading verb, a noun of it is about products, shops or documents, and no word of
    it or of its parameters is about customers.  Raises ValueError for a schema that is too deep.
    """
    if tool.name not in writes and _sounds_public(tool):
        return ToolRule(public=True)
    readers = {each.name: each for each in offered if each.name not in writes}
    owned: dict[str, Lookup] = {}
    own: set[str] = set()
    for parameter in parameters_of(tool):
        lookup = _find_lookup(parameter, readers) if names_object(parameter) else None
        if lookup is not None and lookup.tool != tool.name:
            owned[parameter] = lookup
        elif lookup is not None:
            own.add(snake_case(parameter))  # the reader itself: its result has the owner
    return ToolRule(owned=owned, vouched=frozenset(own))


def names_object(parameter: str) -> bool:
    """Whether a parameter names one object, or several, that can belong to a customer."""
    name = snake_case(parameter)
    if name in CUSTOMER_NAMES or name in _OBJECTS or name.removesuffix("s") in _OBJECTS:
        return name not in CUSTOMER_NAMES
    found = _ID.fullmatch(name)
    return found is not None and found[1] not in PUBLIC_WORDS | _NO_OBJECTS and f"{found[1]}_id" not in CUSTOMER_NAMES


def _find_lookup(parameter: str, readers: Mapping[str, ToolDescription]) -> Lookup | None:
    name = snake_case(parameter)
    found = _ID.fullmatch(name)
    stem, singular = (found[1], f"{found[1]}_{found[2]}") if found else (name.removesuffix("s"),) * 2
    reader = readers.get(f"get_{stem}_details") or readers.get(f"get_{stem}")
    names = [] if reader is None else _parameters(reader.input_schema)
    if reader is None or len(names) != 1 or snake_case(names[0]) != singular:
        return None
    return Lookup(reader.name, names[0], None)


def parameters_of(tool: ToolDescription) -> list[str]:
    """The names of all properties in the tool's schema, at any depth. Raises ValueError if it is too deep."""
    return list(_nested_parameters(tool.input_schema, 0))


def _nested_parameters(schema: Any, depth: int) -> Iterator[str]:
    if depth > _MAX_SCHEMA_DEPTH:
        raise ValueError(f"the schema has more than {_MAX_SCHEMA_DEPTH} levels")
    if isinstance(schema, list):
        for each in schema:
            yield from _nested_parameters(each, depth + 1)
    elif isinstance(schema, dict):
        yield from _parameters(schema)
        for each in schema.values():
            if isinstance(each, dict | list):
                yield from _nested_parameters(each, depth + 1)


def _parameters(schema: Mapping[str, Any]) -> list[str]:
    properties = schema.get("properties", {})
    return [str(name) for name in properties] if isinstance(properties, dict) else []


def _sounds_public(tool: ToolDescription) -> bool:
    verb, *nouns = snake_case(tool.name).split("_")
    words = {*nouns, *(word for name in parameters_of(tool) for word in snake_case(name).split("_"))}
    return verb in _PUBLIC_VERBS and bool(PUBLIC_WORDS & set(nouns)) and not PRIVATE_WORDS & words
