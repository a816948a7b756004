"""What the scripted customer writes. The customer and the orders are those of tau2's retail data. Pure."""

from dataclasses import dataclass
from typing import Final

CUSTOMER: Final = "ava_johnson_5052"
PARCEL: Final = "#W2317937"
"""An order of the customer that is on its way."""
TRACKING: Final = "295005425513"
DELIVERED: Final = "#W9178204"
"""A delivered order of the customer, with one desk lamp."""


@dataclass(frozen=True, slots=True)
class Line:
    """One message of the customer."""

    language: str
    text: str
    person: str = ""
    """What staff of the shop writes before it."""
    only_without_proposal: bool = False
    """Left out if the assistant has proposed an action that waits for a yes."""


@dataclass(frozen=True, slots=True)
class Scene:
    """One conversation."""

    name: str
    title: str
    lines: tuple[Line, ...]


SCENES: Final = (
    Scene(
        "parcel-en",
        "Where is my parcel? In English",
        (Line("en", f"Hello, where is my parcel? The order is {PARCEL}."),),
    ),
    Scene("parcel-zh", "Where is my parcel? In Chinese", (Line("zh", f"你好，我的订单 {PARCEL} 现在到哪里了？"),)),
    Scene("parcel-fr", "Where is my parcel? In French", (Line("fr", f"Bonjour, où en est ma commande {PARCEL} ?"),)),
    Scene(
        "return",
        "A return: proposal, yes, receipt",
        (
            Line("en", f"I want to return the desk lamp of my order {DELIVERED}."),
            Line("en", "Please refund the PayPal account that I paid with.", only_without_proposal=True),
            Line("en", "Yes, please do that."),
            Line("en", f"What is the status of order {DELIVERED} now?"),
        ),
    ),
    Scene(
        "angry",
        "An angry customer is handed over, and the assistant is silent once a person writes",
        (
            Line("fr", "C'est inadmissible ! La lampe est cassée et personne ne répond. Je veux parler à un humain !"),
            Line("fr", "Merci, j'attends.", person="Bonjour, ici Paul du service client. Je regarde votre commande."),
        ),
    ),
)

SALE_QUESTIONS: Final = (
    f"Where is my order {PARCEL}?",
    "How can I cancel an order?",
    "有哪些型号的台灯？",
    "Quels moyens de paiement puis-je utiliser ?",
    "Which payment methods can I use?",
    f"我的订单 {PARCEL} 到哪里了？",
    "Comment annuler une commande ?",
    "Can I return a delivered item?",
    "如何取消订单？",
    f"Où est ma commande {PARCEL} ?",
)
"""In three languages; answers come from policy, catalogue and orders."""
