"""Reviewers who rate the same products in the same way, more often than chance explains.

A co-rater of one product is normal.  Two people who share most of their products, though few people rate these
products, and who agree each time, are rare by chance (group spam: Mukherjee et al., "Spotting fake reviewer groups in
consumer reviews", WWW 2012).
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from chatscale_assistant.tasks.reviews.table import Floats, Ints, ReviewTable

MAX_CO_RATERS: Final = 150
"""Products with more reviews show nothing about groups, and pairs grow with the square."""
AGREEMENT: Final = 0.3
"""Two ratings agree within this part of the scale: a little over one star of five."""
MIN_SHARED: Final = 2
MIN_SHARE: Final = 0.6
"""Of the products of each of the two."""
MAX_LOG_RATIO: Final = 6.0


@dataclass(frozen=True, slots=True)
class Groups:
    """For each reviewer."""

    size: Ints
    """Members of the group, with the reviewer; 1 without a group."""
    label: Ints
    """Equal numbers: same group; the number of the lowest member."""
    log_ratio: Floats
    """How much more likely the overlap is in a group than by chance; 0 without a group."""


def find_groups(table: ReviewTable) -> Groups:
    """Groups are connected by pairs that agree on at least two products, share most of their products, and surprise."""
    count = len(table.reviewers)
    first, second, shared = _agreeing_pairs(table)
    products = np.bincount(table.reviewer, minlength=count)
    enough = (shared >= MIN_SHARED) & (shared >= MIN_SHARE * np.maximum(products[first], products[second]))
    first, second, shared = first[enough], second[enough], shared[enough]
    chance = np.asarray(_expected_shared(table, products) * products[first] * products[second], dtype=np.float64)
    # Everybody is compared with everybody: an overlap that is expected once among so many people shows nothing.
    ratios = _poisson_surprise(shared, chance) - np.log(count)
    first, second, ratios = first[ratios > 0], second[ratios > 0], ratios[ratios > 0]
    label = _connected(count, first, second)
    best = np.zeros(count)
    for side in (first, second):
        np.maximum.at(best, side, np.minimum(ratios, MAX_LOG_RATIO))
    return Groups(size=np.bincount(label, minlength=count)[label], label=label, log_ratio=best)


def _agreeing_pairs(table: ReviewTable) -> tuple[Ints, Ints, Ints]:
    """Pairs of reviewers (lower number first) that agree on a product, and on how many."""
    count = len(table.reviewers)
    order = np.argsort(table.product, kind="stable")
    ends = np.cumsum(np.bincount(table.product, minlength=len(table.products)))
    codes = [np.empty(0, dtype=np.int64)]
    for rows in np.split(order, ends[:-1]):
        if not 2 <= len(rows) <= MAX_CO_RATERS:  # noqa: PLR2004 - a pair
            continue
        left, right = np.triu_indices(len(rows), k=1)
        agree = np.abs(table.rating[rows[left]] - table.rating[rows[right]]) <= AGREEMENT
        one, two = table.reviewer[rows[left[agree]]], table.reviewer[rows[right[agree]]]
        distinct = one != two
        low, high = np.minimum(one, two)[distinct], np.maximum(one, two)[distinct]
        codes.append(np.unique(low * count + high))
    pairs, shared = np.unique(np.concatenate(codes), return_counts=True)
    return pairs // count, pairs % count, shared.astype(np.int64)


def _expected_shared(table: ReviewTable, products: Ints) -> float:
    """Products that two reviewers with one review each share by chance, given how often each product is rated."""
    popularity = np.bincount(table.product, minlength=len(table.products)) / max(1, int(products.sum()))
    return float((popularity**2).sum())


def _poisson_surprise(shared: Ints, expected: Floats) -> Floats:
    """Bound on -log P(at least `shared`) for a Poisson number (Chernoff): k log(k/m) - k + m; 0 if k <= m."""
    counts = shared.astype(np.float64)
    mean = np.maximum(expected, 1e-9)
    result: Floats = np.where(counts > mean, counts * np.log(np.maximum(counts, 1e-9) / mean) - counts + mean, 0.0)
    return result


def _connected(count: int, first: Ints, second: Ints) -> Ints:
    """Labels of connected reviewers: the lowest number in each component."""
    parent = list(range(count))

    def root(node: int) -> int:
        while parent[node] != node:
            parent[node] = parent[parent[node]]
            node = parent[node]
        return node

    for one, two in zip(first.tolist(), second.tolist(), strict=True):
        low, high = sorted((root(one), root(two)))
        parent[high] = low
    return np.asarray([root(node) for node in range(count)], dtype=np.int64)
