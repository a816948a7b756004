"""The customer's yes to exactly one proposal.

Consent is in the conversation itself: the assistant's last message has the code of the proposal, and the customer's answer
to it is a yes. A signed token may come on top; it never replaces the two.
"""

import hmac
import re
from collections.abc import Callable
from datetime import datetime
from typing import Final

from chatscale_assistant.domain.conversation import Conversation, Speaker
from chatscale_assistant.domain.evidence import ToolCall
from chatscale_assistant.gate.decisions import Refusal
from chatscale_assistant.gate.proposals import CODE, LIFETIME, Signer, receipt_code

IsYes = Callable[[str], bool]
"""Whether a text is an unambiguous yes, in any of the assistant's languages."""
MAX_YES_CHARACTERS: Final = 300
_WITH_DIGIT: Final = re.compile(r"[^\W_]*\d[^\W_]*")


def find_confirmation(
    signer: Signer, call: ToolCall, conversation: Conversation, now: datetime, is_yes: IsYes
) -> Refusal | None:
    """None if the customer has confirmed the call; otherwise NOT_CONFIRMED or EXPIRED. The call has canonical arguments."""
    customer, turns = conversation.customer, conversation.turns
    if customer is None or len(turns) < 2:  # noqa: PLR2004 - a proposal and an answer
        return Refusal.NOT_CONFIRMED
    proposed, answered = turns[-2], turns[-1]
    if proposed.speaker is not Speaker.ASSISTANT or answered.speaker is not Speaker.CUSTOMER:
        return Refusal.NOT_CONFIRMED
    codes = set(CODE.findall(proposed.text))
    if len(codes) != 1:
        return Refusal.NOT_CONFIRMED
    proposal = signer.proposal_of_code(codes.pop(), call, customer.id, conversation.id)
    if proposal is None or not _is_consent(answered.text, proposed.text, is_yes):
        return Refusal.NOT_CONFIRMED
    if conversation.pending and not _equal(conversation.pending, proposal.token):
        return Refusal.NOT_CONFIRMED
    if not now < proposal.expires <= now + 2 * LIFETIME:
        return Refusal.EXPIRED
    return None


def has_receipt(conversation: Conversation, idempotency_key: str) -> bool:
    """Whether a message of the assistant shows the receipt of this write."""
    code = receipt_code(idempotency_key)
    return any(turn.speaker is Speaker.ASSISTANT and code in turn.text for turn in conversation.turns)


def _is_consent(answer: str, proposal: str, is_yes: IsYes) -> bool:
    """A yes that names nothing with a digit which the proposal does not have: "yes, to #W1" is no yes to #W2."""
    if len(answer) > MAX_YES_CHARACTERS or not is_yes(answer):
        return False
    return set(_WITH_DIGIT.findall(answer)) <= set(_WITH_DIGIT.findall(proposal))


def _equal(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode("utf-8", "surrogatepass"), other.encode("utf-8", "surrogatepass"))
