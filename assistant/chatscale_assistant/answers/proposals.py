"""What the customer confirms, and what was done: every argument of a write in words, and the code. Pure."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from chatscale.api.v1alpha1.shopassistant import Language
from chatscale_assistant.answers import wording
from chatscale_assistant.answers.phrases import Phrase, say
from chatscale_assistant.domain.evidence import ToolCall, ToolResult

_EN, _FR, _ZH = Language.ENGLISH, Language.FRENCH, Language.CHINESE
_COLUMN: Final = {_EN: 0, _FR: 1, _ZH: 2}
_TITLES: Final = {
    "cancel_pending_order": ("I would cancel order {order_id}.", "J'annulerais la commande {order_id}.", "将取消订单 {order_id}。"),
    "return_delivered_order_items": ("I would request a return for order {order_id}.", "Je demanderais un retour pour la commande {order_id}.", "将为订单 {order_id} 申请退货。"),
    "exchange_delivered_order_items": ("I would request an exchange for order {order_id}.", "Je demanderais un échange pour la commande {order_id}.", "将为订单 {order_id} 申请换货。"),
    "modify_pending_order_items": ("I would change items of order {order_id}. This is possible once.", "Je modifierais des articles de la commande {order_id}. C'est possible une seule fois.", "将修改订单 {order_id} 中的商品（只能修改一次）。"),
    "modify_pending_order_address": ("I would change the delivery address of order {order_id}.", "Je modifierais l'adresse de livraison de la commande {order_id}.", "将修改订单 {order_id} 的收货地址。"),
    "modify_pending_order_payment": ("I would change the payment of order {order_id}.", "Je modifierais le paiement de la commande {order_id}.", "将修改订单 {order_id} 的支付方式。"),
    "modify_user_address": ("I would change the address of your account {user_id}.", "Je modifierais l'adresse de votre compte {user_id}.", "将修改您账户 {user_id} 的默认地址。"),
}  # fmt: skip
_OTHER: Final = ("I would do this: {tool}", "Je ferais ceci : {tool}", "将执行：{tool}")
_DONE: Final = {
    "cancel_pending_order": ("Order {order_id} has been cancelled.", "La commande {order_id} a été annulée.", "订单 {order_id} 已取消。"),
    "return_delivered_order_items": ("The return for order {order_id} has been requested.", "Le retour pour la commande {order_id} a été demandé.", "订单 {order_id} 已申请退货。"),
    "exchange_delivered_order_items": ("The exchange for order {order_id} has been requested.", "L'échange pour la commande {order_id} a été demandé.", "订单 {order_id} 已申请换货。"),
    "modify_pending_order_items": ("The items of order {order_id} have been changed.", "Les articles de la commande {order_id} ont été modifiés.", "订单 {order_id} 的商品已修改。"),
    "modify_pending_order_address": ("The delivery address of order {order_id} has been changed.", "L'adresse de livraison de la commande {order_id} a été modifiée.", "订单 {order_id} 的收货地址已修改。"),
    "modify_pending_order_payment": ("The payment of order {order_id} has been changed.", "Le paiement de la commande {order_id} a été modifié.", "订单 {order_id} 的支付方式已修改。"),
    "modify_user_address": ("The address of your account has been changed.", "L'adresse de votre compte a été modifiée.", "您账户的地址已修改。"),
}  # fmt: skip
_OTHER_DONE: Final = ("Done: {tool}", "C'est fait : {tool}", "已完成：{tool}")
_LABELS: Final = {
    "reason": ("Reason", "Raison", "原因"),
    "item_ids": ("Items", "Articles", "商品"),
    "new_item_ids": ("New items", "Nouveaux articles", "新商品"),
    "payment_method_id": ("Payment method", "Moyen de paiement", "支付方式"),
    "refund_method_id": ("Refund to", "Remboursement sur", "退款至"),
    "address": ("New address", "Nouvelle adresse", "新地址"),
    "current_address": ("Current address", "Adresse actuelle", "当前地址"),
    "difference": ("Price difference", "Différence de prix", "差价"),
}
_ADDRESS: Final = ("address1", "address2", "city", "state", "zip", "country")
_CODE: Final = re.compile(r"(?:Code: |Code : |确认码：)([A-Z2-7]{4}(?:-?[A-Z2-7]{2,4}){0,3})(?![A-Za-z0-9])")


@dataclass(frozen=True, slots=True)
class Details:
    """Data of the shop, to name the arguments in words; without it the ids stand alone."""

    order: Mapping[str, Any] = field(default_factory=dict)
    products: tuple[Mapping[str, Any], ...] = ()
    """Products whose variants are the new items."""
    payment_methods: Mapping[str, Any] = field(default_factory=dict)
    currency: str = ""


def proposal_text(call: ToolCall, language: Language, *, code: str, details: Details | None = None) -> str:
    """All that the call would change, a request for a yes, and the code. Every argument stands in the text."""
    head = _sentence(_TITLES, _OTHER, call, language)
    known = details or Details()
    lines = [*_current(call, language, known), *_arguments(call, language, known)]
    return "\n".join(filter(None, (head, wording.bullets(lines), say(Phrase.CONFIRM, language, code=code))))


def receipt_text(call: ToolCall, result: ToolResult, language: Language, *, details: Details | None = None) -> str:
    """What was done, from the tool's own result. Raises ValueError for a result without a receipt."""
    if result.is_error or not result.receipt:
        raise ValueError(f"{call.tool}: expected a result with a receipt, found an error or none")
    head = _sentence(_DONE, _OTHER_DONE, call, language)
    known = details or Details()
    if isinstance(result.data, Mapping) and result.data.get("items"):
        known = Details(result.data, known.products, known.payment_methods, known.currency)
    return "\n".join(filter(None, (head, wording.bullets(_arguments(call, language, known)))))


def shown_code(text: str) -> str | None:
    """The confirmation code of a proposal in a message of the assistant; the last one if there are several."""
    found = _CODE.findall(text)
    return str(found[-1]) if found else None


def proposal_summary(call: ToolCall, language: Language) -> str:
    """One line for a person at the desk."""
    return _sentence(_TITLES, _OTHER, call, language)


def _sentence(
    table: Mapping[str, tuple[str, str, str]], other: tuple[str, str, str], call: ToolCall, language: Language
) -> str:
    form = table.get(call.tool, other)[_COLUMN[language]]
    values = {key: wording.value_text(call.arguments.get(key, "")) for key in ("order_id", "user_id")}
    return form.format(tool=wording.value_text(call.tool), **values).replace("  ", " ")


def _arguments(call: ToolCall, language: Language, details: Details) -> list[str]:
    lines: list[str] = []
    shown = {"order_id", "user_id"} if call.tool in _TITLES else set()
    arguments = {key: value for key, value in call.arguments.items() if key not in shown}
    address: dict[str, Any] = {key: arguments.pop(key) for key in _ADDRESS if key in arguments}
    for name, value in arguments.items():
        lines.append(f"{_label(name, call, language)}{_value(name, value, language, details)}")
    if address:
        lines.append(_label("address", call, language) + wording.address_line(address))
        lines += [
            f"{wording.address_part(name, language)}{wording.colon(language)}{wording.value_text(value) or '—'}"
            for name, value in address.items()
        ]
    if difference := _difference(arguments, details):
        lines.append(_label("difference", call, language) + wording.money(difference, language, details.currency))
    return lines


def _current(call: ToolCall, language: Language, details: Details) -> list[str]:
    """What an address replaces."""
    before = details.order.get("address")
    if not isinstance(before, Mapping) or not call.arguments.keys() & {"address1", "zip"}:
        return []
    return [_label("current_address", call, language) + wording.address_line(before)]


def _label(name: str, call: ToolCall, language: Language) -> str:
    if name == "payment_method_id" and call.tool.startswith("return"):
        name = "refund_method_id"
    found = _LABELS.get(name)
    text = found[_COLUMN[language]] if found else wording.value_text(name).replace("_", " ")
    return text + wording.colon(language)


def _value(name: str, value: Any, language: Language, details: Details) -> str:
    match name, value:
        case "reason", _:
            return wording.reason(value, language)
        case (("item_ids" | "new_item_ids"), list() | tuple()):
            known = _items(details)
            if name == "item_ids":  # at the price that was paid, not at today's
                known |= {str(item.get("item_id")): item for item in details.order.get("items", ())}
            return "; ".join(
                wording.item_line(known.get(str(each), {"item_id": each}), language, details.currency) for each in value
            )
        case "payment_method_id", _:
            return wording.payment(str(value), language, details.payment_methods)
        case _, list() | tuple():
            return ", ".join(map(wording.value_text, value))
        case _:
            return wording.value_text(value)


def _items(details: Details) -> dict[str, Mapping[str, Any]]:
    items: dict[str, Mapping[str, Any]] = {}
    for product in details.products:
        for key, variant in product.get("variants", {}).items():
            items[str(key)] = {"name": product.get("name", ""), **variant}
    for item in details.order.get("items", ()):
        items.setdefault(str(item.get("item_id")), item)
    return items


def _difference(arguments: Mapping[str, Any], details: Details) -> float | None:
    """New price less old price, if all prices are known."""
    old, new = arguments.get("item_ids"), arguments.get("new_item_ids")
    if not isinstance(old, list | tuple) or not isinstance(new, list | tuple) or len(old) != len(new):
        return None
    ordered = {str(item.get("item_id")): item for item in details.order.get("items", ())}
    known = _items(details)
    try:
        prices = [known[str(b)]["price"] - ordered[str(a)]["price"] for a, b in zip(old, new, strict=True)]
    except KeyError:
        return None
    return round(float(sum(prices)), 2)
