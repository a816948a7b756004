"""Scores of several searches to one order, with a confidence that means the same in every corpus. Pure.

Encoders' similarities become standard scores: how far above the best similarities of unrelated questions
(`background`) they are, in the same corpus and script. Their sum and a lexical share give the order, and its value
says whether anything answers at all. Compared with reciprocal rank fusion in docs/design/0025.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

LEXICAL_WEIGHT: Final = 3.0
"""Of the best lexical match, in standard scores."""
STRONG_BM25: Final = 8.0
"""In a large corpus. A best match below it counts less: one common word in a long question proves little."""
ENCODERS: Final = 2.0
"""The sum is scaled to this many encoders."""
FULL_COVERAGE: Final = 6.0
"""Standard score of a passage without a vector that has all terms of the question."""
THRESHOLD: Final = 4.25
"""Sum with a confidence of one half; docs/design/0025 has the shares of questions on its wrong side."""
STEEPNESS: Final = 0.6
UNCOVERED: Final = 1.0
"""Taken from the sum for each shop word of the question that the passage lacks: a passage about chairs does not answer
a question about sofas, however near the two are."""
COVERED: Final = 0.75
"""Added to a product for each shop word of the question that it has, for MOST_COVERED at most. In documents such words
prove little: a question about customs has "delivery" too."""
MOST_COVERED: Final = 2
LEAST_SEMANTIC: Final = 0.0
"""Less than unrelated is no sign: an encoder that has never seen `gourde` must not outvote the glossary."""
_SMALLEST_SPREAD: Final = 0.005
_FEWEST: Final = 2


@dataclass(frozen=True, slots=True)
class Background:
    """The best similarities of unrelated questions in a corpus."""

    mean: float
    spread: float
    """Standard deviation, at least 0.005."""

    def standard_score(self, similarity: float) -> float:
        """How many standard deviations a similarity is above unrelated ones."""
        return (similarity - self.mean) / self.spread


def measure_background(best: Sequence[float]) -> Background:
    """Background from the best similarity of each unrelated question; at least two."""
    if len(best) < _FEWEST:
        raise ValueError(f"expected at least {_FEWEST} similarities, found {len(best)}")
    return Background(float(np.mean(best)), max(float(np.std(best)), _SMALLEST_SPREAD))


@dataclass(frozen=True, slots=True)
class Nearby:
    """What one encoder found."""

    similarities: Mapping[int, float]
    """Of the nearest passages."""
    background: Background
    missing: frozenset[int] = frozenset()
    """Passages that are not embedded yet."""


@dataclass(frozen=True, slots=True)
class Ranked:
    """A passage with its place in the order."""

    passage: int
    total: float
    """Sum of its scores."""

    @property
    def confidence(self) -> float:
        """0 to 1."""
        return confidence(self.total)


def strong_bm25(passages: int) -> float:
    """The BM25 of a good match in a corpus of so many passages: about two words that no other passage has.

    A rare word of a small corpus weighs little, so a fixed value would leave small shops with encoders only.
    """
    return min(STRONG_BM25, 2.1 * math.log(1 + max(0.5, passages - 0.5) / 1.5))


def rank(
    lexical: Mapping[int, float],
    nearby: Sequence[Nearby],
    coverage: Mapping[int, float],
    *,
    strong: float = STRONG_BM25,
) -> list[Ranked]:
    """All passages that any search found, best first.

    lexical: BM25, higher is better. coverage: 0 to 1, the share of the question that a passage has; it stands in for
    the vectors of passages that are not embedded yet, so a changed text is found at once.
    """
    best_lexical = max([strong, *lexical.values()])
    passages = set(lexical).union(*(each.similarities for each in nearby))
    totals = {
        passage: LEXICAL_WEIGHT * lexical.get(passage, 0.0) / best_lexical
        + max(LEAST_SEMANTIC, _semantic(passage, nearby, coverage.get(passage, 0.0)))
        for passage in passages
    }
    ordered = sorted(totals.items(), key=lambda item: (-item[1], item[0]))
    return [Ranked(passage, total) for passage, total in ordered]


def _semantic(passage: int, nearby: Sequence[Nearby], coverage: float) -> float:
    stand_in = FULL_COVERAGE * coverage
    if not nearby:
        return ENCODERS * stand_in
    return ENCODERS * sum(_score(passage, each, stand_in) for each in nearby) / len(nearby)


def _score(passage: int, each: Nearby, stand_in: float) -> float:
    if passage in each.missing or not each.similarities:
        return stand_in
    similarity = each.similarities.get(passage)
    # Not among the nearest: at most as near as the last of them.
    return each.background.standard_score(min(each.similarities.values()) if similarity is None else similarity)


def adjusted(ranked: Ranked, covered_words: int, uncovered: int) -> Ranked:
    """The sum, adjusted by the shop words of the question that the passage has and lacks."""
    return Ranked(ranked.passage, ranked.total + COVERED * min(covered_words, MOST_COVERED) - UNCOVERED * uncovered)


def confidence(total: float) -> float:
    """0 to 1: how likely a passage with this sum answers the question."""
    return 1 / (1 + math.exp(-max(-60.0, min(60.0, STEEPNESS * (total - THRESHOLD)))))


def covered(concepts: Sequence[tuple[Sequence[str], float]], has_term: Sequence[str] | frozenset[str]) -> float:
    """The share of the concepts (alternative terms and weight) of which a passage has any term; 0 without concepts."""
    total = sum(weight for _, weight in concepts)
    found = sum(weight for terms, weight in concepts if any(term in has_term for term in terms))
    return found / total if total else 0.0
