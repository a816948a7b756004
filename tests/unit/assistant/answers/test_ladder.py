"""#1, #2, #4, #6, #7, #10, #11, #13: what the customer reads from templates, quotes and phrases."""

from datetime import UTC, datetime

import pytest

from chatscale.api.v1alpha1.shopassistant import Guardrails, KnowledgeKind, Language, Persona
from chatscale_assistant.answers import history, quotes, results
from chatscale_assistant.answers.phrases import Phrase, say
from chatscale_assistant.answers.products import product_line
from chatscale_assistant.answers.proposals import Details, proposal_text, receipt_text, shown_code
from chatscale_assistant.domain.conversation import Conversation, Customer, Speaker, Turn
from chatscale_assistant.domain.evidence import Chunk, Hit, ToolCall, ToolResult
from chatscale_assistant.language.reply import is_in_language
from chatscale_contract.assistant.extras import Rung

EN, FR, ZH = Language.ENGLISH, Language.FRENCH, Language.CHINESE
AT = datetime(2026, 3, 5, 12, tzinfo=UTC)
DESK = Guardrails.model_validate({
    "handOver": {"urlSecretRef": {"name": "desk", "key": "url"}, "openingHours": {"timeZone": "Europe/Paris"}}
})  # fmt: skip
ORDER = {
    "order_id": "#W1234567", "status": "delivered",
    "address": {"address1": "1 Rue A", "address2": "", "city": "Lyon", "state": "", "zip": "69001", "country": "France"},
    "items": [{"name": "Water Bottle", "item_id": "6469567736", "price": 47.84, "options": {"color": "blue", "capacity": "1000ml"}}],
    "fulfillments": [{"tracking_id": ["357962501027"], "item_ids": ["6469567736"]}],
    "payment_history": [{"transaction_type": "payment", "amount": 47.84, "payment_method_id": "gift_card_1725971"}],
}  # fmt: skip
PRODUCT = {"name": "Water Bottle", "product_id": "8310926033", "variants": {
    "1111111111": {"item_id": "1111111111", "price": 51.0, "available": True, "options": {"color": "red", "capacity": "1000ml"}},
    "2222222222": {"item_id": "2222222222", "price": 49.0, "available": False, "options": {"color": "blue", "capacity": "500ml"}},
}}  # fmt: skip


def result(tool, data, **options):
    return ToolResult(ToolCall("orders", tool, {"order_id": "#W1234567"}), data, str(data), AT, **options)


def hit(text, *, title="Returns", confidence=0.9, kind=KnowledgeKind.DOCUMENTS, fields=None):
    return Hit(Chunk("0" * 16, "policies", kind, title, text, "v1", fields or {}), confidence)


def turns(*texts):
    return tuple(Turn(Speaker.CUSTOMER if i % 2 == 0 else Speaker.ASSISTANT, text) for i, text in enumerate(texts))


@pytest.mark.parametrize(
    ("language", "status"),
    [
        (EN, "Order #W1234567 is delivered."),
        (FR, "La commande #W1234567 est livrée."),
        (ZH, "订单 #W1234567：已送达。"),
    ],
)
def test_the_text_of_an_order_begins_with_its_status(language, status):
    draft = results.result_draft(
        result("get_order_details", ORDER), language, focus=results.Focus(address=True, payment=True)
    )
    assert draft.text.splitlines()[0] == status
    assert all(part in draft.text for part in ("357962501027", "Water Bottle", "Lyon", "gift_card_1725971"))
    assert draft.citations[0].source == "tool:orders/get_order_details"
    assert draft.citations[0].version == AT.isoformat()


def test_a_product_shows_the_variants_that_fit_the_question():
    draft = results.result_draft(result("get_product_details", PRODUCT), FR, currency="EUR")
    assert (
        draft.text
        == "Water Bottle : 1 variantes sur 2 en stock, 51,00\u00a0€.\n- rouge, 1000ml [1111111111] : 51,00\u00a0€"
    )


def test_an_error_of_a_tool_becomes_no_answer():
    assert results.result_draft(result("get_order_details", ORDER, is_error=True), EN) is None


EXCHANGE = ToolCall("orders", "exchange_delivered_order_items", {
    "order_id": "#W1234567", "item_ids": ["6469567736"], "new_item_ids": ["1111111111"], "payment_method_id": "gift_card_1725971",
})  # fmt: skip
ADDRESS = ToolCall("orders", "modify_user_address", {
    "user_id": "a_b_1", "address1": "1 Rue A", "address2": "Apt 2", "city": "Lyon", "state": "ARA", "country": "France", "zip": "69001",
})  # fmt: skip
CANCEL = ToolCall("orders", "cancel_pending_order", {"order_id": "#W1234567", "reason": "no longer needed"})
UNKNOWN = ToolCall("shop", "subscribe", {"plan": "gold", "months": 12, "items": ["a1", "b2"]})


@pytest.mark.parametrize("call", [EXCHANGE, ADDRESS, UNKNOWN], ids=lambda call: call.tool)
@pytest.mark.parametrize("language", list(Language))
def test_a_proposal_states_every_argument_and_the_code(call, language):
    """#18"""
    text = proposal_text(call, language, code="ABCD-2345", details=Details(ORDER, (PRODUCT,)))
    for value in call.arguments.values():
        assert all(str(each) in text for each in (value if isinstance(value, list) else [value]))
    assert shown_code(text) == "ABCD-2345"


def test_an_exchange_names_items_and_the_price_difference():
    text = proposal_text(EXCHANGE, EN, code="ABCD-2345", details=Details(ORDER, (PRODUCT,), currency="USD"))
    assert "Items: Water Bottle (blue, 1000ml) [6469567736]: $47.84" in text
    assert "New items: Water Bottle (red, 1000ml) [1111111111]: $51.00" in text
    assert "Price difference: $3.16" in text


def test_a_receipt_needs_a_receipt():
    """#15"""
    done = result("cancel_pending_order", ORDER | {"status": "cancelled"}, receipt="key")
    assert receipt_text(CANCEL, done, FR) == "La commande #W1234567 a été annulée.\n- Raison : plus utile"
    with pytest.raises(ValueError, match="receipt"):
        receipt_text(CANCEL, result("cancel_pending_order", ORDER), EN)


def test_a_quote_is_the_text_that_was_used():
    """#10"""
    text = "Shoes can be returned within 30 days. They must be unworn. Sale items cannot be returned."
    draft = quotes.quote_draft("Can I return sale items?", [hit(text)], EN)
    assert draft.rung is Rung.QUOTE
    assert draft.citations[0].quote in text
    assert "Sale items cannot be returned." in draft.text


def test_a_quote_in_another_language_is_marked():
    """#14"""
    draft = quotes.quote_draft("Puis-je retourner des chaussures ?", [hit("Shoes can be returned within 30 days.")], FR)
    assert (
        draft.text == "Voici ce que dit notre source, en anglais :\n« Shoes can be returned within 30 days. » (Returns)"
    )
    assert is_in_language(draft.text, FR)


def test_without_a_source_there_is_no_quote():
    """#13"""
    assert quotes.quote_draft("Can I return shoes?", [], EN) is None


def test_a_curated_reply_is_given_word_for_word_in_the_customers_language():
    fields = {"answer.en": "Open 9 to 18, see https://shop.example/hours.", "answer.fr": "Ouvert de 9 h à 18 h."}
    reply = hit(fields["answer.en"], kind=KnowledgeKind.REPLIES, fields=fields)
    assert quotes.curated_draft(reply, EN).text == fields["answer.en"]
    assert quotes.curated_draft(reply, FR).text == fields["answer.fr"]
    assert quotes.curated_draft(reply, ZH) is None


@pytest.mark.parametrize("language", list(Language))
def test_two_answers_without_an_answer_are_two_misses(language):
    """#6"""
    miss = history.no_answer(language, Persona(contact="a@b.example"), can_hand_over=False)
    other = say(Phrase.NO_ANSWER, language)
    assert history.count_misses(turns("q", miss, "q", other, "q")) == 2
    assert history.count_misses(turns("q", miss, "q", "Order #W1 is delivered.", "q")) == 0
    assert history.count_misses((Turn(Speaker.CUSTOMER, miss), Turn(Speaker.PERSON, "Hello"))) == 0


@pytest.mark.parametrize("language", list(Language))
def test_only_the_first_answer_says_that_an_ai_answers(language):
    persona = Persona(name="Ada", shop="Sample Shop")
    first = history.with_opening("Text.", turns("q"), persona, language)
    assert all(part in first for part in ("Ada", "Sample Shop", "AI" if language is not FR else "IA"))
    assert history.with_opening("Text.", turns("q", "a", "q"), persona, language) == "Text."
    assert history.with_opening("", turns("q"), persona, language) == ""


def test_a_hand_over_is_said_with_the_opening_hours():
    """#1"""
    saturday = datetime(2026, 3, 7, 12, tzinfo=UTC)
    assert history.hand_over_text(EN, DESK, Persona(), AT) == say(Phrase.HAND_OVER, EN)
    assert history.hand_over_text(EN, DESK, Persona(), saturday).endswith("answers again on Monday at 09:00.")
    assert history.hand_over_text(ZH, DESK, Persona(), saturday).endswith("客服将于周一09:00开始回复。")
    assert "a@b.example" in history.hand_over_text(FR, Guardrails(), Persona(contact="a@b.example"), AT)


@pytest.mark.parametrize("phrase", list(Phrase))
@pytest.mark.parametrize("language", list(Language))
def test_every_phrase_is_in_its_language(phrase, language):
    values = dict.fromkeys(
        ("name", "shop", "contact", "opens", "order", "items", "methods", "status", "code", "source", "parts", "known"),
        "X1",
    )
    assert is_in_language(say(phrase, language, **values), language)


def test_the_summary_has_orders_wanted_changes_and_tone():
    conversation = Conversation(
        "c", turns("Where is #W1234567?", "a", "I want a refund, this is a SCAM!!!"), AT, Customer("noah_1")
    )
    summary = history.summarise(conversation, EN, reason="requested by the customer")
    assert "Orders: #W1234567" in summary
    assert "Wanted: order_status, return" in summary
    assert "Tone: angry" in summary


@pytest.mark.parametrize("language", [EN, FR, ZH])
def test_a_row_shows_its_own_values_whatever_was_shown_before(language):
    def line(**fields):
        row = hit("Tea Kettle", title="Tea Kettle", kind=KnowledgeKind.CATALOGUE, fields={"color": "red", **fields})
        return product_line(row.chunk, language, "EUR")

    first = line(price="19.90")

    assert line(price="7.77") == first.replace("19", "7").replace("90", "77")
    assert line(price="19.90") == first
    assert line(price="19.90", size="large") != first
