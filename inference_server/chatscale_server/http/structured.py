"""From a stranger's JSON schema to constraints: bounded before work, off the event loop, within a deadline."""

import asyncio
import json
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from chatscale_contract.openai.errors import ApiError, bad_request
from chatscale_server.engine.protocol import Engine, SchemaError
from chatscale_server.engine.request import Constraint
from chatscale_server.http.chat_schema import Form

MAX_SCHEMA_CHARS: Final = 32_768
MAX_SCHEMA_CONTAINERS: Final = 2_000
"""Objects and lists: some hundred properties."""
COMPILE_TIMEOUT_S: Final = 5.0
"""Real schemas take milliseconds."""
BUSY_RETRY_AFTER_S: Final = 5


class Schemas:
    """One thread for all schemas, so that hostile ones hold up each other and nobody else.

    `timeout_s`: first for the thread to be free, then for the work.
    """

    def __init__(self, engine: Engine, timeout_s: float = COMPILE_TIMEOUT_S) -> None:
        self._engine = engine
        self._timeout_s = timeout_s
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="schemas")

    async def constraints(self, form: Form, count: int) -> list[Constraint]:
        """A constraint for each of `count` choices. Raises ApiError."""
        text = json.dumps(form.schema, ensure_ascii=False, separators=(",", ":"))
        if len(text) > MAX_SCHEMA_CHARS or text.count("{") + text.count("[") > MAX_SCHEMA_CONTAINERS:
            raise bad_request(
                f"{form.param}: a schema has at most {MAX_SCHEMA_CHARS} characters, {MAX_SCHEMA_CONTAINERS} brackets",
                param=form.param, code="invalid_value",
            )  # fmt: skip
        loop, began = asyncio.get_running_loop(), asyncio.Event()

        def compile_all() -> list[Constraint]:
            loop.call_soon_threadsafe(began.set)
            return [self._engine.constraint(text, form.before, form.after) for _ in range(count)]

        job = self._thread.submit(compile_all)
        try:
            await self._begin(began)
            async with asyncio.timeout(self._timeout_s):
                return await asyncio.wrap_future(job)
        except SchemaError as error:
            raise bad_request(f"{form.param}: {error}", param=form.param, code="invalid_value") from error
        except TimeoutError as error:
            raise bad_request(
                f"{form.param}: the schema is too complex", param=form.param, code="invalid_value"
            ) from error
        finally:
            job.cancel()

    async def _begin(self, began: asyncio.Event) -> None:
        try:
            async with asyncio.timeout(self._timeout_s):
                await began.wait()
        except TimeoutError as error:
            raise ApiError(
                503, "other schemas are being compiled", code="schemas_busy", retry_after_s=BUSY_RETRY_AFTER_S
            ) from error
