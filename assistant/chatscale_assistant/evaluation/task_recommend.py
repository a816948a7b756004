"""Suite `recommend`: what households buy in the last tenth of the year, from their purchases before."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from chatscale_assistant.evaluation.intervals import mean
from chatscale_assistant.evaluation.measurement import Measurement
from chatscale_assistant.evaluation.task_baskets import Data, Floats, Ints, Lines, read_lines
from chatscale_assistant.tasks.baskets.purchases import Purchases
from chatscale_assistant.tasks.baskets.recommender import Recommender

SUITE: Final = "recommend"
HELD_OUT: Final = 0.1
TOP: Final = 10
_BATCH: Final = 200


@dataclass(frozen=True, slots=True)
class Split:
    """Purchases before the split, and which model items each household bought after it."""

    recommender: Recommender
    households: Ints
    """Numbers of the households that bought model items in both parts."""
    bought_later: NDArray[np.bool_]
    """[households, model items]."""
    bought_before: NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Ranking:
    """Hit and nDCG at `TOP` of each household."""

    hit: Floats
    ndcg: Floats


def run(data: Data, *, sample: int | None, seed: int) -> list[Measurement]:
    """`sample` households at random, or all; the fit always uses all purchases before the split."""
    split = split_lines(read_lines(data))
    chosen = np.arange(len(split.households))
    if sample is not None:
        chosen = np.sort(np.random.default_rng(seed).permutation(chosen)[:sample])
    popularity = split.recommender.customers_of[split.recommender.model_items].astype(np.float64)
    scores, own = _scores(split, chosen)
    later, before = split.bought_later[chosen], split.bought_before[chosen]
    everything = rank(scores, later)
    habits = rank(own + 1e-9 * popularity, later)
    has_new = (later & ~before).any(axis=1)
    unseen = np.where(before, -np.inf, scores)[has_new]
    fresh = rank(unseen, (later & ~before)[has_new])
    popular = np.where(before, -np.inf, popularity[None, :])[has_new]
    common = rank(popular, (later & ~before)[has_new])
    note = f"last {HELD_OUT:.0%} of the lines held out; the 5,000 items with the most households; distinct items"
    return [
        Measurement.of(
            SUITE,
            f"items new to the household: hit@{TOP}",
            mean(fresh.hit.tolist()),
            baseline=float(common.hit.mean()),
            baseline_name="popularity",
            must=0.37,
            aim=0.40,
            note=f"{note}; nDCG@{TOP} {fresh.ndcg.mean():.3f}",
        ),
        Measurement.of(
            SUITE,
            f"all items: nDCG@{TOP}",
            mean(everything.ndcg.tolist()),
            baseline=float(habits.ndcg.mean()),
            baseline_name="own past frequency",
            must=0.44,
            aim=0.47,
            note=f"{note}; hit@{TOP} {everything.hit.mean():.3f}",
        ),
    ]


def split_lines(lines: Lines) -> Split:
    """Fit on the lines before the split."""
    start = float(np.quantile(lines.day, 1 - HELD_OUT))
    earlier, later = lines.where(lines.day < start), lines.where(lines.day >= start)
    households, customer = np.unique(earlier.household, return_inverse=True)
    products, item = np.unique(earlier.product, return_inverse=True)
    purchases = Purchases(
        customers=tuple(map(str, households.tolist())),
        items=tuple(map(str, products.tolist())),
        customer=customer,
        item=item,
        day=earlier.day,
        quantity=earlier.quantity,
    )
    recommender = Recommender(purchases, start)
    column = np.full(len(products), -1, dtype=np.int64)
    column[recommender.model_items] = np.arange(len(recommender.model_items))
    shape = (len(households), len(recommender.model_items))
    after = _matrix(_positions(households, later.household), _columns(products, column, later.product), shape)
    before = _matrix(customer, column[item], shape)
    tested = np.flatnonzero(after.any(axis=1))
    return Split(recommender, tested, after[tested], before[tested])


def rank(scores: Floats, relevant: NDArray[np.bool_]) -> Ranking:
    """scores, relevant: [households, items]; each household has a relevant item."""
    best = np.argpartition(-scores, TOP, axis=1)[:, :TOP]
    order = np.argsort(-np.take_along_axis(scores, best, axis=1), axis=1, kind="stable")
    found = np.take_along_axis(relevant, np.take_along_axis(best, order, axis=1), axis=1)
    discount = 1 / np.log2(np.arange(2, TOP + 2))
    ideal = np.cumsum(discount)[np.minimum(relevant.sum(axis=1), TOP) - 1]
    gain: Floats = (found * discount).sum(axis=1)
    return Ranking(np.asarray(found.any(axis=1), dtype=np.float64), np.asarray(gain / ideal, dtype=np.float64))


def _scores(split: Split, chosen: Ints) -> tuple[Floats, Floats]:
    """[chosen, model items]: the recommender's scores, and the number of own purchases."""
    fitted = split.recommender
    shop = fitted.purchases
    scores, own = [], []
    for start in range(0, len(chosen), _BATCH):
        numbers = split.households[chosen[start : start + _BATCH]]
        scores.append(fitted.score_customers(numbers))
        for number in numbers:
            rows = fitted.customer_rows(shop.customers[number])
            counts = np.bincount(shop.item[rows], minlength=len(shop.items))
            own.append(counts[fitted.model_items].astype(np.float64))
    return np.concatenate(scores), np.stack(own)


def _positions(values: Ints, wanted: Ints) -> Ints:
    """Position of each wanted value in the sorted values; -1 if it is none of them."""
    place = np.minimum(np.searchsorted(values, wanted), len(values) - 1)
    return np.where(values[place] == wanted, place, -1)


def _columns(products: Ints, column: Ints, wanted: Ints) -> Ints:
    place = _positions(products, wanted)
    return np.where(place >= 0, column[place], -1)


def _matrix(rows: Ints, columns: Ints, shape: tuple[int, int]) -> NDArray[np.bool_]:
    matrix = np.zeros(shape, dtype=np.bool_)
    inside = (rows >= 0) & (columns >= 0)
    matrix[rows[inside], columns[inside]] = True
    return matrix
