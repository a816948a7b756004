"""From the messages of a request to the turns of a conversation. Pure.

System messages are the client's and have no power: the persona comes from the ShopAssistant. One exception only ends a
case: a system or developer message with the name `closed`.
"""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from chatscale_assistant.domain.conversation import Conversation, Customer, Speaker, Turn
from chatscale_assistant.errors import InvalidRequestError
from chatscale_contract.assistant.extras import HandOverState, RequestExtras

PERSON_NAME: Final = "person"
"""`name` of staff's messages, which have the role `assistant`."""
CLOSED_NAME: Final = "closed"
"""`name` of the system message that ends a case."""
_SYSTEM_ROLES: Final = frozenset({"system", "developer"})
_TEXT_PARTS: Final = frozenset({"text", "refusal"})
_ID_LENGTH: Final = 32


@dataclass(frozen=True, slots=True)
class Message:
    """One message with its text."""

    role: str
    text: str
    name: str = ""


def read_messages(raw: Sequence[Any], *, max_messages: int, max_characters: int) -> tuple[Message, ...]:
    """Validate OpenAI messages.  max_characters: of one message of a customer.

    Raises InvalidRequestError, which names the message and never quotes it.
    """
    if not raw:
        raise InvalidRequestError("messages must have at least one message", "messages")
    if len(raw) > max_messages:
        raise InvalidRequestError(f"messages must have at most {max_messages} messages, found {len(raw)}", "messages")
    messages = tuple(_read_message(message, f"messages[{index}]") for index, message in enumerate(raw))
    for index, message in enumerate(messages):
        if message.role == "user" and len(message.text) > max_characters:
            text = f"must have at most {max_characters} characters, found {len(message.text)}"
            raise InvalidRequestError(f"messages[{index}].content {text}", f"messages[{index}].content")
    return messages


def build_conversation(
    messages: Sequence[Message], extras: RequestExtras, *, customer: Customer | None, now: datetime
) -> Conversation:
    """The conversation of the open case.  Raises InvalidRequestError if its last turn is not a customer's text."""
    opened = list(_turns_of_open_case(messages, ended=extras.hand_over is HandOverState.NONE))
    if not opened or opened[-1].speaker is not Speaker.CUSTOMER:
        raise InvalidRequestError("the last message must be of the customer (role user)", "messages")
    if not opened[-1].text.strip():
        raise InvalidRequestError("the last message must have text", f"messages[{len(messages) - 1}].content")
    return Conversation(
        id=extras.conversation or _id_of_first(messages, customer),
        turns=tuple(opened),
        now=now,
        customer=customer,
        pending=extras.pending,
        hand_over=extras.hand_over,
        named=bool(extras.conversation),
    )


def _turns_of_open_case(messages: Sequence[Message], *, ended: bool) -> Iterator[Turn]:
    """The joined turns after the last closed case.  ended: the client says that no person answers any more."""
    start = 0
    for index, message in enumerate(messages):
        closes = message.role in _SYSTEM_ROLES and message.name == CLOSED_NAME
        if closes or (ended and _speaker(message) is Speaker.PERSON):
            start = index + 1
    yield from _join(messages[start:])


def _join(messages: Iterable[Message]) -> Iterator[Turn]:
    speaker: Speaker | None = None
    texts: list[str] = []
    for message in messages:
        found = _speaker(message)
        if found is None:
            continue
        if found is not speaker and speaker is not None:
            yield Turn(speaker, "\n".join(texts))
            texts = []
        speaker = found
        texts.append(message.text)
    if speaker is not None:
        yield Turn(speaker, "\n".join(texts))


def _speaker(message: Message) -> Speaker | None:
    if message.role == "user":
        return Speaker.CUSTOMER
    if message.role == "assistant":
        return Speaker.PERSON if message.name == PERSON_NAME else Speaker.ASSISTANT
    return None


def _read_message(message: Any, place: str) -> Message:
    if not isinstance(message, dict):
        raise InvalidRequestError(f"{place} must be an object, found {type(message).__name__}", place)
    role = message.get("role")
    if role in {"tool", "function"} or message.get("tool_calls") or message.get("function_call"):
        text = "tools of the client are not supported: the assistant calls the shop's own tools"
        raise InvalidRequestError(f"{place}: {text}", f"{place}.role")
    if role not in {"user", "assistant", *_SYSTEM_ROLES}:
        raise InvalidRequestError(f"{place}.role must be user, assistant, system or developer", f"{place}.role")
    name = message.get("name")
    if name is not None and not isinstance(name, str):
        raise InvalidRequestError(f"{place}.name must be a text, found {type(name).__name__}", f"{place}.name")
    return Message(role, _clean(_read_content(message.get("content"), f"{place}.content")), name or "")


def _read_content(content: Any, place: str) -> str:
    if content is None:
        return ""
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        raise InvalidRequestError(f"{place} must be a text or a list of parts", place)
    texts = []
    for index, part in enumerate(content):
        kind = part.get("type") if isinstance(part, dict) else None
        if kind not in _TEXT_PARTS:
            raise InvalidRequestError(f"{place}[{index}]: only text parts are supported", f"{place}[{index}].type")
        text = part.get(kind)
        if not isinstance(text, str):
            raise InvalidRequestError(f"{place}[{index}].{kind} must be a text", f"{place}[{index}].{kind}")
        texts.append(text)
    return "\n".join(texts)


def _clean(text: str) -> str:
    """Without lone surrogates and control characters, which neither UTF-8 nor an index accepts."""
    return "".join(char for char in text if char in "\n\t" or (char >= " " and not "\ud800" <= char <= "\udfff"))


def _id_of_first(messages: Sequence[Message], customer: Customer | None) -> str:
    first = next((message.text for message in messages if message.role == "user"), "")
    owner = customer.id if customer else ""
    return hashlib.sha256(f"{owner}\n{first}".encode()).hexdigest()[:_ID_LENGTH]
