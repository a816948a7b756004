"""From a stranger's JSON schema to constraints: bounded before work, off the event loop, within a deadline."""

import asyncio
import json
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

from chatscale_server.engine.protocol import Engine, SchemaError
from chatscale_server.engine.request import Constraint
from chatscale_server.http.errors import ApiError, bad_request

MAX_SCHEMA_CHARS: Final = 32_768
MAX_SCHEMA_CONTAINERS: Final = 2_000
"""Objects and lists: some hundred properties."""
COMPILE_TIMEOUT_S: Final = 5.0
"""Real schemas take milliseconds; a tokenizer's first one takes a third of a second more."""
BUSY_RETRY_AFTER_S: Final = 5
PARAM: Final = "response_format"


class Schemas:
    """One thread for all schemas, so that hostile ones hold up each other and nobody else."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="schemas")

    async def constraints(self, schema: Mapping[str, Any], count: int) -> list[Constraint]:
        """A constraint for each of `count` choices. Raises ApiError."""
        text = json.dumps(schema, ensure_ascii=False, separators=(",", ":"))
        if len(text) > MAX_SCHEMA_CHARS or text.count("{") + text.count("[") > MAX_SCHEMA_CONTAINERS:
            raise bad_request(
                f"{PARAM}: a schema has at most {MAX_SCHEMA_CHARS} characters and {MAX_SCHEMA_CONTAINERS} brackets",
                param=PARAM, code="invalid_value",
            )  # fmt: skip
        began = False

        def compile_all() -> list[Constraint]:
            nonlocal began
            began = True
            return [self._engine.constraint(text) for _ in range(count)]

        try:
            async with asyncio.timeout(COMPILE_TIMEOUT_S):
                return await asyncio.get_running_loop().run_in_executor(self._thread, compile_all)
        except SchemaError as error:
            raise bad_request(f"{PARAM}: {error}", param=PARAM, code="invalid_value") from error
        except TimeoutError as error:
            if not began:
                raise ApiError(503, "other schemas are being compiled", retry_after_s=BUSY_RETRY_AFTER_S) from error
            raise bad_request(f"{PARAM}: the schema is too complex", param=PARAM, code="invalid_value") from error
