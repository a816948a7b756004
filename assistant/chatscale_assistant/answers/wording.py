"""Words for values of the shop: money, states, payment methods, addresses, options, lists. Pure."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from typing import Any, Final

from chatscale.api.v1alpha1.shopassistant import Language
from chatscale_assistant.answers.plain_text import plain_text
from chatscale_assistant.language.scripts import fold

_EN, _FR, _ZH = Language.ENGLISH, Language.FRENCH, Language.CHINESE
_SYMBOLS: Final = {"USD": "$", "EUR": "€", "GBP": "£", "CNY": "¥"}
_CHINESE_MONEY: Final = {"USD": "美元", "EUR": "欧元", "GBP": "英镑", "CNY": "元"}
_STATES: Final = {
    "pending": ("pending", "en attente", "待处理"),
    "processed": ("processed", "traitée", "已处理"),
    "delivered": ("delivered", "livrée", "已送达"),
    "cancelled": ("cancelled", "annulée", "已取消"),
    "shipped": ("shipped", "expédiée", "已发货"),
    "pending (item modified)": ("pending, items changed", "en attente, articles modifiés", "待处理（商品已修改）"),
    "pending (items modified)": ("pending, items changed", "en attente, articles modifiés", "待处理（商品已修改）"),
    "return requested": ("return requested", "retour demandé", "已申请退货"),
    "exchange requested": ("exchange requested", "échange demandé", "已申请换货"),
}
_REASONS: Final = {
    "no longer needed": ("no longer needed", "plus utile", "不再需要"),
    "ordered by mistake": ("ordered by mistake", "commandée par erreur", "误下单"),
}
_OPTIONS: Final = {
    "color": ("color", "couleur", "颜色"),
    "size": ("size", "taille", "尺码"),
    "material": ("material", "matière", "材质"),
    "style": ("style", "style", "款式"),
    "capacity": ("capacity", "capacité", "容量"),
    "type": ("type", "type", "类型"),
    "storage": ("storage", "stockage", "存储"),
    "screen size": ("screen size", "écran", "屏幕尺寸"),
    "features": ("features", "fonctions", "功能"),
    "connectivity": ("connectivity", "connexion", "连接方式"),
    "resolution": ("resolution", "résolution", "分辨率"),
    "length": ("length", "longueur", "长度"),
    "battery life": ("battery life", "autonomie", "续航"),
    "water resistance": ("water resistance", "étanchéité", "防水"),
    "waterproof": ("waterproof", "étanche", "防水"),
    "processor": ("processor", "processeur", "处理器"),
    "ram": ("RAM", "RAM", "内存"),
    "weight range": ("weight range", "plage de poids", "重量范围"),
    "height": ("height", "hauteur", "高度"),
    "brightness": ("brightness", "luminosité", "亮度"),
    "price": ("price", "prix", "价格"),
    "available": ("in stock", "en stock", "有货"),
    "stock": ("in stock", "en stock", "库存"),
    "brand": ("brand", "marque", "品牌"),
}
_VALUES: Final = {
    "black": ("black", "noir", "黑色"), "white": ("white", "blanc", "白色"), "red": ("red", "rouge", "红色"),
    "blue": ("blue", "bleu", "蓝色"), "green": ("green", "vert", "绿色"), "yellow": ("yellow", "jaune", "黄色"),
    "purple": ("purple", "violet", "紫色"), "pink": ("pink", "rose", "粉色"), "grey": ("grey", "gris", "灰色"),
    "gray": ("gray", "gris", "灰色"), "brown": ("brown", "marron", "棕色"), "orange": ("orange", "orange", "橙色"),
    "silver": ("silver", "argenté", "银色"), "gold": ("gold", "doré", "金色"), "navy": ("navy", "bleu marine", "藏青色"),
    "cotton": ("cotton", "coton", "棉"), "polyester": ("polyester", "polyester", "聚酯纤维"), "leather": ("leather", "cuir", "皮革"),
    "glass": ("glass", "verre", "玻璃"), "plastic": ("plastic", "plastique", "塑料"), "metal": ("metal", "métal", "金属"),
    "stainless steel": ("stainless steel", "acier inoxydable", "不锈钢"), "wood": ("wood", "bois", "木质"),
    "ceramic": ("ceramic", "céramique", "陶瓷"), "fabric": ("fabric", "tissu", "布艺"), "mesh": ("mesh", "maille", "网布"),
    "small": ("small", "petite", "小"), "medium": ("medium", "moyenne", "中"), "large": ("large", "grande", "大"),
    "yes": ("yes", "oui", "是"), "no": ("no", "non", "否"), "true": ("yes", "oui", "是"), "false": ("no", "non", "否"),
}  # fmt: skip
_ADDRESS_PARTS: Final = {
    "address1": ("street", "rue", "街道"),
    "address2": ("second line", "complément", "补充地址"),
    "city": ("city", "ville", "城市"),
    "state": ("state or region", "région", "省或州"),
    "zip": ("postcode", "code postal", "邮编"),
    "country": ("country", "pays", "国家"),
}
_WEEKDAYS: Final = {
    _EN: ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"),
    _FR: ("lundi", "mardi", "mercredi", "jeudi", "vendredi", "samedi", "dimanche"),
    _ZH: ("周一", "周二", "周三", "周四", "周五", "周六", "周日"),
}
_COLUMN: Final = {_EN: 0, _FR: 1, _ZH: 2}
_VALUE_LIMIT: Final = 200
_MAX_CACHED: Final = 4096
"""Texts of sources, which many answers show. Text of customers is never cached."""


def money(amount: Any, language: Language, currency: str = "") -> str:
    """An amount as the language writes it, without a currency if the shop's is not given: 1,299.00, 1 299,00 €."""
    try:
        number = Decimal(str(amount))
    except InvalidOperation:
        return value_text(amount)
    digits = f"{number:,.2f}"
    if language is _FR:
        digits = digits.replace(",", "\u00a0").replace(".", ",")
    code = currency.upper()
    if not code:
        return digits
    if language is _ZH:
        return f"{digits} {_CHINESE_MONEY.get(code, code)}"
    symbol = _SYMBOLS.get(code, code)
    return f"{digits}\u00a0{symbol}" if language is _FR or len(symbol) > 1 else f"{symbol}{digits}"


def state(status: Any, language: Language) -> str:
    """A status of an order; an unknown one stays as the shop writes it."""
    return _word(_STATES, str(status), language)


def reason(text: Any, language: Language) -> str:
    """A reason for a cancellation."""
    return _word(_REASONS, str(text), language)


def option_name(name: str, language: Language) -> str:
    """Name of an option or of a column; an unknown one stays."""
    return _word(_OPTIONS, name.replace("_", " "), language)


def option_value(value: Any, language: Language) -> str:
    """A value of an option; an unknown one stays."""
    return _word(_VALUES, str(value), language)


def known_values() -> tuple[str, ...]:
    """The values that have a word in each language."""
    return tuple(_VALUES)


def options(values: Mapping[str, Any], language: Language) -> str:
    """`blue, M, cotton`: the values in the order of the shop."""
    return ("、" if language is _ZH else ", ").join(
        f"{option_name(name, language)}{colon(language)}{option_value(value, language)}"
        if str(value).casefold() in {"yes", "no", "true", "false"}
        else option_value(value, language)
        for name, value in values.items()
    )


def item_line(item: Mapping[str, Any], language: Language, currency: str = "", *, with_price: bool = True) -> str:
    """One item of an order or one variant, in words, with its id."""
    name = value_text(item.get("name", ""))
    described = options(item["options"], language) if isinstance(item.get("options"), Mapping) else ""
    inner = described if not name else f" ({described})" if described else ""
    text = f"{name}{inner}"
    if item.get("item_id"):
        text += f" [{value_text(item['item_id'])}]"
    if with_price and "price" in item:
        text += f"{colon(language)}{money(item['price'], language, currency)}"
    return text


def address_line(address: Mapping[str, Any]) -> str:
    """An address on one line, as the customer wrote it."""
    parts = (address.get(key) for key in ("address1", "address2", "city", "state", "zip", "country"))
    return ", ".join(value_text(part) for part in parts if part)


def address_part(name: str, language: Language) -> str:
    """The name of a part of an address; an unknown one stays."""
    return _word(_ADDRESS_PARTS, name, language)


def address_lines(address: Mapping[str, Any], language: Language) -> str:
    """An address as a list, each part with its name; empty parts are left out."""
    return bullets(
        f"{address_part(part, language)}{colon(language)}{value_text(address[part])}"
        for part in _ADDRESS_PARTS
        if address.get(part)
    )


def payment(method_id: str, language: Language, methods: Mapping[str, Any] | None = None) -> str:
    """A payment method in words, with its id: `Mastercard ending in 9212 (credit_card_7815826)`."""
    found = (methods or {}).get(method_id)
    details = found if isinstance(found, Mapping) else {}
    kind = str(details.get("source") or method_id.rpartition("_")[0])
    names = {
        "credit_card": ("credit card", "carte bancaire", "信用卡"),
        "gift_card": ("gift card", "carte cadeau", "礼品卡"),
        "paypal": ("PayPal", "PayPal", "PayPal"),
    }
    name = _word(names, kind, language)
    if details.get("last_four"):
        brand = value_text(details.get("brand", "")).capitalize()
        ending = (
            f"ending in {details['last_four']}",
            f"finissant par {details['last_four']}",
            f"尾号{details['last_four']}",
        )
        name = f"{name} {brand} {ending[_COLUMN[language]]}".replace("  ", " ")
    return f"{name} ({value_text(method_id)})"


def colon(language: Language) -> str:
    """A colon as the language writes it."""
    return {_EN: ": ", _FR: " : ", _ZH: "："}[language]


def bullets(lines: Iterable[str]) -> str:
    """A list, one line each."""
    return "\n".join(f"- {line}" for line in lines)


def value_text(value: Any) -> str:
    """A value of a tool or a catalogue as plain text on one line: it is data and may be hostile."""
    return " ".join(plain_text(str(value), limit=_VALUE_LIMIT).split())


@lru_cache(maxsize=_MAX_CACHED)
def shop_text(text: str) -> str:
    """As `value_text`, for titles of sources and names of the shop. It is cached: never for text of customers."""
    return value_text(text)


def moment(at: datetime, now: datetime, language: Language) -> str:
    """Weekday and time, such as "on Monday at 09:00"; `at` and `now` in the shop's time zone."""
    clock = f"{at:%H:%M}"
    if at.date() == now.date():
        return (f"today at {clock}", f"aujourd'hui à {clock}", f"今天{clock}")[_COLUMN[language]]
    day = _WEEKDAYS[language][at.weekday()]
    return (f"on {day} at {clock}", f"{day} à {clock}", f"{day}{clock}")[_COLUMN[language]]


def _word(table: Mapping[str, tuple[str, str, str]], key: str, language: Language) -> str:
    found = table.get(fold(key))
    return found[_COLUMN[language]] if found else value_text(key)
