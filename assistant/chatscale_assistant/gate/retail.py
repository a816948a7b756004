"""Rules of well-known retail tools: the names, fields and policy of tau2's retail domain.

A shop whose MCP server offers the same tools gets these rules without a line of configuration.
"""

from typing import Final

from chatscale_assistant.gate.policy import (
    CUSTOMER_FACT,
    ArgumentIn,
    Condition,
    FieldAbsent,
    FieldIn,
    GiftCardCovers,
    ItemsWithin,
    KeyOf,
    Paired,
    PaymentDiffers,
    RefundTarget,
    SameProduct,
)
from chatscale_assistant.gate.rules import Lookup, ToolRule, Variants

CANCEL_REASONS: Final = frozenset({"no longer needed", "ordered by mistake"})
_ORDER: Final = "order_id"
_OWNED: Final = {_ORDER: Lookup("get_order_details", "order_id", "user_id")}
_PROFILE: Final = Lookup("get_user_details", "user_id", "user_id")
_METHOD: Final = "payment_method_id"
_PENDING: Final = FieldIn("status", _ORDER, "status", frozenset({"pending"}))
_STILL_PENDING: Final = FieldIn("status", _ORDER, "status", frozenset({"pending", "pending (item modified)"}))
"""An address or a payment may change after items were modified: tau2's expected actions do so."""
_DELIVERED: Final = FieldIn("status", _ORDER, "status", frozenset({"delivered"}))
_OWN_METHOD: Final = KeyOf("payment_method", _METHOD, CUSTOMER_FACT, "payment_methods")
_ITEMS: Final = ItemsWithin("items", "item_ids", _ORDER, "items", "item_id")
_NO_RETURN: Final = FieldAbsent("once", _ORDER, "return_items")
_NO_EXCHANGE: Final = FieldAbsent("once", _ORDER, "exchange_items")
_SAME_PRODUCT: Final = SameProduct("variant", "item_ids", "new_item_ids", _ORDER)
_DIFFERENCE: Final = GiftCardCovers("gift_card_balance", _METHOD, _ORDER, ("item_ids", "new_item_ids"))


def _write(*conditions: Condition, variants: Variants | None = None) -> ToolRule:
    return ToolRule(owned=_OWNED, result_owner="user_id", profile=_PROFILE, variants=variants, conditions=conditions)


RETAIL_PARAMETERS: Final = frozenset(
    {"order_id", "item_id", "item_ids", "new_item_ids", "payment_method_id", "product_id", "user_id"}
)
"""Parameters that the conditions check. A tool with the name of one of these tools may have others."""

RETAIL_RULES: Final[dict[str, ToolRule]] = {
    "list_all_product_types": ToolRule(public=True),
    "get_product_details": ToolRule(public=True),
    "get_item_details": ToolRule(public=True),
    "calculate": ToolRule(public=True),
    "transfer_to_human_agents": ToolRule(public=True),
    "find_user_id_by_email": ToolRule(result_owner=""),
    "find_user_id_by_name_zip": ToolRule(result_owner=""),
    "get_user_details": ToolRule(result_owner="user_id"),
    "get_order_details": ToolRule(result_owner="user_id"),
    "cancel_pending_order": _write(_PENDING, ArgumentIn("reason", "reason", CANCEL_REASONS)),
    "modify_pending_order_address": _write(_STILL_PENDING),
    "modify_pending_order_payment": _write(
        _STILL_PENDING,
        _OWN_METHOD,
        PaymentDiffers("payment_method", _METHOD, _ORDER),
        GiftCardCovers("gift_card_balance", _METHOD, _ORDER),
    ),
    "modify_pending_order_items": _write(
        _PENDING,
        _ITEMS,
        Paired("variant", "item_ids", "new_item_ids"),
        _OWN_METHOD,
        _SAME_PRODUCT,
        _DIFFERENCE,
        variants=Variants(),
    ),
    "modify_user_address": ToolRule(result_owner="user_id"),
    "return_delivered_order_items": _write(
        _DELIVERED, _NO_RETURN, _NO_EXCHANGE, _ITEMS, _OWN_METHOD, RefundTarget("refund_target", _METHOD, _ORDER)
    ),
    "exchange_delivered_order_items": _write(
        _DELIVERED,
        _NO_RETURN,
        _NO_EXCHANGE,
        _ITEMS,
        Paired("variant", "item_ids", "new_item_ids", may_be_equal=True),
        _OWN_METHOD,
        _SAME_PRODUCT,
        _DIFFERENCE,
        variants=Variants(),
    ),
}
"""By name of the tool."""
