"""#5: a customer can request a person first, in any language; a negated request does not count."""

import pytest

from chatscale.api.v1alpha1.shopassistant import Language
from chatscale_assistant.intent import Intent, understand, wants_person

WANTS = """I want to talk to a human|agent please|Can I speak with a real person?|HUMAN NOW!!!|get me your manager|I don't want to talk to a bot
|why can't I talk to a human|转人工|我要找人工客服|能不能转人工|人工|有真人吗|不要机器人，给我换人|我想跟真人说话|Je veux parler à un humain
|un conseiller svp|Passez-moi un responsable|j'en ai marre de parler à un robot|pouvez-vous me transférer à quelqu'un ?|rappelez-moi
|i wanna speak to a humen|let me talk to a reprezentative|parler a un consieller|Would it be possible to be connected with a member of your team?
|could somebody from customer service call me|Est-ce que je peux avoir une vraie personne ?|请帮我接通人工服务|麻烦叫你们经理来|operator
|is there anyone real there?|I need help from a real person|这个机器人没用，我要人工|je préfère échanger avec une personne réelle"""
WANTS_NOT = """I do not want a human|no need for an agent|I don't need to talk to a person, just tell me where my order is|are you a human?|Is this a bot?
|a tent for one person|不要人工|不需要人工客服，谢谢|别转人工|你是真人吗|人工智能手表有吗|客服电话是多少|你们客服态度很差|Je ne veux pas parler à un humain
|pas besoin d'un conseiller|un sac pour une personne|êtes-vous un robot ?|Where is my parcel|the delivery person was rude|personne ne m'a livré
|I bought this for someone|a gift for somebody special|给我推荐一个礼物送给经理|can I return it|I want the customer reviews|我想买人工草坪
|un cadeau pour quelqu'un|my support cushion is broken|Le livreur est une personne agréable"""


@pytest.mark.parametrize("text", WANTS.replace("\n", "").split("|"))
def test_a_request_for_a_person_is_recognised(text):
    assert wants_person(text)
    assert understand(text, Language.ENGLISH).intent is Intent.PERSON


@pytest.mark.parametrize("text", WANTS_NOT.replace("\n", "").split("|"))
def test_a_negated_or_other_mention_of_a_person_is_no_request(text):
    assert not wants_person(text)
