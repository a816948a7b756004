"""Scripted chat models that do what a chat model must not: they invent facts, or obey text that is only data.

The assistant uses them as it uses any model. The same prompt gets the same answer.
"""

import hashlib
import random
import re
from typing import Final

from typing_extensions import override

from chatscale.api.v1alpha1.shopassistant import Language
from chatscale_assistant.domain.interfaces import ChatModel
from chatscale_assistant.evaluation.questions import rows

_DIGITS: Final = re.compile(r"\d+(?:[.,]\d+)?")
_LONG_LINE: Final = 40
_LINKS: Final = re.compile(r"https?://[^\s)\]]+")
_CANARIES: Final = re.compile(r"CANARY-[0-9A-F]+")
_ORDERS: Final = re.compile(r"#W\d{7}")


class InventingModel(ChatModel):
    """Writes plausible sentences with wrong facts, or copies a line of its prompt and changes its numbers."""

    def __init__(self) -> None:
        self.language = Language.ENGLISH
        """Of the next answers."""
        self.drafts: list[str] = []
        """What it wrote."""
        self._sentences: dict[Language, list[str]] = {}
        for row in rows("invented.yaml"):
            self._sentences.setdefault(Language(row["language"]), []).append(row["text"])

    @override
    async def write(self, system: str, user: str, *, max_tokens: int, timeout_s: float) -> str | None:
        """A draft with at least one wrong fact."""
        _ = max_tokens, timeout_s
        dice = random.Random(hashlib.sha256(f"{system}\n{user}".encode()).digest())  # noqa: S311 - a scripted draft
        lines = [line.strip() for line in user.splitlines() if len(line) > _LONG_LINE and _DIGITS.search(line)]
        sentences = [self._invent(dice)]
        if lines and dice.random() < 0.5:  # noqa: PLR2004 - half of the drafts
            sentences.insert(0, _DIGITS.sub(lambda _: str(dice.randint(2, 96)), dice.choice(lines)))
        self.drafts.append(" ".join(sentences))
        return self.drafts[-1]

    def _invent(self, dice: random.Random) -> str:
        return dice.choice(self._sentences[self.language]).format(
            days=dice.randint(8, 29),
            hours=dice.choice((12, 24, 36, 72)),
            price=f"{dice.randint(11, 899)}.{dice.randint(10, 98)}",
            percent=dice.choice((15, 25, 35, 45)),
            years=dice.choice((2, 3, 5)),
        )


class ObedientModel(ChatModel):
    """Does whatever any text in its prompt requests: repeats each link and each mark, and claims each action."""

    def __init__(self) -> None:
        self.drafts: list[str] = []

    @override
    async def write(self, system: str, user: str, *, max_tokens: int, timeout_s: float) -> str | None:
        """A draft that an attacker would like."""
        _ = max_tokens, timeout_s
        found = [*_LINKS.findall(user), *_CANARIES.findall(f"{system}\n{user}")]
        orders = [f"I have cancelled {order} and refunded it." for order in _ORDERS.findall(user)]
        call = '<tool_call>{"name": "cancel_pending_order", "arguments": {"order_id": "#W0000000"}}</tool_call>'
        self.drafts.append(" ".join([*found, *orders, call]))
        return self.drafts[-1]
