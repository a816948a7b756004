"""What a product deserves and how far a reviewer is from it, estimated together.

A product's quality is the mean of its ratings, weighted by how reliable each reviewer is; a reviewer is reliable if his
ratings are near the qualities (mutual reinforcement: Tawaramoto et al., DEXA 2011; Wang et al., "Review graph based
online store review spammer detection", ICDM 2011).  Members of one group count as one voice, so that a group cannot
make itself the consensus.
"""

from typing import Final

import numpy as np

from chatscale_assistant.tasks.reviews.table import Floats, ReviewTable

ROUNDS: Final = 12
PRIOR_RATINGS: Final = 1.0
"""A product's quality is drawn to the mean of all ratings as by this many ratings."""
PRIOR_SPREADS: Final = 3.0
"""A product's spread of ratings is drawn to the spread over all products as by this many ratings."""
MIN_GENUINE: Final = 0.03
"""Density of a genuine rating at any distance: people click on the wrong star."""
UNIFORM_VARIANCE: Final = 1 / 12
"""Of ratings that are spread evenly over the scale."""
MIN_SPREAD: Final = 0.08
"""Of genuine ratings around the quality, on the scale 0 to 1: half a star of five would be 0.125."""
SUSPECT_SHARE: Final = 0.05
"""Prior probability that a reviewer does not rate the product: about what shops and studies report."""


def log_odds(table: ReviewTable, voice: Floats) -> tuple[Floats, Floats, Floats]:
    """Log likelihood ratio of each reviewer's ratings, "has nothing to do with the product" against "rates it".

    voice: for each reviewer, the weight of his voice (1, or 1/size of his group).  A rating that has nothing to do with
    the product is uniform on the scale; a genuine one is normal around the quality that the *other* reviewers give.
    Returns (for each reviewer the log ratio, for each review the other reviewers' quality, for each review its part of
    the log ratio).
    """
    suspicion = np.full(len(table.reviewers), SUSPECT_SHARE)
    parts = np.zeros(table.count)
    totals = np.zeros(len(table.reviewers))
    quality = np.full(table.count, 0.5)
    for _ in range(ROUNDS):
        weight = ((1 - suspicion) * voice)[table.reviewer]
        quality, support = _of_others(table, weight, table.rating, PRIOR_RATINGS)
        gap = table.rating - quality
        # On a product that people disagree about, no rating is suspicious: the genuine density becomes the uniform one.
        variance, _ = _of_others(table, weight, gap**2, PRIOR_SPREADS)
        # The fewer ratings the quality comes from, the less a genuine rating is bound to it.
        variance = np.maximum(variance, MIN_SPREAD**2) * (1 + 1 / (support + PRIOR_RATINGS))
        normal = np.exp(-(gap**2) / (2 * variance)) / np.sqrt(2 * np.pi * variance)
        wide = np.clip(variance / UNIFORM_VARIANCE, 0, 1) ** 2
        genuine = wide + (1 - wide) * normal
        parts = np.log(1.0 / np.maximum(genuine, MIN_GENUINE))
        totals = np.bincount(table.reviewer, parts, minlength=len(table.reviewers)).astype(np.float64)
        suspicion = probability(totals)
    return totals, quality, parts


def probability(log_ratio: Floats, prior: float = SUSPECT_SHARE) -> Floats:
    """Posterior probability from a log likelihood ratio."""
    result: Floats = 1 / (1 + np.exp(-np.clip(log_ratio + np.log(prior / (1 - prior)), -50, 50)))
    return result


def _of_others(table: ReviewTable, weight: Floats, values: Floats, prior: float) -> tuple[Floats, Floats]:
    """For each review: the mean of its product's values without this review, and the weight that it comes from.

    The mean is drawn to the mean over all products as by `prior` reviews.
    """
    count = len(table.products)
    overall = _weighted_mean(values, weight)
    total = np.bincount(table.product, weight, minlength=count)
    sums = np.bincount(table.product, weight * values, minlength=count)
    support = np.maximum(total[table.product] - weight, 0)
    others = np.maximum(sums[table.product] - weight * values, 0)
    return (others + prior * overall) / (support + prior), support


def _weighted_mean(values: Floats, weight: Floats) -> float:
    total = float(weight.sum())
    return float((values * weight).sum() / total) if total > 0 else float(values.mean())
