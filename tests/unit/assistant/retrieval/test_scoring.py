"""The order of passages, and what its numbers mean."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatscale_assistant.retrieval.scoring import (
    MOST_COVERED,
    THRESHOLD,
    Background,
    Nearby,
    adjusted,
    confidence,
    covered,
    measure_background,
    rank,
    strong_bm25,
)

E5 = Background(0.78, 0.02)
USE = Background(0.09, 0.03)


def test_encoders_with_different_scales_weigh_the_same():
    squeezed = Nearby({1: 0.84, 2: 0.80}, E5)
    wide = Nearby({1: 0.12, 2: 0.21}, USE)

    first, second = rank({}, [squeezed, wide], {})

    # 3 + 1 standard scores for passage 1, 1 + 4 for passage 2.
    assert (first.passage, second.passage) == (2, 1)


def test_a_lexical_match_decides_between_similar_passages():
    nearby = [Nearby({1: 0.90, 2: 0.89}, E5)]

    assert [each.passage for each in rank({2: 9.0}, nearby, {})] == [2, 1]


def test_one_weak_common_word_decides_little():
    nearby = [Nearby({1: 0.84, 2: 0.78}, E5)]

    assert [each.passage for each in rank({2: 0.5}, nearby, {})] == [1, 2]


def test_promise_13_unrelated_questions_have_low_confidence_in_every_corpus():
    for background in (E5, USE):
        (found,) = rank({}, [Nearby({1: background.mean}, background)], {})
        assert found.confidence < 0.1


def test_a_passage_that_is_not_embedded_yet_is_found_by_its_words():
    nearby = [Nearby({1: 0.80, 2: 0.79}, E5, missing=frozenset({3}))]

    found = rank({3: 9.0, 1: 1.0}, nearby, {3: 1.0})

    assert found[0].passage == 3
    assert found[0].confidence > 0.9


def test_without_vectors_the_share_of_the_question_decides():
    whole, half, little = rank({1: 9.0, 2: 8.0, 3: 7.0}, [], {1: 1.0, 2: 0.3, 3: 0.1})

    assert (whole.passage, half.passage, little.passage) == (1, 2, 3)
    assert whole.confidence > 0.9
    assert little.confidence < 0.5


def test_promise_13_a_shop_word_that_the_best_passage_lacks_lowers_the_answerable_share():
    (best,) = rank({}, [Nearby({1: 0.825}, E5)], {})

    assert adjusted(best, 0, 0).confidence == best.confidence > 0.5
    assert adjusted(best, 0, 1).confidence < 0.5
    assert adjusted(best, 9, 0) == adjusted(best, MOST_COVERED, 0)


def test_a_word_that_only_one_passage_of_a_small_shop_has_counts_as_much_as_in_a_large_one():
    (small,) = rank({1: 4.0}, [Nearby({1: E5.mean}, E5)], {}, strong=strong_bm25(8))
    (large,) = rank({1: 8.0}, [Nearby({1: E5.mean}, E5)], {}, strong=strong_bm25(10_000))

    assert small.total == pytest.approx(large.total)


def test_an_encoder_that_does_not_know_the_word_does_not_outvote_the_words():
    (found,) = rank({1: 8.0}, [Nearby({1: E5.mean - 0.1}, E5)], {})

    assert found.total == pytest.approx(3.0)


@given(
    st.dictionaries(st.integers(0, 9), st.floats(0, 50)),
    st.dictionaries(st.integers(0, 9), st.floats(-1, 1)),
)
def test_confidence_falls_along_the_order_and_stays_between_0_and_1(lexical, similarities):
    found = [each.confidence for each in rank(lexical, [Nearby(similarities, USE)], {})]

    assert found == sorted(found, reverse=True)
    assert all(0 <= each <= 1 for each in found)
    assert len(found) == len(set(lexical) | set(similarities))


def test_a_background_has_a_smallest_spread_and_two_questions():
    assert measure_background([0.8, 0.8]) == Background(0.8, 0.005)
    with pytest.raises(ValueError, match="expected at least 2 similarities, found 1"):
        measure_background([0.8])


def test_coverage_weighs_rare_terms():
    concepts = [(["kettle", "水壶"], 3.0), (["black"], 1.0)]

    assert covered(concepts, frozenset({"水壶"})) == pytest.approx(0.75)
    assert covered(concepts, frozenset()) == 0
    assert covered([], frozenset({"a"})) == 0


def test_confidence_is_a_half_at_the_threshold():
    assert confidence(THRESHOLD) == pytest.approx(0.5)
    assert confidence(1e9) == pytest.approx(1)
    assert confidence(-1e9) == pytest.approx(0)
