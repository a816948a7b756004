"""A question about a policy of the shop is answered by the policy, with its conditions and exceptions."""

import pytest

from chatscale.api.v1alpha1.shopassistant import KnowledgeKind, Language
from chatscale_assistant.answers.policies import asked_policies
from chatscale_assistant.answers.quotes import quote_draft
from chatscale_assistant.domain.evidence import Chunk, Hit

EN, FR, ZH = Language.ENGLISH, Language.FRENCH, Language.CHINESE
RETURNS = (
    "You can return articles within 30 days after delivery. They must be unused and in their packaging.\n\n"
    "Our office is in Lyon. The shop opened in 1990. Nine people work here.\n\n"
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
    assert "Returns of kind 0 " in draft.text, "the first sentence about the policy"
    assert sum(quote.quote.count(".") for quote in draft.citations) <= 5


@pytest.mark.parametrize(
    ("question", "language", "title", "text"),
    [
        ("Is it guaranteed?", EN, "Warranty", "All articles have a warranty of 24 months. Batteries are excluded."),
        (
            "La lampe est garantie combien de temps ?",
            FR,
            "Garantie",
            "La garantie est de 2 ans. Les piles sont exclues.",
        ),
        (
            "Can I cancel?",
            EN,
            "Cancellation",
            "You can cancel until it ships. Personalised articles cannot be cancelled.",
        ),
        ("How much is shipping?", EN, "Delivery", "Delivery is free from 50 EUR. Otherwise it costs 4.90 EUR."),
        ("运费多少钱", ZH, "配送", "运费10元。满50欧元包邮。"),
        ("可以用支票付款吗", ZH, "付款方式", "可以用银行卡或支付宝付款。不接受支票。"),
        ("商品可以退吗", ZH, "退货", "30天内可以退货。水壶除外。"),
        (
            "Can I get a refund without the packaging?",
            EN,
            "Returns",
            "You can return within 30 days. They must be packed.",
        ),
    ],
)
def test_a_short_passage_about_the_policy_is_quoted_as_a_whole(question, language, title, text):
    (citation,) = quote_draft(question, [row(0.95), document(title, text, 0.3)], language).citations
    assert citation.quote.replace(" ", "") == text.replace(" ", "")


POLICIES = [
    document("Cancellation", "You can cancel an order until it is shipped.", 0.2),
    document("Payment", "You can pay by card.", 0.2),
    document("Delivery", DELIVERY, 0.2),
    document("Returns", RETURNS, 0.2),
]


@pytest.mark.parametrize(
    ("question", "language", "product"),
    [
        ("Do you have noise cancelling headphones?", EN, "Headphones"),
        ("Can you recommend noise cancelling headphones?", EN, "Headphones"),
        ("Avez-vous une paire de chaussettes ?", FR, "Chaussettes"),
        ("Avez-vous une lampe réglable ?", FR, "Lampe"),
        ("Dans quel pays la lampe est-elle fabriquée ?", FR, "Lampe"),
        ("Vendez-vous des règles ?", FR, "Règle 30 cm"),
        ("La lampe a-t-elle un port USB ?", FR, "Lampe"),
        ("Does it have a charging port?", EN, "Phone"),
        ("Avez-vous un sac de livreur ?", FR, "Sac"),
        ("有快递袋吗", ZH, "快递袋"),
        ("Do you sell a bike repair kit?", EN, "Bike repair kit"),
        ("Do you have a fixing bracket?", EN, "Bracket"),
        ("Is it a fixed focal length?", EN, "Lens 35 mm"),
        ("有自行车维修工具吗", ZH, "维修工具"),
        ("相机可以换镜头吗", ZH, "相机"),
        ("手表能换表带吗", ZH, "手表"),
        ("Recommend me a watch with a swappable strap", EN, "Watch"),
        ("想要退热贴", ZH, "退热贴"),
        ("Which chair will give my lower back good support?", EN, "Chair"),
        ("Do you sell a receipt printer?", EN, "Receipt printer"),
        ("How quickly does the battery charge?", EN, "Battery"),
    ],
)
def test_a_word_of_a_product_is_no_question_about_a_policy(question, language, product):
    assert "39" in quote_draft(question, [row(0.95, product), *POLICIES], language).text


@pytest.mark.parametrize(
    ("question", "language", "part"),
    [
        ("When will the head torch arrive?", EN, "2 to 4 working days"),
        ("how fast do i get the head torch", EN, "2 to 4 working days"),
        ("Do you take PayPal?", EN, "pay by card"),
        ("Je peux échanger la lampe ?", FR, "within 30 days"),
        ("Livrez-vous la lampe en Belgique ?", FR, "2 to 4 working days"),
        ("Puis-je payer la lampe par carte ?", FR, "pay by card"),
        ("可以取消吗", ZH, "cancel an order"),
    ],
)
def test_a_policy_answers_beside_a_likelier_row(question, language, part):
    draft = quote_draft(question, [row(0.95), *POLICIES], language)
    assert part in draft.text
    assert "39" not in draft.text
