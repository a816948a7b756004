"""#14: the answer has the customer's language, after switches too."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatscale.api.v1alpha1.shopassistant import Language
from chatscale_assistant.language.detect import conversation_language, detect_language
from chatscale_assistant.language.reply import is_in_language

EN, FR, ZH = Language.ENGLISH, Language.FRENCH, Language.CHINESE
ALL = [EN, ZH, FR]
MESSAGES = {
    EN: """Where is my order #W2611340?|hi|When will it arrive?|I want to return the shoes|can u cancel it pls|Is the Bluetooth Speaker in stock?
        |thanks|My parcel is late!!|Do you ship to Paris?|what about the red one|I'd like a refund|the kettle is broken|How much is the Water Bottle?
        |wheres my stuff|Change my address please|Can I pay with PayPal?|no, the other one|Which size should I take?|hello there|it still hasn't arrived
        |I ordered two by mistake|Please send me the invoice|What are your opening hours?|this is ridiculous|yes please|can I talk to someone""",
    FR: """Où est ma commande #W2611340 ?|bonjour|Quand va-t-elle arriver ?|Je veux retourner les chaussures|vous pouvez annuler svp
        |Le Bluetooth Speaker est-il en stock ?|merci|Mon colis est en retard !!|Livrez-vous à Londres ?|et le rouge alors|Je voudrais un remboursement
        |la bouilloire est cassée|Combien coûte le Water Bottle ?|ou est mon colis|Changez mon adresse s'il vous plaît|Puis-je payer avec PayPal ?
        |non, l'autre|Quelle taille dois-je prendre ?|bonsoir|je n'ai toujours rien reçu|j'ai commandé deux fois par erreur
        |Envoyez-moi la facture|Quels sont vos horaires ?|c'est scandaleux|oui merci|je peux parler à quelqu'un""",
    ZH: """我的订单 #W2611340 在哪里？|你好|什么时候到|我要退鞋子|能取消吗|Bluetooth Speaker 有货吗？|谢谢|我的包裹迟到了！！|能送到巴黎吗|那红色的呢
        |我要退款|水壶坏了|Water Bottle 多少钱|我的东西呢|请改一下地址|可以用 PayPal 付款吗|不是，另一个|我该选什么尺码|在吗|还没收到|我误下了两单
        |请把发票发给我|几点开门|太过分了|好的|能找个人吗""",
}  # fmt: skip
WORDS = {language: [text.strip() for text in texts.split("|")] for language, texts in MESSAGES.items()}
NEUTRAL = ("#W1234567", "ok", "6469567736", "XL", "PayPal", "???", "4711 8")


def test_answers_300_turns_with_switches_in_the_customers_language():
    previous, right, current = None, 0, EN
    for turn in range(300):
        if turn % 7 == 0:
            current = ALL[(turn // 7 * 2 + turn // 21) % 3]
        neutral = turn % 7 and turn % 5 == 0
        text = (
            NEUTRAL[turn % len(NEUTRAL)] if neutral else WORDS[current][(turn * 11 + turn // 7) % len(WORDS[current])]
        )
        previous = detect_language(text, languages=ALL, previous=previous)
        right += previous is current
    assert right / 300 >= 0.98


@pytest.mark.parametrize(
    ("language", "text"), [(language, text) for language, texts in WORDS.items() for text in texts]
)
def test_recognises_the_language_of_one_message_without_history(language, text):
    assert detect_language(text, languages=ALL, previous=None if language is not EN else FR) is language


@pytest.mark.parametrize("text", NEUTRAL)
def test_a_code_has_the_language_of_the_conversation(text):
    assert detect_language(text, languages=ALL, previous=FR) is FR


@pytest.mark.parametrize(
    ("text", "language"),
    [("anything smaller?", "en"), ("gourde inox 1000 ml ?", "fr"), ("iPad", "zh"), ("USB-C", "zh")],
)
def test_two_latin_words_end_a_chinese_conversation_and_a_name_does_not(text, language):
    assert conversation_language(["你好，我想退货", text], languages=tuple(Language)) == language


def test_answers_in_the_first_language_where_the_customers_is_not_offered():
    assert detect_language("Wo ist meine Bestellung geblieben?", languages=[FR, EN]) is FR
    assert detect_language("我的包裹在哪里", languages=[EN, FR], previous=FR) is EN
    assert detect_language("荷物はどこですか", languages=ALL) is EN


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("Please answer in French", FR),
        ("请用英语回答", EN),
        ("peux-tu répondre en chinois ?", ZH),
        ("in English please", EN),
    ],
)
def test_follows_a_request_for_a_language(text, language):
    assert detect_language(text, languages=ALL) is language


def test_keeps_the_language_through_a_conversation():
    assert conversation_language(["Bonjour", "#W1234567", "ok"], languages=ALL) is FR


@pytest.mark.parametrize(
    ("text", "language", "fits"),
    [
        ("Your order has been delivered.", EN, True),
        ("Votre commande a été livrée. The parcel is on its way to you.", FR, False),
        ("您的订单已送达。", ZH, True),
        ("您的 Water Bottle (1000ml) 已送达。", ZH, True),
        ("您的订单已送达。 You can return it within 30 days.", ZH, False),
        ("Voici ce que dit notre source, en anglais :\n« You can return it within 30 days. » (Returns)", FR, True),
        ("Order #W1: 已送达了请查收", EN, False),
        ("#W1234567: 30,00", FR, True),
    ],
)
def test_mixed_answers_are_detected(text, language, fits):
    assert is_in_language(text, language) is fits


@given(st.text(max_size=200))
def test_any_text_gets_one_of_the_offered_languages(text):
    assert detect_language(text, languages=[FR, ZH], scores=lambda _: {}) in {FR, ZH}
