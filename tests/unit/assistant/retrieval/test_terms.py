# ruff: noqa: RUF001 - Chinese punctuation
"""Words and characters become terms that are found in any of three languages."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatscale_assistant.retrieval.glossary import concepts
from chatscale_assistant.retrieval.spelling import corrected
from chatscale_assistant.retrieval.terms import MAX_QUESTION_TERMS, content_terms, match_any, terms


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("Crème brûlée, ÉTÉ!", ["creme", "brulee", "ete"], id="accents and case"),
        pytest.param("watches boxes berries shoes bus", ["watch", "box", "berry", "shoe", "bus"], id="plurals"),
        pytest.param("蓝牙音箱", ["蓝牙", "牙音", "音箱"], id="pairs of characters"),
        pytest.param("买iPhone手机", ["买", "iphone", "手机"], id="mixed scripts"),
        pytest.param("ＡＢＣ １２３", ["abc", "123"], id="full width"),
        pytest.param("茶", ["茶"], id="one character"),
        pytest.param("#W123-45", ["w123", "45"], id="codes"),
        pytest.param("!?", [], id="nothing"),
    ],
)
def test_text_becomes_terms(text, expected):
    assert terms(text) == expected


def test_common_words_of_three_languages_are_no_content():
    assert content_terms("Do you have the red kettle?") == ["red", "kettle"]
    assert content_terms("est-ce que vous avez la bouilloire") == ["bouilloire"]
    assert content_terms("你的水壶") == ["的水", "水壶"]


@given(st.text())
def test_any_text_becomes_a_bounded_valid_expression(text):
    found = content_terms(text)

    assert len(found) <= MAX_QUESTION_TERMS
    assert match_any(found).count('"') == 2 * len(found)


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        pytest.param("有没有电热水壶？", "kettle", id="chinese"),
        pytest.param("Vous vendez des bouilloires électriques ?", "kettle", id="french plural"),
        pytest.param("une gourde en inox", "bottle", id="french"),
        pytest.param("do you sell a rucksack", "backpack", id="english synonym"),
        pytest.param("wireless kettle", "水壶", id="english to chinese"),
    ],
)
def test_shop_words_get_the_words_of_the_other_languages(question, expected):
    assert expected in {term for group in concepts(question) for term in group}


def test_the_longest_shop_word_is_taken():
    french = {term for group in concepts("un casque de vélo") for term in group}

    assert "helmet" in french
    assert "headphone" not in french


@given(st.text())
def test_any_question_has_concepts(text):
    assert all(group for group in concepts(text))


@pytest.mark.parametrize(
    ("question", "topic"),
    [
        pytest.param("do you do gift wrapping", "wrapping", id="english"),
        pytest.param("vous réparez les appareils", "repair", id="french"),
        pytest.param("寄加拿大要交关税吗", "custom", id="chinese"),
        pytest.param("vous avez un programme de fidélité", "loyalty", id="french without an english word"),
    ],
)
def test_promise_13_a_question_about_a_topic_needs_a_passage_with_a_word_of_it(question, topic):
    assert any(topic in group for group in concepts(question))


def test_the_common_word_of_a_topic_is_no_sign_of_it():
    (topic,) = [group for group in concepts("can you gift wrap it") if "wrap" in group]

    assert "gift" not in topic


@pytest.mark.parametrize(
    ("misspelled", "correct"),
    [
        pytest.param("retrun policy", "return policy", id="two letters swapped"),
        pytest.param("refnud", "refund", id="swapped in a short word"),
        pytest.param("delivry cost", "delivery cost", id="missing letter"),
        pytest.param("remboursemnt", "remboursement", id="french"),
        pytest.param("echange et numero de telephone", "échange et numéro de téléphone", id="without accents"),
    ],
)
def test_a_misspelled_shop_word_counts_as_the_correct_one(misspelled, correct):
    assert concepts(misspelled) == concepts(correct) != []


def test_short_and_far_words_are_not_corrected():
    assert concepts("shoos") == concepts("sable") == concepts("retzzrn") == []


@given(st.text())
def test_any_word_is_corrected_to_itself_or_a_word_of_the_vocabulary(word):
    assert corrected(word, {"return", "refund"}) in {word, "return", "refund"}
