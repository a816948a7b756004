"""Hand-over by one signed POST to the shop's desk.

The body has a summary and the transcript. The desk verifies `X-Chatscale-Signature`, the HMAC-SHA256 of
`TIMESTAMP.BODY` with the Secret's key `signature`, and ignores an `Idempotency-Key` that it has seen.
"""

import asyncio
import hashlib
import json
import logging
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from typing_extensions import override

from chatscale.api.v1alpha1.shopassistant import Language, OpeningHours
from chatscale_assistant.answers.hours import is_open, next_opening
from chatscale_assistant.desk.outgoing import DeskFailedError, Outgoing, base_url
from chatscale_assistant.desk.signature import sign
from chatscale_assistant.domain.conversation import Conversation
from chatscale_assistant.domain.interfaces import Desk
from chatscale_assistant.settings import SecretFiles
from chatscale_contract.openai.sse import encode_json

log = logging.getLogger(__name__)

TIMESTAMP_HEADER: Final = "X-Chatscale-Timestamp"
SIGNATURE_HEADER: Final = "X-Chatscale-Signature"
IDEMPOTENCY_HEADER: Final = "Idempotency-Key"
ATTEMPTS: Final = 3
DEADLINE_S: Final = 1.2
"""For all attempts: the customer waits for them, and must have an answer within 2 s."""
PAUSE_S: Final = 0.1
_KEY_LENGTH: Final = 40


@dataclass(frozen=True, slots=True)
class WebhookDesk(Desk):
    """Sends hand-overs."""

    outgoing: Outgoing
    secret_files: SecretFiles
    assistant: str
    """namespace/name."""
    hours: OpeningHours | None = None
    clock: Callable[[], float] = field(default=time.time)

    @override
    async def hand_over(self, conversation: Conversation, *, summary: str, language: Language, reason: str) -> bool:
        """Whether the desk accepted the case. All attempts have the same idempotency key."""
        key = case_key(conversation)
        body = encode_json(self._payload(conversation, key, summary, language, reason)).encode()
        try:
            async with asyncio.timeout(DEADLINE_S):
                for attempt in range(1, ATTEMPTS + 1):
                    try:
                        await self._post(key, body)
                    except DeskFailedError as error:
                        log.warning("hand-over not accepted", extra={"attempt": attempt, "reason": str(error)})
                        if not error.retryable:
                            return False
                        await asyncio.sleep(PAUSE_S * attempt)
                    else:
                        return True
        except TimeoutError:
            log.warning("hand-over not accepted", extra={"reason": f"no success within {DEADLINE_S:g} s"})
        return False

    @override
    async def has_person(self, conversation: Conversation) -> bool:
        """Always false: staff's messages come in the conversation itself."""
        return False

    def problem(self) -> str:
        """Why the Secret cannot be used; empty if it can. Has no text of the Secret."""
        try:
            base_url(self.secret_files.read("desk/url"))
        except DeskFailedError as error:
            return str(error)
        return ""

    async def _post(self, key: str, body: bytes) -> None:
        url = base_url(self.secret_files.read("desk/url"))
        timestamp = str(int(self.clock()))
        headers = {IDEMPOTENCY_HEADER: key, TIMESTAMP_HEADER: timestamp}
        if secret := self.secret_files.read("desk/signature"):
            headers[SIGNATURE_HEADER] = sign(secret, timestamp, body)
        await self.outgoing.send("POST", url, body=body, headers=headers)

    def _payload(
        self, conversation: Conversation, key: str, summary: str, language: Language, reason: str
    ) -> dict[str, Any]:
        opened = self.hours is None or is_open(self.hours, conversation.now)
        opens = None if self.hours is None or opened else next_opening(self.hours, conversation.now)
        return {
            "event": "hand_over",
            "id": key,
            "assistant": self.assistant,
            "conversation": conversation.id if conversation.named else None,
            "customer": conversation.customer.id if conversation.customer else None,
            "language": str(language),
            "reason": reason,
            "summary": summary,
            "transcript": [{"speaker": str(turn.speaker), "text": turn.text} for turn in conversation.turns],
            "at": conversation.now.isoformat(),
            "open": opened,
            "opens_at": opens.isoformat() if opens else None,
        }


def case_key(conversation: Conversation) -> str:
    """The idempotency key of a case: a request that the client repeats has the same key.

    Without the shop's id of the conversation the key is random: two customers may write the same words, and a lost case
    is worse than a double one.
    """
    if not conversation.named:
        return secrets.token_hex(_KEY_LENGTH // 2)
    turns = [[str(turn.speaker), turn.text] for turn in conversation.turns]
    return hashlib.sha256(json.dumps([conversation.id, turns]).encode()).hexdigest()[:_KEY_LENGTH]
