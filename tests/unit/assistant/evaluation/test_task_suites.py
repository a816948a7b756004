"""The suites of tasks on small tables; the real data sets are measured by `chatscale evaluate`."""

import numpy as np
import pytest

from chatscale.api.v1alpha1.shopassistant import Language
from chatscale_assistant.evaluation.task_baskets import Lines
from chatscale_assistant.evaluation.task_demand import WEEKS, held_out_errors, lower_error, weekly_units
from chatscale_assistant.evaluation.task_recommend import rank, split_lines
from chatscale_assistant.evaluation.task_reviews import LabelledReviews
from chatscale_assistant.evaluation.task_sentiment import FOLDS, correct, fold_of, train, training_set

RNG = np.random.default_rng(4)


def test_judges_no_text_by_a_head_that_was_trained_with_it():
    texts = tuple(f"text {number}" for number in range(400))
    positive = RNG.random(400) < 0.5
    vectors = RNG.normal(size=(400, 60)).astype(np.float32)
    reviews = LabelledReviews(Language.ENGLISH, texts, positive)
    training = training_set([(reviews, vectors)])
    heads = [train(training, without_fold=fold, encoder="e", l2=0.01) for fold in range(FOLDS)]
    # Marks are random: a head that had seen the texts would be right far more often.
    assert correct(vectors, reviews, heads).mean() < 0.6
    leaky = train(training, without_fold=None, encoder="e", l2=0.01)
    assert correct(vectors, reviews, [leaky] * FOLDS).mean() > 0.6


def test_a_text_has_the_same_fold_in_every_sample():
    assert {fold_of(f"text {number}") for number in range(100)} == set(range(FOLDS))
    assert fold_of("好") == fold_of("好")


def test_learns_what_separates_the_marks():
    positive = RNG.random(300) < 0.5
    vectors = RNG.normal(size=(300, 10)).astype(np.float32)
    vectors[:, 3] += 4 * positive
    reviews = LabelledReviews(Language.FRENCH, tuple(map(str, range(300))), positive)
    training = training_set([(reviews, vectors)])
    heads = [train(training, without_fold=fold, encoder="e") for fold in range(FOLDS)]
    assert correct(vectors, reviews, heads).mean() > 0.95


def test_ranks_by_hit_and_discounted_gain():
    scores = np.asarray([[*range(20, 0, -1)], [*range(20)]], dtype=float)
    relevant = np.zeros((2, 20), dtype=bool)
    relevant[0, [0, 2]] = True
    relevant[1, 0] = True
    found = rank(scores, relevant)
    assert found.hit.tolist() == [1, 0]
    assert found.ndcg == pytest.approx([(1 + 0.5) / (1 + 1 / np.log2(3)), 0])


def lines(rows):
    columns = list(zip(*rows, strict=True))
    return Lines(
        household=np.asarray(columns[0]),
        product=np.asarray(columns[1]),
        quantity=np.asarray(columns[2], dtype=float),
        week=np.asarray(columns[3]),
        day=np.asarray(columns[3], dtype=float) * 7,
    )


def test_fits_recommendations_on_the_lines_before_the_split_alone():
    before = [(household, product, 1, week) for week in range(1, 6) for household in range(30) for product in (1, 2)]
    after = [(household, 99 if household < 5 else 1, 1, 20) for household in range(40)]  # the last ten are new
    split = split_lines(lines([*before, *after]))
    assert split.recommender.purchases.items == ("1", "2")
    assert split.households.tolist() == list(range(5, 30))
    assert split.bought_later.sum() == 25


def test_forecasts_each_test_week_from_the_weeks_before_it():
    weeks = np.ones((3, WEEKS))
    weeks[:, -1] = 100
    errors, naive = held_out_errors(weeks)
    assert errors.tolist() == naive.tolist() == [99 / 5] * 3
    assert lower_error(errors, naive).value == 0


def test_leaves_out_items_that_are_sold_by_volume():
    rows = [(household, 1, 2, week) for household in range(3) for week in range(1, 53)]
    rows += [(1, 7, 5000, 3), (1, 1, 1, 53)]
    units = weekly_units(lines(rows), before=47)
    assert units.shape == (1, WEEKS)
    assert set(units[0].tolist()) == {6}
