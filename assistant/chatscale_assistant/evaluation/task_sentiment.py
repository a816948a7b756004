"""Suite `sentiment`, and the training of the packaged head.

Every text belongs to one of five folds by the hash of its text.  A text is judged by the head that was trained without
its fold; those heads are in `sentiment_folds.json`.  The head of the package is trained in the same way on all folds
and is not measured.  `hack/sentiment_head.py` writes both files.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from chatscale.api.v1alpha1.shopassistant import Language
from chatscale_assistant.domain.interfaces import Encoder
from chatscale_assistant.encoders.e5 import E5
from chatscale_assistant.errors import SourceError
from chatscale_assistant.evaluation.datasets import cache_folder
from chatscale_assistant.evaluation.intervals import share
from chatscale_assistant.evaluation.measurement import Measurement
from chatscale_assistant.evaluation.task_reviews import Data, LabelledReviews, embeddings, labelled_reviews
from chatscale_assistant.tasks.sentiment_head import SentimentHead, head_from_json

SUITE: Final = "sentiment"
FOLDS: Final = 5
DEFAULT_SAMPLE: Final = 1000
"""Texts of a language: embedding takes 40 to 200 ms of CPU for each, once."""
MUST: Final = {Language.ENGLISH: 0.92, Language.CHINESE: 0.81, Language.FRENCH: 0.83}
AIM: Final = {Language.ENGLISH: 0.93, Language.CHINESE: 0.85, Language.FRENCH: 0.87}
L2: Final = 1.0
WEIGHT: Final = {Language.ENGLISH: 1000.0, Language.CHINESE: 1000.0, Language.FRENCH: 3000.0}
"""Of a language in training. French is the hardest: its weight was chosen of 1,000 and 3,000 by held-out folds."""
_STEPS: Final = 12
_FOLDS_FILE: Final = "sentiment_folds.json"

Vectors = NDArray[np.float32]
Marks = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Training:
    """Marked vectors of all languages."""

    vectors: Vectors
    positive: Marks
    fold: NDArray[np.int64]
    weight: NDArray[np.float64]
    """Of each text; those of a language add up to its `WEIGHT`."""


def run(data: Data, *, sample: int | None, seed: int) -> list[Measurement]:
    """At most `sample` texts of each language, `DEFAULT_SAMPLE` for None."""
    encoder = E5()
    return [
        measure(data, labelled_reviews(data, language).sample(sample or DEFAULT_SAMPLE, seed), encoder)
        for language in Language
    ]


def measure(data: Data, reviews: LabelledReviews, encoder: Encoder) -> Measurement:
    """Share of texts whose tone the head of the other folds has right."""
    vectors = embeddings(encoder, reviews.texts, cache_folder().parent / "embeddings")
    right = correct(vectors, reviews, fold_heads())
    other = other_head(data("sentimentai-py"), vectors) == reviews.positive
    return Measurement.of(
        SUITE,
        "share of reviews with the right tone",
        share(right.tolist()),
        language=reviews.language.value,
        baseline=float(other.mean()),
        baseline_name="packaged head of sentimentai-py 2.0.0",
        must=MUST[reviews.language],
        aim=AIM[reviews.language],
        note=f"held-out folds of {FOLDS}; {float(reviews.positive.mean()):.0%} positive",
    )


def correct(vectors: Vectors, reviews: LabelledReviews, heads: Sequence[SentimentHead]) -> Marks:
    """For each text: whether the head that was trained without its fold is right."""
    fold = np.asarray([fold_of(text) for text in reviews.texts])
    positive = np.zeros(len(fold), dtype=np.bool_)
    for number, head in enumerate(heads):
        rows = fold == number
        positive[rows] = head.positive(vectors[rows]) >= 0.5  # noqa: PLR2004 - more likely positive
    right: Marks = positive == reviews.positive
    return right


def fold_of(text: str) -> int:
    """The fold of a text, the same in every run and every sample."""
    return hashlib.sha256(text.encode("utf-8", "replace")).digest()[0] % FOLDS


@cache
def fold_heads() -> tuple[SentimentHead, ...]:
    """Head `i` was trained without fold `i`."""
    data = json.loads(files(__package__).joinpath(_FOLDS_FILE).read_text(encoding="utf-8"))
    return tuple(head_from_json(each) for each in data["heads"])


def training_set(parts: Sequence[tuple[LabelledReviews, Vectors]]) -> Training:
    """All languages together."""
    return Training(
        vectors=np.concatenate([vectors for _, vectors in parts]),
        positive=np.concatenate([reviews.positive for reviews, _ in parts]),
        fold=np.asarray([fold_of(text) for reviews, _ in parts for text in reviews.texts]),
        weight=np.concatenate(
            [np.full(len(vectors), WEIGHT[reviews.language] / len(vectors)) for reviews, vectors in parts]
        ),
    )


def train(training: Training, *, without_fold: int | None, encoder: str, l2: float = L2) -> SentimentHead:
    """Logistic regression by Newton's method, with an L2 penalty; deterministic."""
    kept = np.ones(len(training.fold), dtype=np.bool_) if without_fold is None else training.fold != without_fold
    weight = training.weight[kept]
    centre = np.average(training.vectors[kept], axis=0, weights=weight)
    features = np.concatenate([training.vectors[kept] - centre, np.ones((int(kept.sum()), 1))], axis=1)
    features = features.astype(np.float64)
    target = training.positive[kept].astype(np.float64)
    penalty = np.full(features.shape[1], l2)
    penalty[-1] = 0
    beta = np.zeros(features.shape[1])
    for _ in range(_STEPS):
        probability = 1 / (1 + np.exp(-features @ beta))
        gradient = features.T @ (weight * (probability - target)) + penalty * beta
        curvature = weight * np.maximum(probability * (1 - probability), 1e-6)
        hessian = (features.T * curvature) @ features + np.diag(penalty + 1e-9)
        beta -= np.linalg.solve(hessian, gradient)
    name = "logistic-head/1" if without_fold is None else f"logistic-head/1 without fold {without_fold}"
    return SentimentHead(name, encoder, centre.astype(np.float32), beta[:-1].astype(np.float32), float(beta[-1]))


def other_head(folder: Path, vectors: Vectors) -> Marks:
    """The baseline: whether the head of sentimentai-py gives positive a higher score than negative."""
    file = next(iter(sorted(folder.rglob("scoring/logistic/2.0/e5-small.json"))), None)
    if file is None:
        raise SourceError(f"data set {folder.name}: expected a file scoring/logistic/2.0/e5-small.json, found none")
    head: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    logits = vectors @ np.asarray(head["coef"]).T + np.asarray(head["intercept"])
    classes = head["classes"]
    result: Marks = logits[:, classes.index(1)] > logits[:, classes.index(-1)]
    return result
