"""Reviews as arrays."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

NO_TIME: Final = np.nan


@dataclass(frozen=True, slots=True)
class ReviewTable:
    """One row for each review; reviewers and products are numbered from 0 in order of their first review."""

    reviewers: tuple[str, ...]
    products: tuple[str, ...]
    reviewer: Ints
    product: Ints
    rating: Floats
    """On the scale 0 to 1."""
    day: Floats
    """Days since the epoch; NaN if unknown."""

    @property
    def count(self) -> int:
        """Number of reviews."""
        return len(self.rating)

    def reviews_of(self) -> tuple[Ints, ...]:
        """For each reviewer, the rows of its reviews."""
        order = np.argsort(self.reviewer, kind="stable")
        ends = np.cumsum(np.bincount(self.reviewer, minlength=len(self.reviewers)))
        return tuple(np.split(order, ends[:-1]))

    def mean_by_reviewer(self, values: Floats) -> Floats:
        """Mean over each reviewer's reviews."""
        counts = np.bincount(self.reviewer, minlength=len(self.reviewers))
        return np.bincount(self.reviewer, values, minlength=len(self.reviewers)) / np.maximum(counts, 1)


def build_table(
    reviewers: Sequence[str],
    products: Sequence[str],
    ratings: Sequence[float],
    days: Sequence[float | None],
    *,
    lowest: float,
    highest: float,
) -> ReviewTable:
    """All sequences have one entry for each review; `lowest` and `highest` are the ends of the rating scale."""
    names, reviewer = _numbered(reviewers)
    product_names, product = _numbered(products)
    span = highest - lowest
    return ReviewTable(
        reviewers=names,
        products=product_names,
        reviewer=reviewer,
        product=product,
        rating=(np.asarray(ratings, dtype=np.float64) - lowest) / span,
        day=np.asarray([NO_TIME if each is None else each for each in days], dtype=np.float64),
    )


def _numbered(names: Sequence[str]) -> tuple[tuple[str, ...], Ints]:
    numbers: dict[str, int] = {}
    rows = [numbers.setdefault(name, len(numbers)) for name in names]
    return tuple(numbers), np.asarray(rows, dtype=np.int64)
