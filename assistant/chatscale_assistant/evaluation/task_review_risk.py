"""Suite `review-risk`: marked reviewers of a synthetic graph. No mark is used before the comparison."""

from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from chatscale_assistant.errors import SourceError
from chatscale_assistant.evaluation.intervals import auc
from chatscale_assistant.evaluation.measurement import Measurement
from chatscale_assistant.evaluation.task_baskets import Data
from chatscale_assistant.tasks.review_risk import risk_by_reviewer
from chatscale_assistant.tasks.reviews.table import Floats, ReviewTable, build_table

SUITE: Final = "review-risk"
MUST: Final = 0.88
AIM: Final = 0.93
_MARK: Final = "anomaly"


def run(data: Data, *, sample: int | None, seed: int) -> list[Measurement]:
    """The whole graph: a sample of reviewers would lose the groups, so `sample` and `seed` have no effect."""
    del sample, seed
    table, marked = read_graph(data("rgmining-synthetic-dataset"))
    risk = risk_by_reviewer(table)
    baseline = auc(*_sides(mean_deviation(table), marked))
    return [
        Measurement.of(
            SUITE,
            "AUC of marked reviewers",
            auc(*_sides(risk, marked)),
            baseline=baseline.value,
            baseline_name="mean deviation from the product's mean rating",
            must=MUST,
            aim=AIM,
            note=f"{int(marked.sum())} of {len(marked)} reviewers are marked; no training; the graph has no times and "
            "no texts, so bursts and copied texts do not count",
        )
    ]


def read_graph(folder: Path) -> tuple[ReviewTable, NDArray[np.bool_]]:
    """Ratings from 0 to 5, and for each reviewer whether it is marked."""
    file = next(iter(sorted(folder.rglob("review.dat"))), None)
    if file is None:
        raise SourceError(f"data set {folder.name}: expected a file review.dat, found none")
    names = dict(line.split() for line in (file.parent / "reviewer.dat").read_text(encoding="utf-8").splitlines())
    rows = [line.split() for line in file.read_text(encoding="utf-8").splitlines()]
    table = build_table(
        [row[0] for row in rows],
        [row[1] for row in rows],
        [float(row[2]) for row in rows],
        [None] * len(rows),
        lowest=0,
        highest=5,
    )
    return table, np.asarray([_MARK in names[reviewer] for reviewer in table.reviewers])


def mean_deviation(table: ReviewTable) -> Floats:
    """The baseline: each reviewer's mean distance from the mean rating of the product."""
    counts = np.bincount(table.product)
    means = np.bincount(table.product, table.rating) / np.maximum(counts, 1)
    return table.mean_by_reviewer(np.abs(table.rating - means[table.product]))


def _sides(scores: Floats, marked: NDArray[np.bool_]) -> tuple[list[float], list[float]]:
    return scores[marked].tolist(), scores[~marked].tolist()
