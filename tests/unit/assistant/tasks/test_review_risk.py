from itertools import product
from random import Random

import numpy as np
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st
from pydantic import ValidationError

from chatscale_assistant.tasks.review_risk import ReviewRiskInput, assess_reviews, risk_by_reviewer
from chatscale_assistant.tasks.reviews.groups import find_groups
from chatscale_assistant.tasks.reviews.table import build_table

HONEST = [
    {"reviewer": f"honest{person}", "product": f"p{item}", "rating": 4 + 0.5 * ((person + item) % 2)}
    for person, item in product(range(20), range(7))
]


def assess(reviews, **fields):
    result = assess_reviews(ReviewRiskInput.model_validate({"reviews": reviews, **fields}))
    return {each.reviewer: each for each in result.reviewers}


def table(rows):
    return build_table(
        [row[0] for row in rows],
        [row[1] for row in rows],
        [row[2] for row in rows],
        [None] * len(rows),
        lowest=1,
        highest=5,
    )


def test_finds_a_reviewer_whose_ratings_have_nothing_to_do_with_the_products():
    bad = [{"reviewer": "bad", "product": f"p{item}", "rating": 1} for item in range(4)]
    found = assess(HONEST + bad)
    assert next(iter(found)) == "bad"
    assert found["bad"].probability > 0.95
    assert [reason.signal for reason in found["bad"].reasons] == ["deviation"]
    assert found["bad"].reasons[0].evidence[0].source == "reviews[140].rating"
    assert found["bad"].reasons[0].evidence[0].value.startswith("1 (others: 4.")
    assert max(each.probability for name, each in found.items() if name != "bad") < 0.05


def test_does_not_suspect_anyone_on_products_that_people_disagree_about():
    random = Random(3)
    reviews = [
        {"reviewer": f"r{person}", "product": f"p{item}", "rating": random.choice([1, 5])}
        for person, item in product(range(40), range(5))
    ]
    assert max(each.probability for each in assess(reviews).values()) < 0.3


def test_a_group_cannot_make_itself_the_consensus():
    group = [
        {"reviewer": f"member{person}", "product": item, "rating": 1} for person in range(4) for item in ("x", "y")
    ]
    others = [{"reviewer": f"honest{person}", "product": "xyxy"[person], "rating": 5} for person in range(4)]
    found = assess(HONEST + group + others)
    assert min(found[f"member{person}"].probability for person in range(4)) > max(
        found[f"honest{person}"].probability for person in range(4)
    )


def test_names_the_group_of_a_reviewer():
    random = Random(5)
    reviews = [
        {"reviewer": f"honest{person}", "product": f"p{item}", "rating": random.choice([3.5, 4, 4.5])}
        for person in range(60)
        for item in random.sample(range(60), 4)
    ]
    reviews += [
        {"reviewer": f"m{person}", "product": f"p{item}", "rating": 4} for person in range(3) for item in range(5)
    ]
    reasons = assess(reviews)["m1"].reasons
    assert [(each.signal, each.text) for each in reasons] == [
        ("group", "2 other reviewers rate the same products in the same way.")
    ]
    assert [item.value for item in reasons[0].evidence] == ["m0", "m2"]


def test_honest_people_who_share_a_popular_product_are_no_group():
    rows = [(f"r{person}", "bestseller", 5.0) for person in range(100)]
    rows += [(f"r{person}", f"own{person}", 4.0) for person in range(100)]
    assert set(find_groups(table(rows)).size.tolist()) == {1}


def test_names_a_burst_and_a_copied_text():
    bad = [
        {
            "reviewer": "bot",
            "product": f"p{item}",
            "rating": 4.5,
            "at": f"2026-05-01T0{item}:00:00Z",
            "text": "Best product ever, buy it now!",
        }
        for item in range(6)
    ]
    dated = [each | {"at": f"2026-0{1 + number % 9}-10T00:00:00Z"} for number, each in enumerate(HONEST)]
    found = assess(dated + bad)
    assert {reason.signal for reason in found["bot"].reasons} >= {"burst", "copied_text"}
    assert next(iter(found)) == "bot"


@pytest.mark.parametrize(("language", "text"), [("en", "The 4 ratings"), ("fr", "Les 4 notes"), ("zh", "这 4 个评分")])
def test_explains_in_the_language_of_the_request(language, text):
    bad = [{"reviewer": "bad", "product": f"p{item}", "rating": 1} for item in range(4)]
    assert assess(HONEST + bad, language=language)["bad"].reasons[0].text.startswith(text)


def test_one_review_is_no_reason():
    found = assess([{"reviewer": "only", "product": "p", "rating": 1}])
    assert found["only"].probability < 0.2


def test_the_order_of_reviews_does_not_matter():
    reviews = [*HONEST, *({"reviewer": "bad", "product": f"p{item}", "rating": 1} for item in range(4))]
    forward, backward = assess(reviews), assess(list(reversed(reviews)))
    assert {name: each.probability for name, each in forward.items()} == pytest.approx(
        {name: each.probability for name, each in backward.items()}, abs=1e-6
    )


def test_probabilities_are_finite_for_extreme_tables():
    rows = [(f"r{number % 3}", f"p{number % 2}", 1.0 + 4 * (number % 2)) for number in range(2000)]
    risk = risk_by_reviewer(table(rows))
    assert np.all((risk >= 0) & (risk <= 1))


@pytest.mark.parametrize("ends", [(-1e308, 1e308), (0, 1e7), (-1e7, 0)])
def test_refuses_a_scale_that_no_shop_has(ends):
    lowest, highest = ends
    with pytest.raises(ValidationError, match="1000000"):
        assess([{"reviewer": "a", "product": "p", "rating": 0}], lowest_rating=lowest, highest_rating=highest)


@given(
    lowest=st.floats(-1e6, 1e6),
    highest=st.floats(-1e6, 1e6),
    rows=st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("pq"), st.booleans()), min_size=1, max_size=12),
)
@example(lowest=0.0, highest=5e-324, rows=[("a", "p", True), ("b", "p", False)])
@example(lowest=1.0, highest=1 + 2**-52, rows=[("a", "p", True), ("b", "p", False)])
def test_every_scale_gives_probabilities(lowest, highest, rows):
    assume(lowest < highest)
    reviews = [
        {"reviewer": reviewer, "product": product, "rating": highest if best else lowest}
        for reviewer, product, best in rows
    ]
    found = assess(reviews, lowest_rating=lowest, highest_rating=highest)
    assert all(0 <= each.probability <= 1 for each in found.values())
