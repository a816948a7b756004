"""The customer's yes to exactly one proposal.

Consent is in the conversation itself: the assistant's last message has the code of the proposal, and the customer's
answer to it is a yes. A signed token may come on top; it never replaces the two.
"""

import hmac
import re
from collections.abc import Callable
from datetime import datetime
from typing import Final

from chatscale_assistant.domain.conversation import Conversation, Speaker, Turn
from chatscale_assistant.domain.evidence import ToolCall
from chatscale_assistant.gate.decisions import Proposal, Refusal
from chatscale_assistant.gate.proposals import CODE, LIFETIME, Signer, receipt_code

IsYes = Callable[[str], bool]
"""Whether a text is an unambiguous yes, in any of the assistant's languages."""
MAX_YES_CHARACTERS: Final = 300
_WITH_DIGIT: Final = re.compile(r"[^\W_]*\d[^\W_]*")


def find_confirmation(
    signer: Signer, call: ToolCall, conversation: Conversation, now: datetime, is_yes: IsYes
) -> Refusal | None:
    """None if the customer has confirmed the call (with canonical arguments); else NOT_CONFIRMED or EXPIRED."""
    proposed, answered = conversation.turns[-2:] if len(conversation.turns) > 1 else (None, None)
    if proposed is None or answered is None or not _is_consent(proposed, answered, is_yes):
        return Refusal.NOT_CONFIRMED
    proposal = _find_proposal(signer, call, conversation, proposed.text)
    if proposal is None or (conversation.pending and not _equal(conversation.pending, proposal.token)):
        return Refusal.NOT_CONFIRMED
    return None if now < proposal.expires <= now + 2 * LIFETIME else Refusal.EXPIRED


def _find_proposal(signer: Signer, call: ToolCall, conversation: Conversation, text: str) -> Proposal | None:
    """The proposal of the call whose code a message has; None without one, and for a message with several codes."""
    codes = set(CODE.findall(text))
    if conversation.customer is None or len(codes) != 1:
        return None
    return signer.proposal_of_code(codes.pop(), call, conversation.customer.id, conversation.id)


def has_receipt(conversation: Conversation, idempotency_key: str) -> bool:
    """Whether a message of the assistant shows the receipt of this write."""
    code = receipt_code(idempotency_key)
    return any(turn.speaker is Speaker.ASSISTANT and code in turn.text for turn in conversation.turns)


def _is_consent(proposed: Turn, answered: Turn, is_yes: IsYes) -> bool:
    """The customer's yes to the assistant, without a number that the proposal does not have.

    E.g. "yes, to #W1" is no yes to #W2.
    """
    if proposed.speaker is not Speaker.ASSISTANT or answered.speaker is not Speaker.CUSTOMER:
        return False
    if len(answered.text) > MAX_YES_CHARACTERS or not is_yes(answered.text):
        return False
    return set(_WITH_DIGIT.findall(answered.text)) <= set(_WITH_DIGIT.findall(proposed.text))


def _equal(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode("utf-8", "surrogatepass"), other.encode("utf-8", "surrogatepass"))
