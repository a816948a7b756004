"""A scripted customer: sends the whole conversation with each message, as every client of an assistant does."""

import time
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from typing import Any, Final

import aiohttp

from chatscale_contract.assistant.endpoints import CUSTOMER_TOKEN_HEADER, EXTRAS_FIELD
from chatscale_contract.assistant.extras import AnswerExtras
from chatscale_contract.server.endpoints import CHAT_COMPLETIONS_PATH
from hack import keys
from hack.demo.steps import StepFailedError

TIMEOUT_S: Final = 30.0


@dataclass(frozen=True, slots=True)
class Place:
    """Where the assistant answers."""

    base_url: str
    """Of the gateway."""
    key: str = field(repr=False)
    model: str
    """Name of the ShopAssistant."""


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer, or the status of a refusal."""

    text: str
    extras: AnswerExtras | None
    """None: refused."""
    seconds: float
    status: int = 200
    question: str = ""

    @property
    def is_grounded(self) -> bool:
        """Whether it cites a source or hands the customer over to a person."""
        return self.extras is not None and bool(self.extras.citations or self.extras.hand_over != "none")


@dataclass(slots=True)
class Customer:
    """One conversation."""

    place: Place
    session: aiohttp.ClientSession
    conversation: str
    """The shop's id of it."""
    token: str = field(default="", repr=False)
    """The shop's signed token for the customer; empty: an unknown customer."""
    messages: list[dict[str, str]] = field(default_factory=list)
    pending: str = ""

    def person_writes(self, text: str) -> None:
        """A message of the shop's staff, as a desk adds it to the conversation."""
        self.messages.append({"role": "assistant", "name": "person", "content": text})

    async def say(self, text: str) -> Reply:
        """Send a message, and return the answer. Raises aiohttp.ClientError or TimeoutError without one."""
        self.messages.append({"role": "user", "content": text})
        headers = keys.bearer(self.place.key)
        if self.token:
            headers[CUSTOMER_TOKEN_HEADER] = self.token
        extras = {"conversation": self.conversation, "pending": self.pending}
        body = {"model": self.place.model, "messages": self.messages, EXTRAS_FIELD: extras}
        began_s = time.monotonic()
        async with self.session.post(
            self.place.base_url + CHAT_COMPLETIONS_PATH,
            json=body,
            headers=headers,
            timeout=aiohttp.ClientTimeout(total=TIMEOUT_S),
        ) as response:
            found = await response.json(content_type=None)
        reply = replace(read_reply(found, response.status, time.monotonic() - began_s), question=text)
        self.messages.append({"role": "assistant", "content": reply.text})
        self.pending = (reply.extras and reply.extras.pending) or ""
        return reply


def read_reply(body: Any, status: int, seconds: float) -> Reply:
    """The answer in a response. StepFailedError if a successful response has no `chatscale` object."""
    if status >= HTTPStatus.BAD_REQUEST:
        return Reply(str(body.get("error", {}).get("message", "")), None, seconds, status)
    if EXTRAS_FIELD not in body:
        raise StepFailedError(f"the answer has no object {EXTRAS_FIELD!r}: is the model an assistant?")
    return Reply(
        str(body["choices"][0]["message"]["content"]), AnswerExtras.model_validate(body[EXTRAS_FIELD]), seconds, status
    )
