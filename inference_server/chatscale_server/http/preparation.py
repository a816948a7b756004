"""What a request needs before admission: body, token ids, token constraints. Long work runs off the event loop."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Final

from aiohttp import web

from chatscale_contract.openai.errors import ApiError, bad_request
from chatscale_contract.server.environment import ReasoningFormat
from chatscale_server.engine.protocol import Engine, ModelInfo, PromptError, SchemaError
from chatscale_server.engine.request import Constraint
from chatscale_server.http.bridge import Bridge
from chatscale_server.http.chat_schema import ChatBody
from chatscale_server.http.lifecycle import Lifecycle
from chatscale_server.http.output_rules import ResponseConstraint
from chatscale_server.http.reasoning import opens_reasoning
from chatscale_server.http.transport import INLINE_CHARS, UploadBudget, off_loop, read_body

MAX_SCHEMA_CHARS: Final = 32_768
MAX_SCHEMA_CONTAINERS: Final = 2_000
"""Objects and lists: enough for several hundred properties."""
COMPILE_TIMEOUT_S: Final = 5.0
"""Real schemas compile within milliseconds."""
BUSY_RETRY_AFTER_S: Final = 5
PROMPT_END_TOKENS: Final = 16
"""The opening mark of the reasoning and the white space after it have fewer tokens, in any vocabulary."""


@dataclass(frozen=True, slots=True)
class RequestPreparation:
    """Steps that all handlers with a request body share."""

    engine: Engine
    bridge: Bridge
    lifecycle: Lifecycle
    served_name: str
    uploads: UploadBudget

    def read_body(self, http: web.Request) -> AbstractAsyncContextManager[bytes]:
        """The complete body. Raises ApiError.

        Tokenize within the context: it bounds the number of bodies that wait for a thread.
        """
        return read_body(http, self.uploads)

    def find_model(self, name: str | None) -> ModelInfo:
        """The served model. None, where the field is optional, selects it too. Raises ApiError 404 for another name."""
        if name is not None:
            self.check_name(name)
        if self.bridge.info is None:
            raise RuntimeError("check_open() must be called first")
        return self.bridge.info

    def check_name(self, name: str) -> None:
        """Raises ApiError 404 for any name but that of the served model."""
        if name != self.served_name:
            raise ApiError(
                404, f'the model "{name}" does not exist here; this server serves "{self.served_name}"',
                param="model", code="model_not_found",
            )  # fmt: skip

    async def encode(self, prompt: str | list[int]) -> list[int]:
        """Token ids of a plain prompt."""
        if isinstance(prompt, list):
            return prompt
        return await off_loop(lambda: self.engine.encode(prompt), len(prompt))

    async def encode_chat(self, body: ChatBody, info: ModelInfo) -> list[int]:
        """Token ids of a conversation. Raises ApiError for what the model's chat template does not support."""
        body.check_model(takes_tools=info.takes_tools, takes_schemas=info.takes_schemas)
        messages, tools = body.conversation(), body.offered_tools
        variables = body.template_variables(info.template_variables)
        chars = sum(len(message.content) for message in messages) + INLINE_CHARS * bool(tools)
        try:
            return await off_loop(lambda: self.engine.encode_chat(messages, tools, variables), chars)
        except PromptError as error:
            raise bad_request(f"messages: {error}", param="messages", code="invalid_value") from error

    def begins_inside(self, prompt: list[int], info: ModelInfo) -> bool:
        """True if the output to a chat prompt begins within the reasoning."""
        if info.reasoning_format is ReasoningFormat.NONE:
            return False
        return opens_reasoning(info.reasoning_format, self.engine.decode(prompt[-PROMPT_END_TOKENS:]))


class SchemaCompiler:
    """Compiles output forms of clients into token constraints, in one thread of its own.

    A schema that is slow to compile delays other schemas, and nothing else. `timeout_s` limits first the wait for
    the thread, then the compilation.
    """

    def __init__(self, engine: Engine, timeout_s: float = COMPILE_TIMEOUT_S) -> None:
        self._engine = engine
        self._timeout_s = timeout_s
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="schemas")

    async def compile(self, required: ResponseConstraint, count: int) -> list[Constraint]:
        """One constraint for each of `count` choices. Raises ApiError."""
        text = required.source
        if len(text) > MAX_SCHEMA_CHARS or text.count("{") + text.count("[") > MAX_SCHEMA_CONTAINERS:
            raise bad_request(
                f"{required.param}: the schema has more than {MAX_SCHEMA_CHARS} characters or "
                f"{MAX_SCHEMA_CONTAINERS} objects and lists",
                param=required.param, code="invalid_value",
            )  # fmt: skip
        loop, started = asyncio.get_running_loop(), asyncio.Event()

        def compile_all() -> list[Constraint]:
            loop.call_soon_threadsafe(started.set)
            return [self._engine.constraint(required.form) for _ in range(count)]

        job = self._thread.submit(compile_all)
        try:
            await self._wait_for_start(started)
            async with asyncio.timeout(self._timeout_s):
                return await asyncio.wrap_future(job)
        except SchemaError as error:
            raise bad_request(f"{required.param}: {error}", param=required.param, code="invalid_value") from error
        except TimeoutError as error:
            raise bad_request(
                f"{required.param}: the schema is too complex", param=required.param, code="invalid_value"
            ) from error
        finally:
            job.cancel()

    async def _wait_for_start(self, started: asyncio.Event) -> None:
        try:
            async with asyncio.timeout(self._timeout_s):
                await started.wait()
        except TimeoutError as error:
            raise ApiError(
                503,
                "other schemas are being compiled; try again later",
                code="schemas_busy",
                retry_after_s=BUSY_RETRY_AFTER_S,
            ) from error
