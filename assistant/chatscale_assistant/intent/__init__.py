"""What the customer wants: an order, a return, a product, a policy, a person. Pure."""

from chatscale_assistant.intent.classify import Understanding, understand
from chatscale_assistant.intent.consent import Consent, read_consent
from chatscale_assistant.intent.entities import CancelReason, Entities, find_entities
from chatscale_assistant.intent.parts import split_questions
from chatscale_assistant.intent.patterns import WRITES, Intent
from chatscale_assistant.intent.person import wants_person
from chatscale_assistant.intent.scope import asks_contact, is_complaint

__all__ = [
    "WRITES",
    "CancelReason",
    "Consent",
    "Entities",
    "Intent",
    "Understanding",
    "asks_contact",
    "find_entities",
    "is_complaint",
    "read_consent",
    "split_questions",
    "understand",
    "wants_person",
]
