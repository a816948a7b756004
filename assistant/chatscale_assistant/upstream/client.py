"""One request to the chat model, behind an OpenAI-compatible API: the gateway, or an external one.

Text of requests and answers appears in no log line and no error message.
"""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from http import HTTPStatus
from typing import Any, Final

from aiohttp import ClientError, ClientResponse, ClientSession, ClientTimeout, hdrs

from chatscale.api.v1alpha1.shopassistant import AssistantModel
from chatscale_assistant.upstream.body import read_body
from chatscale_assistant.upstream.weights import NotKnown, read_weights
from chatscale_contract.assistant.endpoints import FROM_ASSISTANT_HEADER
from chatscale_contract.gateway.endpoints import HELD_SECONDS_HEADER, OVERLOAD_HEADER
from chatscale_contract.openai.sse import encode_json

PATH: Final = "/chat/completions"
MAX_RESPONSE_BYTES: Final = 1024**2
MAX_RETRY_AFTER_S: Final = 30.0
DEFAULT_RETRY_AFTER_S: Final = 2.0
HELD_TOO_LONG_S: Final = 0.5
"""A request that the gateway held for longer is a sign of overload."""
_SENTENCE_END: Final = re.compile(r"[.!?…](?=\s|$|[\"'”»」])|[\u3002\uff01\uff1f]")
"""Latin ends, and the full-width ones of Chinese, which need no space after them."""


class Failure(StrEnum):
    """Why there is no text."""

    OVERLOADED = "overloaded"
    """429 or 503."""
    TIMEOUT = "timeout"
    ERROR = "error"
    """Anything else: no connection, another status, a body without text."""


class ModelFailedError(Exception):
    """The model returned no text. The message has no text of the request or the answer."""

    def __init__(self, failure: Failure, detail: str, *, retry_after_s: float = 0.0) -> None:
        super().__init__(f"{failure}: {detail}")
        self.failure = failure
        self.retry_after_s = retry_after_s


@dataclass(frozen=True, slots=True)
class Completion:
    """A text of the model."""

    text: str
    under_load: bool = False
    """The gateway held the request, or changed it because of overload."""


@dataclass(frozen=True, slots=True)
class Target:
    """Where the model is."""

    base_url: str
    """Up to and without `/chat/completions`."""
    model: str


def target_of(model: AssistantModel, gateway_url: str, namespace: str) -> Target | None:
    """From the spec. The gateway finds a ChatModel of another namespace by `namespace/name`, so the name has it always.

    None without an address.
    """
    if model.external is not None:
        return Target(model.external.base_url.rstrip("/"), model.external.model)
    if not gateway_url or model.chat_model is None:
        return None
    name = f"{namespace}/{model.chat_model}" if namespace else model.chat_model
    return Target(f"{gateway_url.rstrip('/')}/v1", name)


@dataclass(frozen=True, slots=True)
class ModelClient:
    """Sends requests."""

    session: ClientSession
    target: Target
    read_key: Callable[[], str]
    """The API key now; empty for none. The file can change while the process runs."""

    async def complete(self, system: str, user: str, *, max_tokens: int) -> Completion:
        """The model's text, cut after its last complete sentence if the model reached `max_tokens`.

        Raises ModelFailedError. The caller limits the time.
        """
        messages = [{"role": "system", "content": system}, {"role": "user", "content": user}]
        body = {"model": self.target.model, "messages": messages, "max_tokens": max_tokens, "temperature": 0}
        headers = {hdrs.CONTENT_TYPE: "application/json", FROM_ASSISTANT_HEADER: "1"}
        if key := self.read_key():
            headers[hdrs.AUTHORIZATION] = f"Bearer {key}"
        try:
            async with self.session.post(
                self.target.base_url + PATH, data=encode_json(body).encode(), headers=headers, allow_redirects=False
            ) as response:
                return await _read(response)
        except TimeoutError as error:
            raise ModelFailedError(Failure.TIMEOUT, "no connection in time") from error
        except (ClientError, OSError, ValueError) as error:
            raise ModelFailedError(Failure.ERROR, type(error).__name__) from error

    async def weights(self) -> str | NotKnown:
        """Where the model's weights are now (`read_weights`)."""
        return await read_weights(self.session, self.target.base_url, self.target.model, self.read_key())


def model_session() -> ClientSession:
    """A session without environment proxies. The caller's deadline limits each request; this only bounds connecting."""
    return ClientSession(timeout=ClientTimeout(total=None, sock_connect=2.0), trust_env=False)


async def _read(response: ClientResponse) -> Completion:
    if response.status in {HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE}:
        raise ModelFailedError(
            Failure.OVERLOADED, f"HTTP {response.status}", retry_after_s=_retry_after_s(response.headers)
        )
    if response.status != HTTPStatus.OK:
        raise ModelFailedError(Failure.ERROR, f"HTTP {response.status}")
    text, finish = _text_of(await read_body(response, MAX_RESPONSE_BYTES))
    if finish == "length":
        text = _complete_sentences(text)
    if not text.strip():
        raise ModelFailedError(Failure.ERROR, "an answer without text")
    held_s = _number(response.headers.get(HELD_SECONDS_HEADER, ""))
    return Completion(text.strip(), under_load=held_s > HELD_TOO_LONG_S or OVERLOAD_HEADER in response.headers)


def _text_of(raw: bytes) -> tuple[str, str]:
    """Text and finish reason. Raises ModelFailedError for anything that is no chat completion."""
    try:
        body: Any = json.loads(raw)
        choice = body["choices"][0]
        text, finish = choice["message"]["content"], choice.get("finish_reason")
    except (ValueError, KeyError, IndexError, TypeError, AttributeError, RecursionError) as error:
        # Not `from error`: it quotes the answer.
        raise ModelFailedError(Failure.ERROR, f"no chat completion ({type(error).__name__})") from None
    return (text if isinstance(text, str) else ""), str(finish)


def _complete_sentences(text: str) -> str:
    """Up to the last sentence that ends."""
    ends = [match.end() for match in _SENTENCE_END.finditer(text)]
    return text[: ends[-1]] if ends else ""


def _retry_after_s(headers: Any) -> float:
    return min(MAX_RETRY_AFTER_S, _number(headers.get(hdrs.RETRY_AFTER, "")) or DEFAULT_RETRY_AFTER_S)


def _number(text: str) -> float:
    try:
        return max(0.0, float(text))
    except ValueError:
        return 0.0
