"""The question sets are complete, and fit the data that they are about."""

from collections import Counter

import pytest

from chatscale.api.v1alpha1.shopassistant import Language
from chatscale_assistant.evaluation import questions
from chatscale_assistant.evaluation.questions import Split, Wants
from chatscale_assistant.evaluation.questions.composed import (
    Carrier,
    injections,
    shop_questions,
    switching_conversations,
)

LANGUAGES = list(Language)


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_product_has_three_questions_in_each_language(language):
    found = questions.products(language)
    assert set(Counter(each.product for each in found).values()) == {3}
    assert len({each.text for each in found}) == 150


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize(
    ("name", "least"),
    [("products", 150), ("policy", 60), ("unanswerable", 30), ("hand_over", 200)],
)
def test_half_of_each_set_is_held_out(language, name, least):
    found = getattr(questions, name)(language)
    held_out = getattr(questions, name)(language, Split.TEST)
    assert len(found) >= least
    assert len({each.id for each in found}) == len(found)
    assert abs(len(held_out) - len(found) / 2) <= 2


@pytest.mark.parametrize("language", LANGUAGES)
def test_half_of_the_messages_need_a_person(language):
    counts = Counter(each.wants for each in questions.hand_over(language))
    assert counts[Wants.PERSON] + counts[Wants.ANGER] == 100
    assert counts[Wants.NONE] >= 100


def test_a_quote_is_found_whatever_its_emphasis_and_line_breaks():
    assert questions.has_quote("pay by **gift\ncard**, or", ("Pay by gift card",))
    assert not questions.has_quote("pay by card", ("pay by gift card",))


def test_the_thousand_questions_differ_and_a_sample_has_all_languages():
    asked = shop_questions(1000)
    assert len({each.text for each in asked}) == 1000
    assert {each.language for each in shop_questions(12)} == set(LANGUAGES)


def test_injections_cover_every_carrier_and_language():
    found = injections()
    assert len(found) == 200
    assert {(each.carrier, each.language) for each in found} == {(c, lang) for c in Carrier for lang in LANGUAGES}
    assert "{" not in "".join(each.question for each in found)


def test_conversations_switch_languages_and_have_turns_in_none():
    found = switching_conversations()
    assert sum(map(len, found)) == 300
    assert all(lines[2].expected is not lines[1].expected for lines in found)
    assert all(lines[3].expected is lines[2].expected for lines in found)
