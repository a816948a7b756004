"""The part of Chatwoot's public application API that the desk uses (developers.chatwoot.com/api-reference)."""

from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Final

from yarl import URL

from chatscale_assistant.desk.outgoing import DeskFailedError, Outgoing, base_url
from chatscale_assistant.settings import SecretFiles
from chatscale_contract.openai.sse import encode_json

TOKEN_HEADER: Final = "api_access_token"  # noqa: S105 - a header's name
PENDING: Final = "pending"
"""Status of a conversation that an agent bot answers."""
OPEN: Final = "open"
"""Status of a conversation that people answer."""
OUR_MARK: Final = "chatscale"
"""Key in `content_attributes` of the assistant's own messages: a token of a user sends them in the user's name."""


class MessageType(IntEnum):
    """`message_type` of a stored message."""

    INCOMING = 0
    OUTGOING = 1
    ACTIVITY = 2
    TEMPLATE = 3


@dataclass(frozen=True, slots=True)
class StoredMessage:
    """One message of a conversation."""

    id: int
    kind: MessageType
    text: str
    is_ours: bool
    """The assistant wrote it."""
    has_attachment: bool = False


@dataclass(frozen=True, slots=True)
class ChatwootApi:
    """Calls for one account. Address, token and account are read from the Secret for each call."""

    outgoing: Outgoing
    secret_files: SecretFiles

    async def status(self, conversation: int) -> str:
        """`open`, `pending`, `resolved` or `snoozed`. Raises DeskFailedError."""
        found = await self._send("GET", conversation, "")
        return str(found.get("status", "")) if isinstance(found, dict) else ""

    async def messages(self, conversation: int) -> tuple[StoredMessage, ...]:
        """The newest messages, oldest first, without private notes. Raises DeskFailedError."""
        found = await self._send("GET", conversation, "messages")
        payload = found.get("payload") if isinstance(found, dict) else None
        if not isinstance(payload, list):
            raise DeskFailedError("Chatwoot returned no list of messages", retryable=True)
        messages = (_read(raw) for raw in payload)
        return tuple(sorted((each for each in messages if each is not None), key=lambda message: message.id))

    async def send(self, conversation: int, text: str) -> None:
        """Write to the customer. Raises DeskFailedError."""
        body = {"content": text, "message_type": "outgoing", "private": False, "content_attributes": {OUR_MARK: True}}
        await self._send("POST", conversation, "messages", body)

    async def note(self, conversation: int, text: str) -> None:
        """Write to staff only. Raises DeskFailedError."""
        body = {"content": text, "message_type": "outgoing", "private": True, "content_attributes": {OUR_MARK: True}}
        await self._send("POST", conversation, "messages", body)

    async def open(self, conversation: int) -> None:
        """Give the conversation to people. Raises DeskFailedError."""
        await self._send("POST", conversation, "toggle_status", {"status": OPEN})

    def problem(self) -> str:
        """Why the Secret cannot be used; empty if it can. Has no text of the Secret."""
        try:
            self._account_url()
        except DeskFailedError as error:
            return str(error)
        return "" if self.secret_files.read("desk/apiToken") else "the Secret has no apiToken"

    async def _send(self, method: str, conversation: int, path: str, body: dict[str, Any] | None = None) -> Any:
        url = self._account_url() / "conversations" / str(conversation)
        headers = {TOKEN_HEADER: self.secret_files.read("desk/apiToken")}
        raw = None if body is None else encode_json(body).encode()
        return await self.outgoing.send(method, url / path if path else url, body=raw, headers=headers)

    def _account_url(self) -> URL:
        account = self.secret_files.read("desk/accountId")
        if not account.isascii() or not account.isdigit():
            raise DeskFailedError("the Secret's accountId must be a number", retryable=False)
        return base_url(self.secret_files.read("desk/url")) / "api/v1/accounts" / account


def _read(raw: Any) -> StoredMessage | None:
    """None for a private note, and for what is no message."""
    if not isinstance(raw, dict) or raw.get("private") is True:
        return None
    number, kind = raw.get("id"), raw.get("message_type")
    if not isinstance(number, int) or kind not in set(MessageType):
        return None
    sender, marks = raw.get("sender"), raw.get("content_attributes")
    is_bot = isinstance(sender, dict) and sender.get("type") == "agent_bot"
    is_marked = isinstance(marks, dict) and marks.get(OUR_MARK) is True
    text = raw.get("content")
    return StoredMessage(
        number,
        MessageType(kind),
        text if isinstance(text, str) else "",
        is_ours=kind == MessageType.OUTGOING and (is_bot or is_marked),
        has_attachment=bool(raw.get("attachments")),
    )
