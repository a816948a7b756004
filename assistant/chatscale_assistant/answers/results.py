"""Templates over results of tools that read: orders, products, variants, customers. Pure.

A result is recognised by its fields, so a shop's own tool with the same fields gets the same words.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from chatscale.api.v1alpha1.shopassistant import Language
from chatscale_assistant.answers import wording
from chatscale_assistant.domain.answer import Draft
from chatscale_assistant.domain.evidence import ToolResult
from chatscale_assistant.language.concepts import terms
from chatscale_contract.assistant.extras import CitationExtra, Rung

_MAX_ITEMS: Final = 8
_MAX_FIELDS: Final = 8
_MAX_ORDERS: Final = 20
_ORDER: Final = {
    Language.ENGLISH: "Order {id} is {state}.",
    Language.FRENCH: "La commande {id} est {state}.",
    Language.CHINESE: "订单 {id}：{state}。",
}
_ORDER_UNKNOWN: Final = {
    Language.ENGLISH: "Status of order {id}: {state}.",
    Language.FRENCH: "État de la commande {id} : {state}.",
    Language.CHINESE: "订单 {id} 的状态：{state}。",
}
_REQUESTED: Final = ("return requested", "exchange requested", "pending (item modified)", "pending (items modified)")
_LABELS: Final = {
    "tracking": ("Tracking number", "Numéro de suivi", "快递单号"),
    "items": ("Items", "Articles", "商品"),
    "address": ("Delivery address", "Adresse de livraison", "收货地址"),
    "paid": ("Paid", "Payé", "已支付"),
    "refunded": ("Refunded", "Remboursé", "已退款"),
    "profile_address": ("Your address", "Votre adresse", "您的地址"),
    "email": ("E-mail", "E-mail", "邮箱"),
    "methods": ("Payment methods", "Moyens de paiement", "支付方式"),
    "orders": ("Your orders", "Vos commandes", "您的订单"),
    "variants": ("In stock", "En stock", "有货的款式"),
    "types": ("Our products", "Nos produits", "我们的商品"),
    "result": ("Result", "Résultat", "结果"),
}
_COLUMN: Final = {Language.ENGLISH: 0, Language.FRENCH: 1, Language.CHINESE: 2}
_PRODUCT: Final = {
    Language.ENGLISH: ("{name}: {available} of {total} variants in stock, {low} to {high}.", "{name}: {available} of {total} variants in stock, {low}.", "{name} is out of stock in all variants."),
    Language.FRENCH: ("{name} : {available} variantes sur {total} en stock, de {low} à {high}.", "{name} : {available} variantes sur {total} en stock, {low}.", "{name} : toutes les variantes sont épuisées."),
    Language.CHINESE: ("{name}：共 {total} 款，{available} 款有货，价格 {low} 至 {high}。", "{name}：共 {total} 款，{available} 款有货，价格 {low}。", "{name}：所有款式均缺货。"),
}  # fmt: skip
_STOCK: Final = {
    Language.ENGLISH: ("in stock", "out of stock"),
    Language.FRENCH: ("en stock", "épuisé"),
    Language.CHINESE: ("有货", "缺货"),
}


@dataclass(frozen=True, slots=True)
class Focus:
    """What the customer's question is about, to choose and order what a template says."""

    question: str = ""
    address: bool = False
    payment: bool = False


def result_draft(
    result: ToolResult, language: Language, *, focus: Focus | None = None, currency: str = ""
) -> Draft | None:
    """The answer from one tool's result; None for an error, or for a result without fields that can be said."""
    if result.is_error:
        return None
    text = _text(result.data, language, focus or Focus(), currency)
    if not text:
        return None
    return Draft(text, Rung.TEMPLATE, language, (result,), (citation_of(result),))


def citation_of(result: ToolResult) -> CitationExtra:
    """The tool's result as a source."""
    source = f"tool:{result.call.server}/{result.call.tool}"
    return CitationExtra(
        source=source, title=result.call.tool, quote=wording.value_text(result.text), version=result.at.isoformat()
    )


def label(name: str, language: Language) -> str:
    """A label with its colon."""
    return _LABELS[name][_COLUMN[language]] + wording.colon(language)


def _text(data: Any, language: Language, focus: Focus, currency: str) -> str:  # noqa: PLR0911 - one for each kind
    match data:
        case {"order_id": _, "status": _}:
            return order_text(data, language, focus=focus, currency=currency)
        case {"variants": Mapping(), "name": _}:
            return product_text(data, language, focus=focus, currency=currency)
        case {"item_id": _}:
            return variant_text(data, language, currency=currency)
        case {"user_id": _, "orders": _}:
            return customer_text(data, language, currency=currency)
        case Mapping() if data and all(isinstance(value, str) and value.isdigit() for value in data.values()):
            return label("types", language) + ", ".join(map(wording.value_text, data))
        case Mapping():
            return _fields(data, language, currency)
        case str() | int() | float() if str(data).strip():
            return label("result", language) + wording.value_text(data)
        case _:
            return ""


def order_text(order: Mapping[str, Any], language: Language, *, focus: Focus | None = None, currency: str = "") -> str:
    """Status first; then what is in it, where it goes if the question is about it, and its tracking numbers."""
    focus = focus or Focus()
    number, status = wording.value_text(order["order_id"]), str(order["status"])
    sentence = _ORDER_UNKNOWN if status in _REQUESTED or wording.state(status, Language.CHINESE) == status else _ORDER
    lines = [sentence[language].format(id=number, state=wording.state(status, language))]
    tracking = [
        wording.value_text(each) for part in _list(order.get("fulfillments")) for each in _list(part.get("tracking_id"))
    ]
    if tracking:
        lines.append(label("tracking", language) + ", ".join(tracking))
    items = [
        wording.item_line(each, language, currency) for each in _list(order.get("items")) if isinstance(each, Mapping)
    ]
    if items:
        more = [] if len(items) <= _MAX_ITEMS else ["…"]
        lines.append(label("items", language).rstrip() + "\n" + wording.bullets([*items[:_MAX_ITEMS], *more]))
    if focus.address and isinstance(order.get("address"), Mapping):
        lines.append(label("address", language) + wording.address_line(order["address"]))
    if focus.payment:
        lines += _payments(order, language, currency)
    return "\n".join(lines)


def _payments(order: Mapping[str, Any], language: Language, currency: str) -> list[str]:
    lines = []
    for each in _list(order.get("payment_history")):
        name = "refunded" if each.get("transaction_type") == "refund" else "paid"
        method = wording.payment(str(each.get("payment_method_id", "")), language)
        lines.append(f"{label(name, language)}{wording.money(each.get('amount', ''), language, currency)}, {method}")
    return lines


def product_text(
    product: Mapping[str, Any], language: Language, *, focus: Focus | None = None, currency: str = ""
) -> str:
    """Stock and price range, then the variants in stock that fit the question best."""
    variants = [each for each in product["variants"].values() if isinstance(each, Mapping)]
    stock = [each for each in variants if each.get("available")]
    name = wording.value_text(product["name"])
    forms = _PRODUCT[language]
    if not stock:
        return forms[2].format(name=name)
    prices = sorted(each["price"] for each in stock if "price" in each)
    low, high = (
        wording.money(price, language, currency) for price in ((prices[0], prices[-1]) if prices else ("", ""))
    )
    form = forms[1] if low == high else forms[0]
    lines = [form.format(name=name, available=len(stock), total=len(variants), low=low, high=high)]
    wanted = terms(focus.question) if focus else frozenset()
    ranked = sorted(stock, key=lambda each: -len(wanted & _option_terms(each)))
    best = [each for each in ranked if wanted & _option_terms(each)] or ranked
    lines.append(wording.bullets(wording.item_line(each, language, currency) for each in best[: _MAX_ITEMS // 2]))
    return "\n".join(lines)


def _option_terms(variant: Mapping[str, Any]) -> frozenset[str]:
    values = variant.get("options")
    return terms(" ".join(map(str, values.values()))) if isinstance(values, Mapping) else frozenset()


def variant_text(variant: Mapping[str, Any], language: Language, *, currency: str = "") -> str:
    """One variant with price and stock."""
    text = wording.item_line(variant, language, currency)
    if "available" in variant:
        text += (", " if language is not Language.CHINESE else "，") + _STOCK[language][
            0 if variant["available"] else 1
        ]
    return text


def customer_text(user: Mapping[str, Any], language: Language, *, currency: str = "") -> str:
    """The customer's own data: address, e-mail, payment methods, orders."""
    lines = []
    if orders := _list(user.get("orders")):
        lines.append(label("orders", language) + ", ".join(wording.value_text(each) for each in orders[:_MAX_ORDERS]))
    if isinstance(user.get("address"), Mapping):
        lines.append(label("profile_address", language) + wording.address_line(user["address"]))
    if user.get("email"):
        lines.append(label("email", language) + wording.value_text(user["email"]))
    methods = user.get("payment_methods")
    if isinstance(methods, Mapping) and methods:
        lines.append(label("methods", language).rstrip() + "\n" + method_lines(methods, language, currency))
    return "\n".join(lines)


def method_lines(methods: Mapping[str, Any], language: Language, currency: str = "") -> str:
    """The payment methods of a customer, one a line, gift cards with their balance."""
    lines = []
    for name, details in methods.items():
        text = wording.payment(str(name), language, methods)
        if isinstance(details, Mapping) and "balance" in details:
            text += f"{wording.colon(language)}{wording.money(details['balance'], language, currency)}"
        lines.append(text)
    return wording.bullets(lines)


def _fields(data: Mapping[str, Any], language: Language, currency: str) -> str:
    """The simple fields of an unknown result, name by name."""
    lines = []
    for name, value in data.items():
        if isinstance(value, bool):
            text = wording.option_value("yes" if value else "no", language)
        elif isinstance(value, int | float) and "price" in str(name):
            text = wording.money(value, language, currency)
        elif isinstance(value, str | int | float):
            text = wording.option_value(value, language)
        else:
            continue
        lines.append(f"{wording.option_name(wording.value_text(name), language)}{wording.colon(language)}{text}")
    return wording.bullets(lines[:_MAX_FIELDS])


def _list(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else []
