"""A chat model behind an OpenAI-compatible API, as `--model` names it."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Final

import aiohttp
from typing_extensions import override

from chatscale_assistant.domain.interfaces import ChatModel
from chatscale_assistant.errors import SourceError

Message = dict[str, Any]
"""A message of OpenAI's chat API."""
_TIMEOUT_S: Final = 120.0
_SHOWN: Final = 200


@dataclass(slots=True)
class UrlModel(ChatModel):
    """The client. `drafts` and `seconds` record what `write` returned."""

    session: aiohttp.ClientSession
    url: str
    """Up to and without /chat/completions."""
    name: str
    key: str = ""
    drafts: list[str] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)

    @override
    async def write(self, system: str, user: str, *, max_tokens: int, timeout_s: float) -> str | None:
        """The text; None if it does not come in time."""
        started = time.monotonic()
        messages = [{"role": "system", "content": system}, {"role": "user", "content": user}]
        try:
            message = await self.complete(messages, max_tokens=max_tokens, timeout_s=timeout_s)
        except TimeoutError:
            message = {}
        self.seconds.append(time.monotonic() - started)
        text = str(message.get("content") or "")
        if text:
            self.drafts.append(text)
        return text or None

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
                if response.status != HTTPStatus.OK:
                    said = (await response.text())[:_SHOWN]
                    raise SourceError(f"model {self.name} at {self.url}: status {response.status}: {said}")
                found = await response.json(content_type=None)
        except aiohttp.ClientError as e:
            raise SourceError(f"model {self.name} at {self.url}: {e}") from e
        try:
            message: Message = found["choices"][0]["message"]
        except (KeyError, IndexError, TypeError) as e:
            raise SourceError(f"model {self.name} at {self.url}: the answer has no message") from e
        return message
