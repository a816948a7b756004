"""The summary of a case for staff: what the customer wants, in the customer's own words. Pure.

No model writes it: staff must not read something that nobody said.
"""

from typing import Final

from chatscale_assistant.domain.conversation import Conversation, Speaker
from chatscale_assistant.intent import Understanding

MAX_QUOTE: Final = 400
MAX_EARLIER: Final = 5


def summarise(conversation: Conversation, understood: Understanding) -> str:
    """Lines with the topic, the tone, what was named, and the customer's last messages."""
    entities = understood.entities
    lines = [f"Topic: {understood.intent}. Tone: {understood.tone}."]
    if conversation.customer:
        lines.append(f"Customer: {conversation.customer.id} (verified)")
    if entities.orders:
        lines.append(f"Orders: {', '.join(entities.orders)}")
    said = [turn.text for turn in conversation.turns if turn.speaker is Speaker.CUSTOMER]
    lines.append(f"Last message: {_shortened(said[-1])}")
    lines += [f"Earlier: {_shortened(text)}" for text in said[-1 - MAX_EARLIER : -1]]
    return "\n".join(lines)


def _shortened(text: str) -> str:
    one_line = " ".join(text.split())
    return one_line if len(one_line) <= MAX_QUOTE else f"{one_line[:MAX_QUOTE]}…"
