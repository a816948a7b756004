"""What every endpoint with a body does first: refuse at the door, read, find the model, make tokens."""

from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass

from aiohttp import web

from chatscale_contract.openai.errors import ApiError, bad_request
from chatscale_server.engine.protocol import Engine, ModelInfo, PromptError
from chatscale_server.http.body import Uploads, read_body
from chatscale_server.http.bridge import Bridge
from chatscale_server.http.chat_schema import ChatRequest
from chatscale_server.http.lifecycle import Lifecycle
from chatscale_server.http.off_loop import INLINE_CHARS, off_loop


@dataclass(frozen=True, slots=True)
class Intake:
    """Shared by all handlers."""

    engine: Engine
    bridge: Bridge
    lifecycle: Lifecycle
    served_name: str
    uploads: Uploads

    def body(self, http: web.Request) -> AbstractAsyncContextManager[bytes]:
        """The whole body. Stay inside until it is tokens: so many wait for a thread, no more. Raises ApiError."""
        return read_body(http, self.uploads)

    def model(self, name: str | None) -> ModelInfo:
        """The one model, which need not be named everywhere. Raises ApiError 404 for another."""
        if name is not None and name != self.served_name:
            raise ApiError(
                404, f'the model "{name}" does not exist here; this server has "{self.served_name}"',
                param="model", code="model_not_found",
            )  # fmt: skip
        if self.bridge.info is None:
            raise RuntimeError("check_open() comes first")
        return self.bridge.info

    async def encode(self, prompt: str | list[int]) -> list[int]:
        """Tokens of a plain prompt."""
        if isinstance(prompt, list):
            return prompt
        return await off_loop(lambda: self.engine.encode(prompt), len(prompt))

    async def encode_chat(self, asked: ChatRequest, info: ModelInfo) -> list[int]:
        """Tokens of a conversation. Raises ApiError for what this model's template cannot take."""
        asked.check_model(takes_tools=info.takes_tools, takes_schemas=info.takes_schemas)
        messages, tools = asked.conversation(), asked.offered_tools
        size = sum(len(message.content) for message in messages) + INLINE_CHARS * bool(tools)
        try:
            return await off_loop(lambda: self.engine.encode_chat(messages, tools), size)
        except PromptError as error:
            raise bad_request(f"messages: {error}", param="messages", code="invalid_value") from error
