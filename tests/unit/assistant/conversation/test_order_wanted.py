"""A request about an order is read from the customer's words, wherever the order's number stands."""

import pytest

from chatscale.api.v1alpha1.shopassistant import Language
from chatscale_assistant.conversation.order_wanted import read_wanted
from chatscale_assistant.domain.conversation import Speaker, Turn
from chatscale_assistant.intent import Intent


@pytest.mark.parametrize(
    ("text", "language"),
    [
        pytest.param("Hello, where is my parcel? The order is #W2317937.", Language.ENGLISH, id="en"),
        pytest.param("我的订单 #W2317937 现在到哪里了", Language.CHINESE, id="zh"),
        pytest.param("Bonjour, où en est ma commande #W2317937 ?", Language.FRENCH, id="fr"),
    ],
)
def test_a_number_between_two_words_does_not_hide_the_request(text: str, language: Language):
    wanted = read_wanted((Turn(Speaker.CUSTOMER, text),), language)

    assert wanted is not None
    assert (wanted.intent, wanted.entities.orders) == (Intent.ORDER_STATUS, ("#W2317937",))


def test_another_request_after_a_proposal_is_a_request_of_its_own():
    turns = (
        Turn(Speaker.CUSTOMER, "Please cancel #W2317937, no longer needed"),
        Turn(Speaker.ASSISTANT, "I would cancel order #W2317937.\nIs this right? Answer “yes” to confirm. Code: X"),
        Turn(Speaker.CUSTOMER, "no, change the address to 12 Main Street, Denver, CO 80014, USA"),
    )
    wanted = read_wanted(turns, Language.ENGLISH)

    assert wanted is not None
    assert (wanted.intent, wanted.entities.orders) == (Intent.CHANGE_ADDRESS, ("#W2317937",))
    assert len(wanted.texts) == 1
