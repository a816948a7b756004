"""Handlers of tasks: POST /v1/tasks/NAME with one input, or with `inputs` as a batch."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from aiohttp import web

from chatscale_assistant import metrics
from chatscale_assistant.errors import InvalidRequestError
from chatscale_assistant.http.admission import Admission
from chatscale_assistant.http.bodies import read_object
from chatscale_assistant.http.boundary import RECORD
from chatscale_assistant.http.options import HttpOptions
from chatscale_contract.assistant.endpoints import TASKS_PATH
from chatscale_contract.openai.errors import ApiError, bad_request
from chatscale_contract.openai.sse import encode_json

BATCH_FIELD: Final = "inputs"
SHARED_FIELD: Final = "shared"
"""Of a batch: fields of every input, such as the purchases that all recommendations use. An input's own field wins."""
MODEL_FIELD: Final = "model"
"""Names the assistant for the gateway. No task has such a field."""
MAX_BATCH: Final = 1000
MAX_LARGE_BODIES: Final = 2
"""At the same time, of those larger than a chat request: a parsed body takes many times its bytes of memory."""


class TaskRunner(Protocol):
    """The tasks of this pod."""

    def describe(self) -> Mapping[str, Mapping[str, Any]]:
        """Name to `description`, `input` and `output` (JSON schemas)."""
        ...

    async def run(self, name: str, value: Mapping[str, Any]) -> Mapping[str, Any]:
        """The result of one input. Raises InvalidRequestError for an input outside the schema."""
        ...


@dataclass(frozen=True, slots=True)
class TaskHandlers:
    """Translates between HTTP and the tasks."""

    tasks: TaskRunner
    admission: Admission
    options: HttpOptions
    _large: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(MAX_LARGE_BODIES))

    async def list_tasks(self, http: web.Request) -> web.Response:
        """GET /v1/tasks: names and schemas."""
        http[RECORD].route = TASKS_PATH
        data = [{"name": name, **entry} for name, entry in self.tasks.describe().items()]
        return web.json_response({"object": "list", "data": data})

    async def run(self, http: web.Request) -> web.Response:
        """POST /v1/tasks/NAME. A batch has one entry per input, in order: `output`, or `error` in OpenAI's form."""
        record = http[RECORD]
        record.route = TASKS_PATH
        name = http.match_info["name"]
        if name not in self.tasks.describe():
            known = ", ".join(sorted(self.tasks.describe()))
            raise ApiError(404, f"there is no such task; known are {known}", code="task_not_found", retryable=False)
        record.route = f"{TASKS_PATH}/{name}"
        async with self._room_for(http):
            return await self._answer(http, name)

    async def _answer(self, http: web.Request, name: str) -> web.Response:
        record = http[RECORD]
        body = await read_object(http, self.options, self.options.max_task_body_bytes)
        body.pop(MODEL_FIELD, None)
        async with self.admission.place():
            if BATCH_FIELD in body:
                if unknown := sorted(body.keys() - {BATCH_FIELD, SHARED_FIELD}):
                    text = f"{unknown[0]!a:.60}: expected no field beside {BATCH_FIELD} and {SHARED_FIELD} in a batch"
                    raise bad_request(text, param=unknown[0][:60])
                return await self._run_batch(http, name, body[BATCH_FIELD], body.get(SHARED_FIELD, {}))
            record.items = 1
            output = await self._run_one(name, body)
        return web.json_response({"object": "task.result", "task": name, "output": output}, dumps=encode_json)

    @asynccontextmanager
    async def _room_for(self, http: web.Request) -> AsyncIterator[None]:
        """Hold a place for a large body. Raises ApiError 429 if there is none."""
        size = http.content_length
        if size is not None and size <= self.options.max_body_bytes:
            yield
            return
        if self._large.locked():
            text = f"{MAX_LARGE_BODIES} large bodies are being handled by this pod; try again later"
            raise ApiError(429, text, code="assistant_busy", retry_after_s=5)
        async with self._large:
            yield

    async def _run_batch(self, http: web.Request, name: str, inputs: Any, shared: Any) -> web.Response:
        if not isinstance(shared, dict):
            raise bad_request(f"{SHARED_FIELD} must be an object", param=SHARED_FIELD)
        if not isinstance(inputs, list) or not inputs:
            raise bad_request(f"{BATCH_FIELD} must be a list with at least one input", param=BATCH_FIELD)
        if len(inputs) > MAX_BATCH:
            text = f"{BATCH_FIELD} must have at most {MAX_BATCH} inputs, found {len(inputs)}"
            raise bad_request(text, param=BATCH_FIELD)
        http[RECORD].items = len(inputs)
        data = []
        for index, value in enumerate(inputs):
            place = f"{BATCH_FIELD}[{index}]"
            try:
                outcome: dict[str, Any] = {"output": await self._run_one(name, _with_shared(value, shared))}
            except InvalidRequestError as error:
                path = f"{place}.{error.param}" if error.param else place
                outcome = bad_request(str(error), param=path).body()
            data.append({"index": index, **outcome})
            await asyncio.sleep(0)  # a long batch must not keep the loop from others
        return web.json_response({"object": "task.results", "task": name, "data": data}, dumps=encode_json)

    async def _run_one(self, name: str, value: Any) -> Mapping[str, Any]:
        try:
            _check_object(value)
            output = await self.tasks.run(name, value)
        except InvalidRequestError:
            metrics.TASK_ITEMS.labels(name, "error").inc()
            raise
        metrics.TASK_ITEMS.labels(name, "ok").inc()
        return output


def _with_shared(value: Any, shared: Mapping[str, Any]) -> Any:
    return {**shared, **value} if isinstance(value, dict) else value


def _check_object(value: Any) -> None:
    if not isinstance(value, dict):
        raise InvalidRequestError(f"an input must be an object, found {type(value).__name__}")
