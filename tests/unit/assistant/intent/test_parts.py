"""A message with several questions is split, and only then."""

import pytest

from chatscale.api.v1alpha1.shopassistant import Language
from chatscale_assistant.intent import split_questions

EN, FR, ZH = Language.ENGLISH, Language.FRENCH, Language.CHINESE


@pytest.mark.parametrize(
    ("language", "text", "parts"),
    [
        (EN, "Where is my order #W1234567 and can I return the lamp?", 2),
        (EN, "How long is shipping, and do you take PayPal?", 2),
        (EN, "What is your return policy? How long is the warranty? Do you ship abroad?", 3),
        (FR, "Combien coûte la livraison et acceptez-vous PayPal ?", 2),
        (FR, "Où est ma commande #W1234567 et puis-je retourner la lampe ?", 2),
        (ZH, "我的订单#W1234567到哪了？还有可以退货吗？", 2),
        (ZH, "运费多少，还有支持支付宝吗？", 2),
        (ZH, "保修多久？运费多少？", 2),
    ],
)
def test_questions_with_their_own_verbs_are_answered_one_by_one(language, text, parts):
    assert len(split_questions(text, language)) == parts


@pytest.mark.parametrize(
    ("language", "text"),
    [
        (EN, "Do you have the red T-shirt and how much is it?"),
        (EN, "Do you have shoes and shirts?"),
        (EN, "Do you sell lamps? How much?"),
        (EN, "Where is my order? It should have arrived yesterday."),
        (FR, "Quelle est la différence entre la lampe et la gourde ?"),
        (ZH, "你们有红色的T恤吗？多少钱？"),
        (ZH, "台灯和水壶有什么区别？"),
    ],
)
def test_a_part_that_needs_another_one_stays_with_it(language, text):
    assert split_questions(text, language) == (text,)


@pytest.mark.parametrize(
    ("language", "text"),
    [
        (EN, "Cancel my order #W1234567, and how long is shipping?"),
        (EN, "How long is shipping? Please cancel order #W1234567."),
        (EN, "How long is shipping? Can I speak to a person?"),
        (FR, "Annulez ma commande #W1234567. Combien coûte la livraison ?"),
        (ZH, "帮我取消订单#W1234567。运费多少？"),
    ],
)
def test_a_change_or_a_person_beside_a_question_keeps_the_message_whole(language, text):
    assert split_questions(text, language) == (text,)
