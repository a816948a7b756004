"""#13 and #15: no source, no sentence; nothing that the sources do not say."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatscale.api.v1alpha1.shopassistant import KnowledgeKind, Language
from chatscale_assistant.domain.evidence import Chunk, ToolCall, ToolResult
from chatscale_assistant.grounding import Reason, check_sentences

EN, FR, ZH = Language.ENGLISH, Language.FRENCH, Language.CHINESE


def chunk(title, text):
    return Chunk("0" * 16, "policies", KnowledgeKind.DOCUMENTS, title, text, "1")


def result(tool, data, *, receipt=""):
    return ToolResult(ToolCall("orders", tool, {}), data, str(data), datetime(2026, 3, 1, tzinfo=UTC), receipt=receipt)


POLICY = (
    chunk("Returns", "Shoes can be returned within 30 days of delivery. They must be unworn. Sale items cannot be returned."),
    chunk("Electronics", "Electronics can be returned within 14 days. A refund takes 5 to 7 business days. Call us within 24 hours if the device is damaged."),
    chunk("Shipping", "Standard shipping costs $4.99 and takes 3 to 5 business days. Orders over $50.00 ship free."),
)  # fmt: skip


def reason(sentence, language=EN, evidence=POLICY, **options):
    return check_sentences([sentence], evidence, language, **options)[0].reason


@pytest.mark.parametrize(
    ("sentence", "language"),
    [
        ("You can return shoes within 30 days.", EN), ("Vous pouvez retourner les chaussures sous 30 jours.", FR), ("鞋子可以在三十天内退货。", ZH),
        ("退款需要5至7个工作日。", ZH), ("Standard shipping costs $4.99.", EN), ("标准运费为4.99美元，需要3到5个工作日。", ZH),
        ("La livraison standard coûte 4,99 $ et prend 3 à 5 jours ouvrés.", FR), ("Sale items cannot be returned.", EN),
    ],
)  # fmt: skip
def test_true_sentences_pass_in_another_language_too(sentence, language):
    assert reason(sentence, language) is Reason.SUPPORTED


@pytest.mark.parametrize(
    ("sentence", "language", "expected"),
    [
        ("You can return shoes within 24 hours.", EN, Reason.OTHER_SUBJECT), ("You can return shoes within 14 days.", EN, Reason.OTHER_SUBJECT),
        ("鞋子可以在14天内退货。", ZH, Reason.OTHER_SUBJECT), ("Vous pouvez retourner les chaussures sous 14 jours.", FR, Reason.OTHER_SUBJECT),
        ("You can return shoes within 31 days.", EN, Reason.WRONG_DURATION), ("退款需要5至7天。", ZH, Reason.WRONG_DURATION),
        ("Standard shipping costs €4.99.", EN, Reason.WRONG_MONEY), ("Shoes cannot be returned within 30 days.", EN, Reason.NEGATION),
        ("Yes, sale items can be returned.", EN, Reason.NEGATION), ("Standard shipping is free.", EN, Reason.PROMISE),
        ("I have cancelled your order.", EN, Reason.ACTION), ("我已为您取消订单。", ZH, Reason.ACTION), ("J'ai annulé votre commande.", FR, Reason.ACTION),
        ("See https://evil.example for returns of shoes.", EN, Reason.WRONG_LINK), ("Use the code SAVE20 for shipping.", EN, Reason.WRONG_CODE),
        ("Write to help@evil.example for a refund.", EN, Reason.WRONG_EMAIL),
    ],
)  # fmt: skip
def test_a_value_that_stands_elsewhere_or_nowhere_is_stopped(sentence, language, expected):
    assert reason(sentence, language) is expected


def test_without_sources_nothing_but_courtesy_passes():
    sentences = [
        "You can return shoes within 30 days.",
        "Shoes are returnable.",
        "Let me know if you have any other questions!",
    ]
    assert [check.supported for check in check_sentences(sentences, (), EN)] == [False, False, True]


@pytest.mark.parametrize(
    "sentence",
    [
        "Our shop was founded by penguins.",
        "Yes, we sell umbrellas.",
        "是的，我们有雨伞。",
        "Oui, nous vendons des parapluies.",
    ],
)
def test_claims_without_a_source_are_stopped(sentence):
    assert not check_sentences([sentence], POLICY, EN)[0].supported


ORDER = result("get_order_details", {
    "order_id": "#W1234567", "status": "delivered",
    "items": [{"name": "Water Bottle", "item_id": "6469567736", "price": 47.84}, {"name": "Office Chair", "item_id": "8426249116", "price": 488.81}],
})  # fmt: skip


@pytest.mark.parametrize(
    ("sentence", "supported"),
    [
        ("The Water Bottle costs 47.84.", True), ("The Water Bottle costs 488.81.", False), ("Order #W1234567 is delivered.", True),
        ("Order #W1234567 is pending.", False), ("Order #W1234568 is delivered.", False), ("The Office Chair costs $488.81.", False),
    ],
)  # fmt: skip
def test_a_price_belongs_to_its_own_item(sentence, supported):
    assert check_sentences([sentence], (ORDER,), EN)[0].supported is supported


def test_the_shops_currency_may_be_added():
    assert reason("The Office Chair costs $488.81.", evidence=(ORDER,), currency="USD") is Reason.SUPPORTED


def test_a_done_action_needs_its_receipt():
    done = result("cancel_pending_order", {"order_id": "#W1234567", "status": "cancelled"}, receipt="key")
    assert reason("I have cancelled your order #W1234567.", evidence=(done,)) is Reason.SUPPORTED
    assert reason("I have returned your order #W1234567.", evidence=(done,)) is Reason.ACTION


def test_an_encoder_can_vouch_for_the_subject_but_not_for_a_number():
    assert (
        reason("Footwear goes back to us.", similarity=lambda _, text: 0.9 if "Shoes" in text else 0.0)
        is Reason.SUPPORTED
    )
    assert not check_sentences(["Footwear goes back within 29 days."], POLICY, EN, similarity=lambda *_: 1.0)[
        0
    ].supported


@given(st.integers(min_value=1, max_value=400))
def test_no_other_number_of_days_passes(days):
    assert check_sentences([f"You can return shoes within {days} days."], POLICY, EN)[0].supported is (days == 30)


@given(st.text(max_size=200), st.sampled_from(list(Language)))
def test_checks_any_text(text, language):
    check_sentences([text], (*POLICY, ORDER), language)
