"""The catalogue of tools: descriptions, JSON Schemas, and the call."""

import copy
import json
from typing import Any, Final

from hack.shop.reads import READS
from hack.shop.state import Shop, ShopError
from hack.shop.writes import ADDRESS, CANCEL_REASONS, WRITES

_TEXT: Final = {"type": "string", "maxLength": 200}
_IDS: Final = {"type": "array", "items": _TEXT, "minItems": 1, "maxItems": 50}
_DESCRIPTIONS: Final = {
    "order_id": "Order number with its '#', such as #W0000000.",
    "user_id": "Id of the customer, such as sara_doe_496.",
    "product_id": "Id of a product, such as 6086499569. Not the id of an item.",
    "item_id": "Id of a variant, such as 1008292230.",
    "item_ids": "Ids of items of the order; an id may occur twice.",
    "new_item_ids": "Ids of the variants that replace them, in the same order.",
    "payment_method_id": "Id of a payment method of the customer, such as gift_card_0000000.",
    "reason": "Why the order is cancelled.",
    "summary": "What the customer needs.",
    "expression": "Numbers, + - * / and parentheses.",
}
_PARAMETERS: Final[dict[str, tuple[str, ...]]] = {
    "calculate": ("expression",),
    "cancel_pending_order": ("order_id", "reason"),
    "exchange_delivered_order_items": ("order_id", "item_ids", "new_item_ids", "payment_method_id"),
    "find_user_id_by_email": ("email",),
    "find_user_id_by_name_zip": ("first_name", "last_name", "zip"),
    "get_item_details": ("item_id",),
    "get_order_details": ("order_id",),
    "get_product_details": ("product_id",),
    "get_user_details": ("user_id",),
    "list_all_product_types": (),
    "modify_pending_order_address": ("order_id", *ADDRESS),
    "modify_pending_order_items": ("order_id", "item_ids", "new_item_ids", "payment_method_id"),
    "modify_pending_order_payment": ("order_id", "payment_method_id"),
    "modify_user_address": ("user_id", *ADDRESS),
    "return_delivered_order_items": ("order_id", "item_ids", "payment_method_id"),
    "transfer_to_human_agents": ("summary",),
}


def describe_tools() -> list[dict[str, Any]]:
    """Name, description, input schema and annotations of each tool, in MCP's spelling."""
    return [_describe(name) for name in sorted(_PARAMETERS)]


def call_tool(shop: Shop, name: str, arguments: dict[str, Any], idempotency_key: str = "") -> Any:
    """The result of a tool; of a write that was done with this key: its first result. Raises ShopError."""
    parameters = _PARAMETERS.get(name)
    if parameters is None:
        raise ShopError("unknown tool")
    if set(arguments) != set(parameters):
        raise ShopError(f"{name} takes exactly: {', '.join(parameters)}")
    for parameter, value in arguments.items():
        _expect_type(parameter, value)
    if name in READS:
        return copy.deepcopy(READS[name](shop, **arguments))
    done = json.dumps([idempotency_key, name, arguments], sort_keys=True)
    if not idempotency_key or done not in shop.done:
        result = copy.deepcopy(WRITES[name](shop, **arguments))
        if not idempotency_key:
            return result
        shop.done[done] = result
    return copy.deepcopy(shop.done[done])


def _expect_type(parameter: str, value: Any) -> None:
    texts = value if parameter.endswith("_ids") else [value]
    if not isinstance(texts, list) or not all(isinstance(each, str) for each in texts):
        raise ShopError(f"{parameter} has another type than its schema")


def _describe(name: str) -> dict[str, Any]:
    function, writes = (READS.get(name) or WRITES[name]), name in WRITES
    return {
        "name": name,
        "description": function.__doc__,
        "inputSchema": {
            "type": "object",
            "properties": {each: _property(each) for each in _PARAMETERS[name]},
            "required": list(_PARAMETERS[name]),
            "additionalProperties": False,
        },
        "annotations": {"readOnlyHint": not writes, "idempotentHint": True, "openWorldHint": False},
    }


def _property(name: str) -> dict[str, Any]:
    schema: dict[str, Any] = dict(_IDS if name.endswith("_ids") else _TEXT)
    if name == "summary":
        schema["maxLength"] = 4000
    if name == "reason":
        schema["enum"] = list(CANCEL_REASONS)
    if name in _DESCRIPTIONS:
        schema["description"] = _DESCRIPTIONS[name]
    return schema
