"""Which segment of the evidence a clause is about, and whether a fact of the clause stands there. Pure.

A fact must stand in a segment that fits the clause better than every segment with another value of the same unit.
A value that stands somewhere else proves nothing.
"""

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from chatscale_assistant.grounding.segments import Key, Segment, fact_term
from chatscale_assistant.language.quantities import Fact, FactKind

_CONTEXT_WEIGHT: Final = 0.5
_BEFORE_WEIGHT: Final = 0.25
_SIMILARITY_WEIGHT: Final = 2.0
_MIN_FIT: Final = 0.6
"""A segment with a fact may fit the clause this much less than the best segment of all."""
_MIN_FIT_OF_PROPERTY: Final = 0.4
"""The same for a property, such as a size: what the clause asserts fits better."""
_EPSILON: Final = 1e-6


@dataclass(frozen=True, slots=True)
class Clause:
    """A clause of a draft."""

    text: str
    terms: frozenset[str]
    around: frozenset[str]
    """Terms of the rest of the sentence."""
    before: frozenset[str]
    """Terms of the sentence before, for "it"."""
    facts: tuple[Fact, ...]
    similarity: Mapping[int, float]
    """Position of the evidence -> similarity with the sentence, 0 to 1; empty without an encoder."""


class Weights:
    """How much a term distinguishes segments: rare ones more."""

    def __init__(self, segments: Iterable[Segment]) -> None:
        every = tuple(segments)
        counts = Counter(term for each in every for term in each.terms | each.context)
        self._counts, self._total = counts, len(every)

    def __call__(self, term: str) -> float:
        """Zero for a term that no segment has."""
        count = self._counts.get(term, 0)
        return math.log(1 + self._total / count) if count else 0.0

    def has(self, term: str) -> bool:
        """Whether the term stands anywhere in the evidence."""
        return term in self._counts


def fit(clause: Clause, segment: Segment, weigh: Weights, *, without: Key | None = None) -> float:
    """How well the segment fits the clause; `without` is the fact under test, which has no vote."""
    own = clause.terms | {fact_term(fact.key) for fact in clause.facts if fact.key != without}
    near = segment.terms | {fact_term(key) for key in segment.facts}
    score = sum(weigh(term) * _overlap(term, near, segment.context) for term in own)
    tested = {fact_term(without)} if without else set()
    around, before = clause.around - own - tested, clause.before - own - clause.around
    score += _BEFORE_WEIGHT * sum(weigh(term) * _overlap(term, near, segment.context) for term in around)
    score += _BEFORE_WEIGHT**2 * sum(weigh(term) * _overlap(term, near, segment.context) for term in before)
    return score + _SIMILARITY_WEIGHT * clause.similarity.get(segment.evidence, 0.0)


def _overlap(term: str, near: frozenset[str], context: frozenset[str]) -> float:
    if term in near:
        return 1.0
    return _CONTEXT_WEIGHT if term in context else 0.0


def states(segment: Segment, fact: Fact, currency: str) -> bool:
    """Whether the fact stands in the segment, in any notation."""
    if fact.key in segment.facts:
        return True
    match fact.kind:
        case FactKind.NUMBER if not fact.unit:
            return (FactKind.MONEY, fact.value, "") in segment.facts or (
                bool(currency) and (FactKind.MONEY, fact.value, currency) in segment.facts
            )
        case FactKind.DATE if fact.value.startswith("--"):
            return any(kind is FactKind.DATE and value.endswith(fact.value[1:]) for kind, value, _ in segment.facts)
        case FactKind.NUMBER if fact.unit == "piece":
            return (FactKind.NUMBER, fact.value, "") in segment.facts
        case FactKind.PHONE:
            return any(kind is FactKind.PHONE and _same_phone(value, fact.value) for kind, value, _ in segment.facts)
        case _:
            return False


def _same_phone(one: str, other: str) -> bool:
    short, long = sorted((one.lstrip("0"), other.lstrip("0")), key=len)
    return len(short) >= 8 and long.endswith(short) and len(long) - len(short) <= 3  # noqa: PLR2004 - a country code


def rivals(segment: Segment, fact: Fact) -> bool:
    """Whether the segment has another value that could stand in the fact's place."""
    return any(
        (kind is fact.kind and (unit == fact.unit or not unit))
        or (kind is FactKind.MONEY and fact.kind is FactKind.NUMBER and not fact.unit)
        for kind, _, unit in segment.facts
    )


def find_segment(
    clause: Clause, fact: Fact, segments: tuple[Segment, ...], weigh: Weights, currency: str
) -> tuple[Segment | None, bool]:
    """The segment that states the fact and fits the clause; else None, and whether the value stands elsewhere."""
    scored = [(fit(clause, each, weigh, without=fact.key), each) for each in segments]
    holding = [(score, each) for score, each in scored if states(each, fact, currency)]
    if not holding:
        return None, False
    score, best = max(holding, key=lambda pair: pair[0])
    if fact.kind in {FactKind.CODE, FactKind.LINK, FactKind.EMAIL, FactKind.PHONE}:
        return best, True  # it names its source by itself
    others = [
        value
        for value, each in scored
        if each.asserted is best.asserted and not states(each, fact, currency) and rivals(each, fact)
    ]
    top = max(value for value, each in scored if each.asserted is best.asserted)
    margin = _EPSILON if best.asserted else -_EPSILON
    fits = (
        score > _EPSILON
        and score >= (_MIN_FIT if best.asserted else _MIN_FIT_OF_PROPERTY) * top
        and all(score > value + margin for value in others)
    )
    return (best, True) if fits else (None, True)
