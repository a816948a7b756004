"""Task `review-risk`: how likely a reviewer's ratings are faked, with reasons a person can check.

The probability is a posterior: a prior share of faked reviewers, and a log likelihood ratio from each signal.  It uses
no marked examples.  It is a reason to look, not to punish: the result names the reviews that counted.
"""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Final, Self

import numpy as np
from pydantic import AwareDatetime, Field, model_validator

from chatscale.api.v1alpha1.shopassistant import Language
from chatscale_assistant.tasks.reviews.consensus import SUSPECT_SHARE, log_odds, probability
from chatscale_assistant.tasks.reviews.groups import find_groups
from chatscale_assistant.tasks.reviews.habits import burst, copied, extremes
from chatscale_assistant.tasks.reviews.table import Floats, ReviewTable, build_table
from chatscale_assistant.tasks.schema import (
    EvidenceItem,
    Identifier,
    LocalisedInput,
    Share,
    TaskModel,
    TaskResult,
    shown,
)

ENGINE: Final = "review-risk/1"
MAX_RATING: Final = 1_000_000
"""A larger end of the rating scale is a mistake in the input, and the width of the scale could overflow."""
MAX_REVIEWS: Final = 50_000
MAX_EVIDENCE: Final = 5
"""Reviews that are named for each reason."""
MIN_REASON: Final = 0.5
"""Log ratio from which a signal is a reason."""
_DAY_S: Final = 86_400


class Signal(StrEnum):
    """Why a reviewer is suspicious."""

    DEVIATION = "deviation"
    GROUP = "group"
    BURST = "burst"
    EXTREMES = "extremes"
    COPIED_TEXT = "copied_text"


ScaleEnd = Annotated[float, Field(ge=-MAX_RATING, le=MAX_RATING)]


class Review(TaskModel):
    """One review."""

    reviewer: Identifier
    product: Identifier
    rating: float = Field(description="On the scale of the shop.")
    at: AwareDatetime | None = Field(default=None, description="When it was written, with time zone.")
    text: str = Field(default="", max_length=20_000)


class ReviewRiskInput(LocalisedInput):
    """Reviews of a shop. The more reviews of other people there are, the more certain the result."""

    reviews: Annotated[tuple[Review, ...], Field(min_length=1, max_length=MAX_REVIEWS)]
    lowest_rating: ScaleEnd = Field(default=1, description="Lower end of the rating scale.")
    highest_rating: ScaleEnd = Field(default=5, description="Upper end of the rating scale.")
    limit: int = Field(default=100, ge=1, le=MAX_REVIEWS, description="Reviewers in the result, most suspicious first.")

    @model_validator(mode="after")
    def _on_scale(self) -> Self:
        if self.lowest_rating >= self.highest_rating:
            raise ValueError(
                f"expected lowest_rating below highest_rating, found {self.lowest_rating:g} and {self.highest_rating:g}"
            )
        for number, review in enumerate(self.reviews):
            if not self.lowest_rating <= review.rating <= self.highest_rating:
                raise ValueError(
                    f"reviews[{number}].rating: expected {self.lowest_rating:g} to {self.highest_rating:g}, "
                    f"found {shown(review.rating)}"
                )
        return self


class Reason(TaskModel):
    """One signal that counted against the reviewer."""

    signal: Signal
    strength: float = Field(description="Log likelihood ratio: 0.7 doubles the odds, 2.3 makes them tenfold.")
    text: str
    evidence: tuple[EvidenceItem, ...]


class ReviewerRisk(TaskModel):
    """One reviewer."""

    reviewer: str
    probability: Share = Field(description="That the ratings have nothing to do with the products.")
    reviews: int = Field(ge=1)
    reasons: tuple[Reason, ...] = Field(description="Strongest first; empty if nothing is suspicious.")


class ReviewRiskResult(TaskResult):
    """The most suspicious reviewers."""

    reviewers: tuple[ReviewerRisk, ...]
    checked: int = Field(ge=1, description="Reviewers that were compared.")


def assess_reviews(data: ReviewRiskInput) -> ReviewRiskResult:
    """Pure: the same reviews, the same result."""
    table = build_table(
        [each.reviewer for each in data.reviews],
        [each.product for each in data.reviews],
        [each.rating for each in data.reviews],
        [_day(each.at) for each in data.reviews],
        lowest=data.lowest_rating,
        highest=data.highest_rating,
    )
    assessment = _Assessment(table, data)
    order = np.argsort(-assessment.probability, kind="stable")[: data.limit]
    return ReviewRiskResult(
        engine=ENGINE,
        evidence=(EvidenceItem(source="reviews", value=f"{table.count} reviews of {len(table.products)} products"),),
        reviewers=tuple(assessment.reviewer(int(each)) for each in order),
        checked=len(table.reviewers),
    )


def risk_by_reviewer(table: ReviewTable) -> Floats:
    """Probability for each reviewer of the table from ratings and times alone."""
    groups = find_groups(table)
    totals, _, _ = log_odds(table, 1 / groups.size)
    return probability(totals + groups.log_ratio + burst(table)[0] + extremes(table)[0])


def _day(at: datetime | None) -> float | None:
    return None if at is None else at.timestamp() / _DAY_S


class _Assessment:
    """All signals of one table, and their explanation."""

    def __init__(self, table: ReviewTable, data: ReviewRiskInput) -> None:
        self._table = table
        self._data = data
        self._rows = table.reviews_of()
        self._groups = find_groups(table)
        deviation, self._quality, self._parts = log_odds(table, 1 / self._groups.size)
        burst_ratio, self._most = burst(table)
        extreme_ratio, self._share = extremes(table)
        copied_ratio, self._pairs = copied(table, [each.text for each in data.reviews])
        self._ratios = {
            Signal.DEVIATION: deviation,
            Signal.GROUP: self._groups.log_ratio,
            Signal.BURST: burst_ratio,
            Signal.EXTREMES: extreme_ratio,
            Signal.COPIED_TEXT: copied_ratio,
        }
        self.probability = probability(np.sum(list(self._ratios.values()), axis=0), SUSPECT_SHARE)

    def reviewer(self, number: int) -> ReviewerRisk:
        """Probability and reasons of one reviewer."""
        strengths = {signal: float(values[number]) for signal, values in self._ratios.items()}
        found = sorted((each for each in strengths if strengths[each] >= MIN_REASON), key=lambda each: -strengths[each])
        return ReviewerRisk(
            reviewer=self._table.reviewers[number],
            probability=round(float(self.probability[number]), 4),
            reviews=len(self._rows[number]),
            reasons=tuple(self._reason(number, signal, strengths[signal]) for signal in found),
        )

    def _reason(self, number: int, signal: Signal, strength: float) -> Reason:
        rows = self._rows[number]
        values: dict[str, object] = {"reviews": len(rows)}
        evidence: list[EvidenceItem] = []
        match signal:
            case Signal.DEVIATION:
                worst = rows[np.argsort(-self._parts[rows], kind="stable")][:MAX_EVIDENCE]
                gap = float(np.mean(np.abs(self._table.rating[rows] - self._quality[rows])))
                values["gap"] = f"{gap * (self._data.highest_rating - self._data.lowest_rating):.1f}"
                evidence = [self._rated(int(row)) for row in worst]
            case Signal.GROUP:
                members = np.flatnonzero(self._groups.label == self._groups.label[number])
                others = [self._table.reviewers[each] for each in members if each != number][:MAX_EVIDENCE]
                values["others"] = len(members) - 1
                evidence = [EvidenceItem(source="reviews.reviewer", value=each) for each in others]
            case Signal.BURST:
                values["most"] = int(self._most[number])
                evidence = [
                    EvidenceItem(source=f"reviews[{row}].at", value=str(self._data.reviews[row].at))
                    for row in sorted(rows.tolist(), key=lambda row: float(self._table.day[row]))[:MAX_EVIDENCE]
                ]
            case Signal.EXTREMES:
                values["percent"] = f"{100 * self._share[number]:.0f}"
                evidence = [self._rated(int(row)) for row in rows[:MAX_EVIDENCE]]
            case Signal.COPIED_TEXT:
                for row in self._pairs[number] or ():
                    evidence.append(
                        EvidenceItem(source=f"reviews[{row}].text", value=self._data.reviews[row].text[:200])
                    )
        text = _TEXTS[signal][self._data.language].format(**values)
        return Reason(signal=signal, strength=round(strength, 2), text=text, evidence=tuple(evidence))

    def _rated(self, row: int) -> EvidenceItem:
        span = self._data.highest_rating - self._data.lowest_rating
        others = self._data.lowest_rating + span * float(self._quality[row])
        return EvidenceItem(
            source=f"reviews[{row}].rating", value=f"{self._data.reviews[row].rating:g} (others: {others:.1f})"
        )


_TEXTS: Final = {
    Signal.DEVIATION: {
        Language.ENGLISH: "The {reviews} ratings are {gap} from what other reviewers give, on average.",
        Language.FRENCH: "Les {reviews} notes s'écartent en moyenne de {gap} de celles des autres clients.",
        Language.CHINESE: "这 {reviews} 个评分与其他评论者的评分平均相差 {gap}。",
    },
    Signal.GROUP: {
        Language.ENGLISH: "{others} other reviewers rate the same products in the same way.",
        Language.FRENCH: "{others} autres clients notent les mêmes produits de la même façon.",
        Language.CHINESE: "另有 {others} 位评论者对相同的商品给出了相同的评分。",
    },
    Signal.BURST: {
        Language.ENGLISH: "{most} of {reviews} reviews were written within one day.",
        Language.FRENCH: "{most} avis sur {reviews} ont été écrits en un jour.",
        Language.CHINESE: "{reviews} 条评论中有 {most} 条写于同一天之内。",
    },
    Signal.EXTREMES: {
        Language.ENGLISH: "{percent} % of {reviews} ratings are at the ends of the scale, more than usual in the shop.",
        Language.FRENCH: "{percent} % des {reviews} notes sont aux extrémités de l'échelle, plus que d'habitude.",
        Language.CHINESE: "{reviews} 个评分中有 {percent}% 是最高分或最低分，高于本店的平均水平。",
    },
    Signal.COPIED_TEXT: {
        Language.ENGLISH: "The same text stands in another review.",
        Language.FRENCH: "Le même texte figure dans un autre avis.",
        Language.CHINESE: "同样的文字也出现在另一条评论中。",
    },
}
