"""The customer's yes or no to a proposed write. Pure."""

from collections.abc import Mapping
from typing import Final

from chatscale_assistant.gate.proposals import CODE
from chatscale_assistant.intent import Consent, read_consent

ACTIONS: Final[Mapping[str, str]] = {
    "cancel_pending_order": "cancel",
    "return_delivered_order_items": "return",
    "exchange_delivered_order_items": "exchange",
    "modify_pending_order_address": "change",
    "modify_pending_order_items": "change",
    "modify_pending_order_payment": "change",
}
"""The action of a tool, which a yes may name."""


def consent_of(text: str, action: str = "") -> Consent:
    """Yes or no to a proposal of `action`; the confirmation code may stand beside it."""
    return read_consent(CODE.sub(" ", text), action=action)


def is_yes(text: str) -> bool:
    """Whether a text is a yes, for the gate. `yes, cancel it` is one; whether it names the proposed action is checked
    by the flow, which has the proposal.
    """
    return any(consent_of(text, action) is Consent.YES for action in {"", *ACTIONS.values()})
