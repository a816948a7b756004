"""Which columns of a catalogue are the name and the id of a row, and which cells describe it.

The rule is part of the guide: the first of the names below that the file has, in this order.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from chatscale_assistant.retrieval.terms import fold

NAME_COLUMNS: Final = (
    "name",
    "product name",
    "item name",
    "title",
    "product",
    "item",
    "nom",
    "nom du produit",
    "titre",
    "designation",
    "libelle",
    "produit",
    "article",
    "商品名称",
    "产品名称",
    "名称",
    "商品名",
    "品名",
    "标题",
    "商品",
    "产品",
)
"""Folded names of the column with the product's name, best first. `_` and `-` count as spaces."""
ID_COLUMNS: Final = (
    "sku",
    "item id",
    "variant id",
    "id",
    "code",
    "reference",
    "ref",
    "货号",
    "商品编号",
    "编号",
)
"""Folded names of the column whose value is unique in the catalogue, best first. A catalogue need not have one."""
PRODUCT_COLUMNS: Final = ("product id", "parent id", "group id", "id produit", "产品编号")
"""Columns that rows of one product share."""
_CODE: Final = re.compile(r"(https?://\S*|[\W\d_]*|[\d.,\s]*(?:€|\$|£|¥|元|eur|usd|cny)[\d.,\s]*)", re.IGNORECASE)
_LOGICAL: Final = frozenset({"true", "false", "yes", "no", "oui", "non", "是", "否", "none", "null", ""})
_ID_WORD: Final = re.compile(
    r"(^|\s)(id|sku|code|ref|reference|ean|gtin|upc|url|link|image)(\s|$)|编号|货号|条码|链接|图片"
)


def normal_name(column: str) -> str:
    """A column's name as the lists above have it."""
    return " ".join(fold(column).replace("_", " ").replace("-", " ").split())


def find_column(columns: Sequence[str], names: Sequence[str]) -> str | None:
    """The column with the best of the names; None if there is none."""
    by_name: dict[str, str] = {}
    for column in columns:
        by_name.setdefault(normal_name(column), column)
    return next((by_name[name] for name in names if name in by_name), None)


def descriptive_values(rows: Iterable[Mapping[str, str]], left_out: str) -> dict[str, list[str]]:
    """Column to its distinct values over the rows, without the name, ids, addresses, plain numbers and truth values.

    Prices and stock change often, and vectors of numbers mean little: they are not embedded.
    """
    found: dict[str, dict[str, None]] = {}
    for row in rows:
        for column, value in row.items():
            if column != left_out and not _is_code(column, value):
                found.setdefault(column, {})[" ".join(value.split())] = None
    return {column: list(values) for column, values in found.items()}


def _is_code(column: str, value: str) -> bool:
    return (
        fold(value.strip()) in _LOGICAL
        or _CODE.fullmatch(value.strip()) is not None
        or _ID_WORD.search(normal_name(column)) is not None
    )
