"""Ranks of several searches to one order: reciprocal rank fusion."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

RANK_OFFSET: Final = 10
"""Of reciprocal rank fusion. The usual 60 suits lists of hundreds of similar hits; shops have tens of products."""


@dataclass(frozen=True, slots=True)
class Ranking:
    """The result of one search: passages, best first."""

    passages: Sequence[int]
    weight: float


def fuse(rankings: Sequence[Ranking]) -> list[tuple[int, float]]:
    """Passages with their summed scores, best first; equal ones in the order of their numbers."""
    scores: dict[int, float] = {}
    for ranking in rankings:
        for rank, passage in enumerate(ranking.passages, 1):
            scores[passage] = scores.get(passage, 0.0) + ranking.weight / (RANK_OFFSET + rank)
    return sorted(scores.items(), key=lambda item: (-item[1], item[0]))


def coverage(question: Sequence[str], passage: frozenset[str], rarity: Mapping[str, float]) -> float:
    """0 to 1: the share of the question's terms that the passage has, each weighted by its rarity in the corpus."""
    total = sum(rarity.get(term, 1.0) for term in question)
    return sum(rarity.get(term, 1.0) for term in question if term in passage) / total if total else 0.0
