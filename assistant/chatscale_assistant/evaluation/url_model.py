"""A chat model behind an OpenAI-compatible API, as `--model` names it."""

import json
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Final

import aiohttp
from typing_extensions import override

from chatscale_assistant.domain.interfaces import ChatModel
from chatscale_assistant.errors import SourceError
from chatscale_assistant.upstream.weights import NotKnown, read_weights

Message = dict[str, Any]
"""A message of OpenAI's chat API."""
_TIMEOUT_S: Final = 120.0
_SHOWN: Final = 200
MAX_RESPONSE_BYTES: Final = 4 * 1024**2
_CHUNK_BYTES: Final = 64 * 1024


@dataclass(slots=True)
class UrlModel(ChatModel):
    """The client. `drafts`, `seconds` and `failures` record the calls of `write`."""

    session: aiohttp.ClientSession
    url: str
    """Up to and without /chat/completions."""
    name: str
    key: str = ""
    drafts: list[str] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    """Of each call; infinite for a call without a text."""
    failures: list[str] = field(default_factory=list)
    """Why a call had no text."""

    @override
    async def write(self, system: str, user: str, *, max_tokens: int, timeout_s: float) -> str | None:
        """The text; None if the call fails, is late or has no text."""
        started = time.monotonic()
        messages = [{"role": "system", "content": system}, {"role": "user", "content": user}]
        try:
            message = await self.complete(messages, max_tokens=max_tokens, timeout_s=timeout_s)
            content = message.get("content")
            text, failure = content.strip() if isinstance(content, str) else "", "the answer has no text"
        except TimeoutError:
            text, failure = "", f"no answer within {timeout_s:.1f} s"
        except SourceError as e:
            text, failure = "", str(e)
        if not text:
            self.seconds.append(math.inf)
            self.failures.append(failure)
            return None
        self.seconds.append(time.monotonic() - started)
        self.drafts.append(text)
        return text

    async def check(self) -> None:
        """Raises SourceError if the API has no answer for a short request."""
        try:
            await self.complete([{"role": "user", "content": "Hello"}], max_tokens=8)
        except TimeoutError as e:
            raise SourceError(f"model {self.name} at {self.url}: no answer within {_TIMEOUT_S:.0f} s") from e

    async def weights(self) -> str | NotKnown:
        """Where the model's weights are now (`read_weights`)."""
        return await read_weights(self.session, self.url, self.name, self.key)

    async def complete(
        self,
        messages: Sequence[Message],
        *,
        tools: Sequence[Message] = (),
        max_tokens: int = 1024,
        timeout_s: float = _TIMEOUT_S,
    ) -> Message:
        """The model's message. Raises SourceError if the API refuses the request, TimeoutError if it is too late."""
        body: Message = {"model": self.name, "messages": list(messages), "max_tokens": max_tokens, "temperature": 0}
        if tools:
            body["tools"] = list(tools)
        headers = {"Authorization": f"Bearer {self.key}"} if self.key else {}
        timeout = aiohttp.ClientTimeout(total=timeout_s)
        address = f"{self.url.rstrip('/')}/chat/completions"
        try:
            async with self.session.post(address, json=body, headers=headers, timeout=timeout) as response:
                raw = await _read(response)
        except TimeoutError:
            raise
        except (aiohttp.ClientError, OSError, ValueError) as e:
            raise SourceError(f"model {self.name} at {self.url}: {type(e).__name__}: {e}") from e
        if response.status != HTTPStatus.OK:
            said = raw[:_SHOWN].decode(errors="replace")
            raise SourceError(f"model {self.name} at {self.url}: status {response.status}: {said}")
        if len(raw) > MAX_RESPONSE_BYTES:
            raise SourceError(f"model {self.name} at {self.url}: the answer is longer than {MAX_RESPONSE_BYTES} bytes")
        try:
            message = json.loads(raw)["choices"][0]["message"]
        except (ValueError, KeyError, IndexError, TypeError, RecursionError) as e:
            raise SourceError(f"model {self.name} at {self.url}: the answer is no chat completion") from e
        if not isinstance(message, dict):
            raise SourceError(f"model {self.name} at {self.url}: the answer's message is not an object")
        return message


async def _read(response: aiohttp.ClientResponse) -> bytes:
    """The body, cut soon after `MAX_RESPONSE_BYTES`."""
    raw = bytearray()
    async for chunk in response.content.iter_chunked(_CHUNK_BYTES):
        raw += chunk
        if len(raw) > MAX_RESPONSE_BYTES:
            break
    return bytes(raw)
