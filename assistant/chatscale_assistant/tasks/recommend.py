"""Task `recommend`: what to offer a customer or add to a basket, of the items that are in stock."""

from datetime import date, datetime
from enum import StrEnum
from typing import Annotated, Final, Self

import numpy as np
from pydantic import Field, model_validator

from chatscale.api.v1alpha1.shopassistant import Language
from chatscale_assistant.tasks.baskets.fits import Fits
from chatscale_assistant.tasks.baskets.purchases import Ints
from chatscale_assistant.tasks.baskets.recommender import Recommender, Scores
from chatscale_assistant.tasks.copy_wording import join_words
from chatscale_assistant.tasks.schema import EvidenceItem, Identifier, LocalisedInput, TaskModel, TaskResult

ENGINE: Final = "own-purchases+ease/1"
MAX_STOCK_ITEMS: Final = 200_000
MAX_PURCHASES_CHARACTERS: Final = 30_000_000
MAX_SOURCES: Final = 3
"""Items that are named as "bought with"."""


class Basis(StrEnum):
    """Why an item is recommended."""

    OWN_PURCHASES = "own_purchases"
    BOUGHT_WITH = "bought_with"
    POPULAR = "popular"
    NEW_IN_SHOP = "new_in_shop"


class RecommendInput(LocalisedInput):
    """Purchases of the shop, and for whom to recommend: a customer, a basket, both, or nobody in particular."""

    purchases: str = Field(
        max_length=MAX_PURCHASES_CHARACTERS,
        description="CSV with a header: customer, item, date (ISO 8601), optionally quantity, order. No returns.",
    )
    stock: Annotated[dict[Identifier, Annotated[float, Field(ge=0)]], Field(max_length=MAX_STOCK_ITEMS)] = Field(
        description="Units of each item that can be sold now. Only items with at least one are recommended."
    )
    customer: Identifier | None = None
    basket: Annotated[tuple[Identifier, ...], Field(max_length=200)] = ()
    limit: int = Field(default=10, ge=1, le=100)
    new_only: bool = Field(default=False, description="Only items that the customer never bought.")
    today: date | None = Field(default=None, description="Default: the day of the request.")

    @model_validator(mode="after")
    def _has_stock(self) -> Self:
        if not any(units >= 1 for units in self.stock.values()):
            raise ValueError(f"stock: expected at least one item in stock, found none of {len(self.stock)}")
        return self


class Recommendation(TaskModel):
    """One item."""

    item: str
    score: float = Field(description="Higher is better; comparable within one result.")
    basis: Basis
    text: str
    evidence: tuple[EvidenceItem, ...]


class RecommendResult(TaskResult):
    """Best first."""

    recommendations: tuple[Recommendation, ...]


def recommend_items(data: RecommendInput, now: datetime, fits: Fits) -> RecommendResult:
    """now: the time of the request. Raises InvalidRequestError for a wrong CSV."""
    recommender = fits.get(data.purchases, data.today or now.date())
    shop = recommender.purchases
    rows = recommender.customer_rows(data.customer)
    basket = [number for item in data.basket if (number := recommender.item_number(item)) is not None]
    scores = recommender.score(rows, np.asarray(sorted(set(basket)), dtype=np.int64))
    bought = set(shop.item[rows].tolist()) if data.new_only else set()
    in_stock = [item for item, units in data.stock.items() if units >= 1 and item not in set(data.basket)]
    sold = [number for item in in_stock if (number := recommender.item_number(item)) is not None]
    candidates = np.asarray([number for number in sold if number not in bought], dtype=np.int64)
    best = candidates[np.argsort(-scores.total[candidates], kind="stable")[: data.limit]]
    explained = [_explain(recommender, scores, int(item), rows, data.language) for item in best]
    unsold = [item for item in in_stock if recommender.item_number(item) is None]
    explained += [_new_in_shop(item, data.language) for item in unsold[: data.limit - len(explained)]]
    return RecommendResult(
        engine=ENGINE,
        evidence=(
            EvidenceItem(source="purchases", value=f"{len(shop.item)} lines of {len(shop.customers)} customers"),
            EvidenceItem(source="stock", value=f"{len(in_stock)} items in stock and not in the basket"),
        ),
        recommendations=tuple(explained),
    )


def _explain(recommender: Recommender, scores: Scores, item: int, rows: Ints, language: Language) -> Recommendation:
    """The part of the score that is largest explains it."""
    shop = recommender.purchases
    mine = rows[shop.item[rows] == item]
    sources = recommender.bought_with(scores.sources, item, MAX_SOURCES)
    if len(mine):
        last = date.fromordinal(date(1970, 1, 1).toordinal() + int(shop.day[mine].max())).isoformat()
        basis, values = Basis.OWN_PURCHASES, {"times": len(mine), "last": last}
        evidence = [EvidenceItem(source="purchases", value=f"bought {len(mine)} times, last on {last}")]
    elif len(sources):
        names = [shop.items[source] for source in sources]
        basis, values = Basis.BOUGHT_WITH, {"items": join_words(names, language, every=True)}
        evidence = [EvidenceItem(source="purchases.item", value=name) for name in names]
    else:
        count = int(recommender.customers_of[item])
        basis, values = Basis.POPULAR, {"count": count}
        evidence = [EvidenceItem(source="purchases", value=f"{count} customers")]
    return Recommendation(
        item=shop.items[item],
        score=round(float(scores.total[item]), 6),
        basis=basis,
        text=_TEXTS[basis][language].format(**values),
        evidence=tuple(evidence),
    )


def _new_in_shop(item: str, language: Language) -> Recommendation:
    return Recommendation(
        item=item,
        score=0.0,
        basis=Basis.NEW_IN_SHOP,
        text=_TEXTS[Basis.NEW_IN_SHOP][language],
        evidence=(EvidenceItem(source="stock", value=f"{item}: in stock, no purchase"),),
    )


_TEXTS: Final = {
    Basis.OWN_PURCHASES: {
        Language.ENGLISH: "Bought before: {times} times, last on {last}.",
        Language.FRENCH: "Déjà acheté : {times} fois, la dernière le {last}.",
        Language.CHINESE: "曾购买 {times} 次，最近一次是 {last}。",
    },
    Basis.BOUGHT_WITH: {
        Language.ENGLISH: "Often bought by customers who buy {items}.",
        Language.FRENCH: "Souvent acheté par les clients qui achètent {items}.",
        Language.CHINESE: "购买{items}的顾客也常买。",
    },
    Basis.POPULAR: {
        Language.ENGLISH: "Bought by {count} customers.",
        Language.FRENCH: "Acheté par {count} clients.",
        Language.CHINESE: "有 {count} 位顾客购买过。",
    },
    Basis.NEW_IN_SHOP: {
        Language.ENGLISH: "New in the shop: nobody has bought it yet.",
        Language.FRENCH: "Nouveau dans la boutique : personne ne l'a encore acheté.",
        Language.CHINESE: "本店新品，还没有人购买。",
    },
}
