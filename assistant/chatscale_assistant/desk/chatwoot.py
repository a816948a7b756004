"""Chatwoot as the desk, and as a channel: an agent bot's webhook brings customers' messages.

An agent bot answers conversations with the status `pending`. The hand-over sets the status `open`. The assistant is
silent in every other status. Webhooks of one conversation can reach different pods, so a pod answers only if its
webhook has the newest message of the customer: several quick messages get one answer.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from typing_extensions import override

from chatscale.api.v1alpha1.shopassistant import Language
from chatscale_assistant.desk.chatwoot_api import PENDING, ChatwootApi, MessageType, StoredMessage
from chatscale_assistant.desk.outgoing import DeskFailedError
from chatscale_assistant.domain.answer import Answer
from chatscale_assistant.domain.conversation import Conversation, Speaker, Turn
from chatscale_assistant.domain.interfaces import Desk
from chatscale_assistant.errors import InvalidRequestError
from chatscale_contract.assistant.extras import HandOverState

log = logging.getLogger(__name__)

ID_PREFIX: Final = "chatwoot-"
QUIET_S: Final = 1.0
"""A question ends when the customer has written nothing for this long."""
DEADLINE_S: Final = 60.0
"""For the whole handling of one message."""
HAND_OVER_DEADLINE_S: Final = 5.0
SEND_ATTEMPTS: Final = 3
RETRY_PAUSE_S: Final = 0.5
Respond = Callable[[Conversation], Awaitable[Answer]]


@dataclass(frozen=True, slots=True)
class Incoming:
    """A customer's new message, from a webhook."""

    conversation: int
    message: int


def read_event(body: Any) -> Incoming | None:
    """The message of a `message_created` event that the assistant may answer; None for every other event.

    Raises InvalidRequestError for a body that is no event.
    """
    if not isinstance(body, dict) or not isinstance(body.get("event"), str):
        raise InvalidRequestError("the body must be a webhook event of Chatwoot", "event")
    if body["event"] != "message_created" or body.get("message_type") != "incoming" or body.get("private") is True:
        return None
    conversation = body.get("conversation")
    if not isinstance(conversation, dict) or conversation.get("status") != PENDING:
        return None
    number, message = _number(conversation.get("id")), _number(body.get("id"))
    if number is None or message is None:
        raise InvalidRequestError("the event must have the numbers of its message and conversation", "id")
    return Incoming(number, message)


@dataclass(slots=True)
class ChatwootDesk(Desk):
    """The desk, and the answers to its webhooks. Used on the event loop only."""

    api: ChatwootApi
    quiet_s: float = QUIET_S
    now: Callable[[], datetime] = field(default=lambda: datetime.fromtimestamp(time.time(), UTC))
    _waiting: dict[int, asyncio.Task[None]] = field(default_factory=dict)
    """Conversation -> the task that waits until the customer's question is complete."""

    @override
    async def hand_over(self, conversation: Conversation, *, summary: str, language: Language, reason: str) -> bool:
        """Give the conversation to people, with a private note for them. False for a conversation outside Chatwoot."""
        number = number_of(conversation)
        if number is None:
            return False
        try:
            async with asyncio.timeout(HAND_OVER_DEADLINE_S):
                await self.api.note(number, summary)
                await self.api.open(number)
        except (DeskFailedError, TimeoutError) as error:
            log.warning("hand-over not accepted", extra={"conversation": number, "reason": str(error)})
            return False
        return True

    @override
    async def has_person(self, conversation: Conversation) -> bool:
        """Whether people answer now. True if Chatwoot does not respond: the assistant must not talk over a person."""
        number = number_of(conversation)
        if number is None:
            return False
        try:
            return await self.api.status(number) != PENDING
        except DeskFailedError as error:
            log.warning("status of the conversation unknown", extra={"conversation": number, "reason": str(error)})
            return True

    def problem(self) -> str:
        """Why the Secret cannot be used; empty if it can."""
        return self.api.problem()

    async def receive(self, incoming: Incoming, respond: Respond) -> None:
        """Answer a message after the customer has been quiet. A newer message of the conversation replaces it."""
        earlier = self._waiting.get(incoming.conversation)
        if earlier is not None:
            earlier.cancel()
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("a message is handled by a task")
        self._waiting[incoming.conversation] = task
        try:
            await asyncio.sleep(self.quiet_s)
        finally:
            if self._waiting.get(incoming.conversation) is task:
                del self._waiting[incoming.conversation]
        try:
            async with asyncio.timeout(DEADLINE_S):
                await self._answer(incoming, respond)
        except (DeskFailedError, TimeoutError) as error:
            fields = {"conversation": incoming.conversation, "reason": str(error) or "deadline passed"}
            log.warning("message not answered", extra=fields)

    async def _answer(self, incoming: Incoming, respond: Respond) -> None:
        conversation = await self._conversation(incoming)
        if conversation is None:
            return
        answer = await respond(conversation)
        if not answer.text:
            return
        # A person, or a newer message, may have come in the meantime. After a hand-over the status is not `pending`.
        messages = await self.api.messages(incoming.conversation)
        if not _is_open_question(messages, incoming.message):
            return
        handed_over = answer.hand_over is not HandOverState.NONE
        if not handed_over and await self.api.status(incoming.conversation) != PENDING:
            return
        await self._send(incoming.conversation, answer.text)

    async def _send(self, conversation: int, text: str) -> None:
        for attempt in range(1, SEND_ATTEMPTS + 1):
            try:
                await self.api.send(conversation, text)
            except DeskFailedError as error:
                if attempt == SEND_ATTEMPTS or not error.retryable:
                    raise
                await asyncio.sleep(RETRY_PAUSE_S * attempt)
            else:
                return

    async def _conversation(self, incoming: Incoming) -> Conversation | None:
        """None if there is nothing to answer: a person answers, a newer message came, or an answer is there."""
        if await self.api.status(incoming.conversation) != PENDING:
            return None
        messages = await self.api.messages(incoming.conversation)
        if not _is_open_question(messages, incoming.message):
            return None
        turns = turns_of(messages)
        if not turns or turns[-1].speaker is not Speaker.CUSTOMER or not turns[-1].text.strip():
            return None
        return Conversation(f"{ID_PREFIX}{incoming.conversation}", turns, self.now())


def number_of(conversation: Conversation) -> int | None:
    """Chatwoot's number of a conversation; None for one of another channel."""
    if not conversation.id.startswith(ID_PREFIX):
        return None
    return _number(conversation.id.removeprefix(ID_PREFIX))


def turns_of(messages: tuple[StoredMessage, ...]) -> tuple[Turn, ...]:
    """The turns since a person wrote last: the status `pending` says that this case is closed."""
    start = 0
    for index, message in enumerate(messages):
        if message.kind is MessageType.OUTGOING and not message.is_ours:
            start = index + 1
    turns: list[Turn] = []
    for message in messages[start:]:
        if message.kind not in {MessageType.INCOMING, MessageType.OUTGOING}:
            continue
        speaker = Speaker.CUSTOMER if message.kind is MessageType.INCOMING else Speaker.ASSISTANT
        if turns and turns[-1].speaker is speaker:
            turns[-1] = Turn(speaker, f"{turns[-1].text}\n{message.text}")
        else:
            turns.append(Turn(speaker, message.text))
    return tuple(turns)


def _is_open_question(messages: tuple[StoredMessage, ...], number: int) -> bool:
    """Whether the message is the customer's newest and nobody has written after it."""
    return not any(
        message.id > number and message.kind in {MessageType.INCOMING, MessageType.OUTGOING} for message in messages
    )


def _number(value: Any) -> int | None:
    """A positive number, also as text, as older versions of Chatwoot send it."""
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 16:  # noqa: PLR2004
        value = int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else None
