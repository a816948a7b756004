"""A question about a rule of the shop is answered by the rule, with its conditions and exceptions."""

import pytest

from chatscale.api.v1alpha1.shopassistant import KnowledgeKind, Language
from chatscale_assistant.answers.policies import asked_policies
from chatscale_assistant.answers.quotes import quote_draft
from chatscale_assistant.domain.evidence import Chunk, Hit

EN, FR, ZH = Language.ENGLISH, Language.FRENCH, Language.CHINESE
RETURNS = (
    "You can return articles within 30 days after delivery. They must be unused and in their packaging.\n\n"
    "Refunds take 5 working days.\n\nOur office is in Lyon.\n\n"
    "Bottles and head torches can be returned only if they are faulty."
)
DELIVERY = "We deliver within 2 to 4 working days. Express delivery takes 1 working day."


def document(title, text, confidence):
    return Hit(Chunk(title.ljust(16, "0"), "policies", KnowledgeKind.DOCUMENTS, title, text, "v1"), confidence)


def row(confidence, name="Head torch 400 lm"):
    fields = {"name": name, "price": "39.00", "stock": "9"}
    text = "\n".join(f"{column}: {value}" for column, value in fields.items())
    return Hit(Chunk("1" * 16, "catalogue", KnowledgeKind.CATALOGUE, name, text, "v1", fields), confidence)


HITS = [row(0.99), document("Returns", RETURNS, 0.6), document("Delivery", DELIVERY, 0.2)]


@pytest.mark.parametrize(
    ("question", "language"),
    [
        ("Can I return a head torch?", EN),
        ("can I send the head torch back", EN),
        ("I want my money back for the head torch", EN),
        ("头灯可以退吗", ZH),
        ("头灯可以退货吗？", ZH),
        ("我不想要这个头灯了，能退吗？", ZH),
        ("Puis-je renvoyer une lampe frontale ?", FR),
        ("est-ce que je peux rapporter la lampe ?", FR),
    ],
)
def test_a_question_about_returning_a_product_gets_the_rule_with_conditions_and_exceptions(question, language):
    draft = quote_draft(question, HITS, language)

    assert "39.00" not in draft.text
    for part in ("within 30 days", "must be unused", "only if they are faulty"):
        assert part in draft.text
    assert "Lyon" not in draft.text
    assert "2 to 4" not in draft.text


@pytest.mark.parametrize(
    ("question", "language"),
    [
        ("how long does delivery of the head torch take", EN),
        ("do you ship the head torch within a week?", EN),
        ("头灯多久能送到？", ZH),
        ("combien de temps pour livrer la lampe ?", FR),
    ],
)
def test_the_title_of_a_passage_says_which_rule_it_states(question, language):
    """The passage about returns has the word "delivery" too, and is likelier."""
    draft = quote_draft(question, HITS, language)

    assert "2 to 4 working days" in draft.text
    assert "30 days" not in draft.text


def test_sentences_from_two_places_are_two_quotes_of_the_source():
    draft = quote_draft("Can I return it?", HITS, EN)

    quotes = [citation.quote for citation in draft.citations]
    assert quotes[0].startswith("You can return articles")
    assert quotes[-1] == "Bottles and head torches can be returned only if they are faulty."
    flat = " ".join(RETURNS.split())
    assert all(quote in flat for quote in quotes)
    assert all(f"“{quote}”" in draft.text for quote in quotes)


@pytest.mark.parametrize(
    ("question", "language"),
    [("Do you repair head torches?", EN), ("Réparez-vous les lampes ?", FR), ("头灯能修吗?", ZH)],
)
def test_a_product_s_row_is_no_answer_about_a_rule_that_no_document_states(question, language):
    assert quote_draft(question, HITS, language) is None


@pytest.mark.parametrize(
    ("question", "language"),
    [
        ("How much is the head torch?", EN),
        ("Is the head torch in stock, and do you repair it?", EN),
        ("Combien coûte la lampe ?", FR),
        ("头灯多少钱", ZH),
        ("Do you have a head torch?", EN),
    ],
)
def test_a_question_about_a_product_gets_its_row(question, language):
    assert "39" in quote_draft(question, HITS, language).text


@pytest.mark.parametrize(
    "question",
    ["a book with maps", "un livre de cuisine", "take a backpack", "the display is 6 inches", "划算吗", "我要退出", ""],
)
def test_words_that_only_look_like_a_rule_name_none(question):
    assert not asked_policies(question)


def test_a_long_rule_is_cut_and_keeps_its_exceptions():
    many = " ".join(f"Returns of kind {number} go to address {number}." for number in range(20))
    draft = quote_draft("Can I return it?", [document("Returns", f"{many} Books cannot be returned.", 0.9)], EN)

    assert "Books cannot be returned." in draft.text
    assert sum(quote.quote.count(".") for quote in draft.citations) <= 4
