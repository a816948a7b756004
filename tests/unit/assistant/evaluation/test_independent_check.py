import pytest

from chatscale_assistant.evaluation.independent_check import unsupported


@pytest.mark.parametrize(
    ("answer", "evidence", "expected"),
    [
        pytest.param("It costs $1,234.50.", "price: 1234.5", [], id="english-grouping"),
        pytest.param("Il coûte 1 234,50 $.", "price: 1234.50", [], id="french-grouping"),
        pytest.param("Refund in 5 to 7 business days.", "in 5 to 7 business days", [], id="two-numbers"),
        pytest.param("Refund in 24 hours.", "in 5 to 7 business days", ["number 24"], id="invented-hours"),
        pytest.param("within thirty days", "a return takes 24 hours", ["number 30"], id="number-in-words"),
        pytest.param("sous trente jours", "30 days", [], id="french-words-against-digits"),
        pytest.param("三十天内退货", "30 days", [], id="chinese-words-against-digits"),
        pytest.param("二十五天", "30 days", ["number 25"], id="chinese-invented"),
        pytest.param("three types of payment", "There are three types", [], id="no-unit-in-the-evidence"),
        pytest.param("one of our agents", "nothing", [], id="a-pronoun-is-no-number"),
        pytest.param("see https://x.example/a.", "nothing", ["link https://x.example/a"], id="link"),
        pytest.param("code SAVE25OFF", "nothing", ["code save25off"], id="code"),
        pytest.param("1. first\n2. second", "nothing", [], id="list-marks"),
        pytest.param("Prices: 46.66, 54.84 and 5", "46.66 54.84", ["number 5"], id="a-list-of-prices"),
        pytest.param("sizes 8, 9, 10", "size: 10, 8, 9", [], id="a-list-of-sizes"),
    ],
)
def test_finds_what_the_evidence_does_not_have(answer, evidence, expected):
    assert unsupported(answer, [evidence]) == expected


def test_an_order_number_of_the_customer_may_be_repeated_and_no_other():
    question = "where is #W2378156"
    assert unsupported("#W2378156 is on its way", [], question) == []
    assert unsupported("#W2378157 is on its way", [], question) == ["code #w2378157"]
