"""Units and currencies in the three languages, with the factor to one base unit for each dimension. Pure."""

import re
from decimal import Decimal
from typing import Final, NamedTuple


class Unit(NamedTuple):
    """What a number counts."""

    dimension: str
    """`minutes`, `business days`, `months`, `USD`, `%`, `g` ...; equal dimensions can be compared."""
    factor: Decimal
    """Multiplied with the number, gives the value in the dimension's base unit."""


_TABLE: Final = (
    # Durations. A month is no fixed number of days, and a business day is no day.
    (r"business[ -]days?|working[ -]days?|jours? ouvr(?:é|e|able)s?|个?工作日", "business days", "1"),
    (
        r"(?:calendar )?days?|jours?(?: calendaires)?(?! ouvr)|jrs|个?自然日|天|日(?=内|之内|以内|后|前)",
        "minutes",
        "1440",
    ),
    (r"weeks?|semaines?|个?星期|周|礼拜", "minutes", "10080"),
    (r"hours?|hrs?|heures?|个?小时|个?钟头", "minutes", "60"),
    (r"minutes?|mins?|分钟", "minutes", "1"),
    (r"seconds?|secondes?|秒", "minutes", "0.016666667"),
    (r"months?|mois|个?月(?!\d)", "months", "1"),
    (r"years?|ans?(?!\w)|années?|annees?|年", "months", "12"),
    # Money.
    (r"US ?dollars?|dollars?|USD|US\$|\$|美元|美金", "USD", "1"),
    (r"euros?|EUR|€|欧元", "EUR", "1"),
    (r"pounds sterling|GBP|£|英镑", "GBP", "1"),
    (r"yuans?|CNY|RMB|¥|人民币|元|块钱?", "CNY", "1"),
    (r"JPY|日元|yens?", "JPY", "1"),
    (r"per ?cent|percent|pour ?cent|%|个百分点", "%", "1"),
    (r"折", "zhe", "1"),
    # Measures.
    (r"kg|kilos?|kilogram(?:me)?s?|公斤|千克", "g", "1000"),
    (r"mg|毫克", "g", "0.001"),
    (r"grams?|grammes?|g|克", "g", "1"),
    (r"lbs?|pounds?", "lb", "1"),
    (r"ounces?|oz|盎司", "oz", "1"),
    (r"km|kilomet(?:er|re)s?|kilomètres?|公里", "mm", "1000000"),
    (r"cm|centimet(?:er|re)s?|centimètres?|厘米", "mm", "10"),
    (r"mm|millimet(?:er|re)s?|millimètres?|毫米", "mm", "1"),
    (r"met(?:er|re)s?|mètres?|m|米", "mm", "1000"),
    (r"inch(?:es)?|pouces?|in(?=[,.)])|\"|英寸|寸", "inch", "1"),
    (r"feet|foot|ft|pieds?|英尺", "ft", "1"),
    (r"ml|millilit(?:er|re)s?|毫升", "ml", "1"),
    (r"cl", "ml", "10"),
    (r"lit(?:er|re)s?|l|升", "ml", "1000"),
    (r"TB|(?-i:To)", "GB", "1000"),
    (r"GB|(?-i:Go)", "GB", "1"),
    (r"MB|(?-i:Mo)", "GB", "0.001"),
    (r"kwh", "kwh", "1"),
    (r"watts?|w|瓦", "w", "1"),
    (r"volts?|v", "v", "1"),
    (r"mah|毫安时?", "mah", "1"),
    (r"ghz", "hz", "1000000000"),
    (r"khz", "hz", "1000"),
    (r"hz", "hz", "1"),
    (r"MP|megapixels?|mégapixels?|万像素", "mp", "1"),
    (r"lumens?|lm|流明", "lm", "1"),
    (r"psi", "psi", "1"),
    (r"°c|℃|degrees?|degrés?|度", "degree", "1"),
    (r"°f|℉", "fahrenheit", "1"),
    (r"k(?![a-z])", "k", "1"),
    (r"stars?|étoiles?|星", "star", "1"),
    (r"times|fois|次|倍", "times", "1"),
    (r"pieces?|pièces?|pcs", "piece", "1"),
)

CURRENCIES: Final = frozenset({"USD", "EUR", "GBP", "CNY", "JPY"})
TIME_DIMENSIONS: Final = frozenset({"minutes", "months", "business days"})
_UNITS: Final = tuple(
    (re.compile(pattern, re.IGNORECASE), Unit(name, Decimal(factor))) for pattern, name, factor in _TABLE
)
UNIT_PATTERN: Final = (
    "(?:"
    + "|".join(
        rf"(?:{pattern})(?![a-zà-ÿ'])" if re.search("[a-z]", pattern, re.IGNORECASE) else f"(?:{pattern})"
        for pattern, _, _ in _TABLE
    )
    + ")"
)
"""Any unit. Compile with IGNORECASE."""
CURRENCY_PREFIX: Final = r"(?:US\$|\$|€|£|¥|USD|EUR|GBP|CNY|RMB|人民币)"


def unit_of(text: str) -> Unit | None:
    """The unit that the text names; None for another word. Megapixels and data sizes are spelled with capitals or not."""
    stripped = text.strip().replace("-", " ").strip()
    for pattern, unit in _UNITS:
        if pattern.fullmatch(stripped):
            return unit
    lookahead = re.sub(r"[内之以后前]+$", "", stripped)
    return Unit("minutes", Decimal(1440)) if lookahead == "日" else None
