"""Habits of paid reviewers: many reviews in a short time, only the ends of the scale, the same text again.

Each signal is a capped log likelihood ratio: none of them alone accuses anyone.
"""

import re
import unicodedata
from collections import defaultdict
from collections.abc import Sequence
from typing import Final

import numpy as np

from chatscale_assistant.tasks.reviews.table import Floats, ReviewTable

BURST_DAYS: Final = 1.0
MIN_REVIEWS_FOR_BURST: Final = 4
MAX_BURST: Final = 2.0
MIN_REVIEWS_FOR_EXTREMES: Final = 5
EDGE: Final = 0.1
"""A rating within this part of an end of the scale is extreme: 1 and 5 of five stars."""
MAX_EXTREMES: Final = 1.0
MIN_COPIED_CHARACTERS: Final = 20
"""Shorter texts, such as "very good", repeat without any fraud."""
MAX_COPIED: Final = 4.0

_NOT_WORD: Final = re.compile(r"[\W_]+")


def burst(table: ReviewTable) -> tuple[Floats, Floats]:
    """For each reviewer: the log ratio, and the most reviews within `BURST_DAYS`.

    Compared with reviews that are spread evenly over the days that the shop's reviews cover.
    """
    ratios, most = np.zeros(len(table.reviewers)), np.ones(len(table.reviewers))
    dated = ~np.isnan(table.day)
    if not dated.any():
        return ratios, most
    covered = max(BURST_DAYS, float(np.nanmax(table.day) - np.nanmin(table.day)))
    for reviewer, rows in enumerate(table.reviews_of()):
        days = np.sort(table.day[rows[dated[rows]]])
        if len(days) < MIN_REVIEWS_FOR_BURST:
            continue
        within = np.searchsorted(days, days + BURST_DAYS, side="right") - np.arange(len(days))
        most[reviewer] = within.max()
        expected = max(1.0, len(days) * BURST_DAYS / covered)
        if within.max() >= MIN_REVIEWS_FOR_BURST:
            ratios[reviewer] = min(MAX_BURST, float(np.log(within.max() / expected)))
    return np.maximum(ratios, 0), most


def extremes(table: ReviewTable) -> tuple[Floats, Floats]:
    """For each reviewer: the log ratio, and the share of ratings at the ends of the scale.

    Compared with the share in the whole shop, because in many shops most ratings are the best one.
    """
    at_end = ((table.rating <= EDGE) | (table.rating >= 1 - EDGE)).astype(np.float64)
    share = table.mean_by_reviewer(at_end)
    usual = float(np.clip(at_end.mean(), 0.01, 0.99))
    counts = np.bincount(table.reviewer, minlength=len(table.reviewers))
    surplus = share * np.log(np.maximum(share, 1e-9) / usual)
    surplus += (1 - share) * np.log(np.maximum(1 - share, 1e-9) / (1 - usual))
    many = (counts >= MIN_REVIEWS_FOR_EXTREMES) & (share > usual)
    return np.where(many, np.clip(counts * surplus - np.log(len(share) + 1), 0, MAX_EXTREMES), 0.0), share


def copied(table: ReviewTable, texts: Sequence[str]) -> tuple[Floats, tuple[tuple[int, int] | None, ...]]:
    """For each reviewer: the log ratio, and one pair (own review, the same text in another review), or None.

    Texts are equal without case, spaces and punctuation.
    """
    by_text: dict[str, list[int]] = defaultdict(list)
    for row, text in enumerate(texts):
        plain = _NOT_WORD.sub("", unicodedata.normalize("NFKC", text).casefold())
        if len(plain) >= MIN_COPIED_CHARACTERS:
            by_text[plain].append(row)
    counts = np.zeros(len(table.reviewers))
    pairs: list[tuple[int, int] | None] = [None] * len(table.reviewers)
    for rows in by_text.values():
        for position, row in enumerate(rows if len(rows) > 1 else ()):
            reviewer = int(table.reviewer[row])
            counts[reviewer] += 1
            pairs[reviewer] = pairs[reviewer] or (row, rows[0] if position else rows[1])
    return np.minimum(MAX_COPIED, 2 * counts), tuple(pairs)
