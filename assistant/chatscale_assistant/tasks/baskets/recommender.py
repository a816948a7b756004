"""What a customer is likely to buy next: own habits, items that go together (EASE), and what many customers buy."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from chatscale_assistant.tasks.baskets.ease import Ease, Matrix, fit_ease
from chatscale_assistant.tasks.baskets.purchases import Floats, Ints, Purchases

MAX_MODEL_ITEMS: Final = 5000
"""Items with the most customers; the fit takes seconds and 100 MB."""
MAX_MODEL_CUSTOMERS: Final = 100_000
"""Customers with the latest purchases."""
MIN_MODEL_CUSTOMERS: Final = 20
"""With fewer customers nothing is said about items that go together."""
HALF_LIVES_DAYS: Final = ((20.0, 0.5), (160.0, 1.0))
"""(half-life, weight): what was bought lately counts, and so do old habits. Chosen on the lines before the test lines
of the evaluation, as is `TOGETHER`."""
TOGETHER: Final = 3.0
"""Weight of EASE against own habits."""
_POPULARITY: Final = 1e-6
"""Decides between items that nothing else separates."""


@dataclass(frozen=True, slots=True)
class Scores:
    """For each item of the purchases: the score and its parts."""

    total: Floats
    own: Floats
    """Purchases by the customer, each weighted by its age."""
    together: Floats
    """EASE; 0 for items outside the model."""
    sources: Ints
    """Items that EASE started from."""


class Recommender:
    """Fitted to the purchases of a shop. Immutable after that."""

    def __init__(self, purchases: Purchases, today: float) -> None:
        """today: days since the epoch."""
        self.purchases = purchases
        self._today = today
        self._number_of_customer = {name: number for number, name in enumerate(purchases.customers)}
        self._number_of_item = {name: number for number, name in enumerate(purchases.items)}
        count = len(purchases.items)
        pairs = np.unique(purchases.customer * count + purchases.item)
        self.customers_of = np.bincount(pairs % count, minlength=count)
        """For each item: how many customers bought it."""
        order = np.argsort(purchases.customer, kind="stable")
        ends = np.cumsum(np.bincount(purchases.customer, minlength=len(purchases.customers)))
        self._rows = np.split(order, ends[:-1])
        self.model_items: Ints = np.sort(np.argsort(-self.customers_of, kind="stable")[:MAX_MODEL_ITEMS])
        self._column = np.full(count, -1, dtype=np.int64)
        self._column[self.model_items] = np.arange(len(self.model_items))
        self._ease = self._fit(pairs // count, pairs % count)

    def customer_rows(self, customer: str | None) -> Ints:
        """Rows of the customer's purchases; none for an unknown customer."""
        number = None if customer is None else self._number_of_customer.get(customer)
        return np.empty(0, dtype=np.int64) if number is None else self._rows[number]

    def item_number(self, item: str) -> int | None:
        """Number of an item in the purchases; None if nobody bought it."""
        return self._number_of_item.get(item)

    def score(self, rows: Ints, basket: Ints) -> Scores:
        """rows: purchases of the customer; basket: numbers of items that are in the basket now."""
        own = self._own(rows)
        history = np.unique(self.purchases.item[rows])
        weights = np.zeros(len(own))
        weights[history] = 1
        if len(basket):
            # A guess: the basket counts as much as the whole history, so that a long history does not drown it.
            weights[basket] = max(1.0, len(history) / len(basket))
        together = np.zeros(len(own))
        if self._ease is not None:
            vector = weights[self.model_items].astype(np.float32)[None, :]
            together[self.model_items] = self._ease.scores(vector)[0]
        total = combine(own, together) + self._popularity()
        return Scores(total=total, own=own, together=together, sources=np.flatnonzero(weights))

    def score_customers(self, customers: Ints) -> Floats:
        """[customers, model items]: total scores of many customers at once, without baskets."""
        own = np.stack([self._own(self._rows[customer])[self.model_items] for customer in customers])
        together = np.zeros_like(own)
        if self._ease is not None:
            together = self._ease.scores((own > 0).astype(np.float32)).astype(np.float64)
        return combine(own, together) + self._popularity()[self.model_items]

    def bought_with(self, sources: Ints, target: int, limit: int) -> Ints:
        """The sources that add most to the target, strongest first; empty if none adds anything."""
        column = int(self._column[target])
        usable = sources[self._column[sources] >= 0]
        if self._ease is None or column < 0 or not len(usable):
            return np.empty(0, dtype=np.int64)
        weights = self._ease.weights(self._column[usable], column)
        order = np.argsort(-weights, kind="stable")[:limit]
        result: Ints = usable[order[weights[order] > 0]]
        return result

    def _popularity(self) -> Floats:
        result: Floats = _POPULARITY * self.customers_of / max(1, len(self._rows))
        return result

    def _own(self, rows: Ints) -> Floats:
        ages = np.maximum(0, self._today - self.purchases.day[rows])
        weight = np.sum([share * 2 ** (-ages / half_life) for half_life, share in HALF_LIVES_DAYS], axis=0)
        return np.bincount(self.purchases.item[rows], weight, minlength=len(self.purchases.items)).astype(np.float64)

    def _fit(self, customer: Ints, item: Ints) -> Ease | None:
        if len(self._rows) < MIN_MODEL_CUSTOMERS or len(self.model_items) < 2:  # noqa: PLR2004 - nothing goes together
            return None
        last = np.full(len(self._rows), -np.inf)
        np.maximum.at(last, self.purchases.customer, self.purchases.day)
        kept = np.sort(np.argsort(-last, kind="stable")[:MAX_MODEL_CUSTOMERS])
        row_of = np.full(len(self._rows), -1, dtype=np.int64)
        row_of[kept] = np.arange(len(kept))
        row, column = row_of[customer], self._column[item]
        inside = (row >= 0) & (column >= 0)
        return fit_ease(row[inside], column[inside], (len(kept), len(self.model_items)))


def combine(own: Floats | Matrix, together: Floats | Matrix) -> Floats:
    """Score of an item from own purchases and from EASE; arrays of any equal shape."""
    result: Floats = np.asarray(own + TOGETHER * together, dtype=np.float64)
    return result
