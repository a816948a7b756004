"""A schema costs its sender, and nobody else."""

import asyncio
import json
import threading
from dataclasses import replace
from typing import Any

import openai
import pytest
from typing_extensions import override

from chatscale_contract.openai.errors import ApiError
from chatscale_server.engine.output_form import Form, Json
from chatscale_server.engine.protocol import ModelInfo, SchemaError
from chatscale_server.engine.request import Constraint
from chatscale_server.engine.simulated import SimulatedEngine
from chatscale_server.http.output_rules import ResponseConstraint
from chatscale_server.http.preparation import MAX_SCHEMA_CHARS, MAX_SCHEMA_CONTAINERS, SchemaCompiler
from tests.unit.chatscale_server.builders import FAST, eventually
from tests.unit.chatscale_server.http.scripted_engine import HELLO, TOOL, Saying, a_client


class Anything(Constraint):
    def __init__(self, schema: str) -> None:
        self.schema = schema

    @property
    def problem(self) -> str | None:
        return None

    def allowed(self) -> bytes:
        return b""

    def accept(self, token: int) -> None:
        pass


class Compiling(SimulatedEngine):
    """Compiles while the gate is open."""

    def __init__(self) -> None:
        super().__init__(FAST)
        self.gate = threading.Event()
        self.begun: list[str] = []

    @override
    def constraint(self, form: Form) -> Constraint:
        assert isinstance(form, Json)
        self.begun.append(form.schema)
        assert self.gate.wait(20)
        if "odd" in form.schema:
            raise SchemaError("an odd schema")
        return Anything(form.schema)


REFUSED = (400, "response_format", "invalid_value", None)


def a_constraint(**schema: Any) -> ResponseConstraint:
    text = json.dumps(schema, separators=(",", ":"))
    return ResponseConstraint("response_format", Json(text), text)


async def problem_of(
    schemas: SchemaCompiler, required: ResponseConstraint
) -> tuple[int, str | None, str | None, int | None]:
    with pytest.raises(ApiError) as caught:
        await schemas.compile(required, 1)
    return caught.value.status, caught.value.param, caught.value.code, caught.value.retry_after_s


async def test_each_choice_has_a_constraint_of_its_own():
    engine = Compiling()
    engine.gate.set()
    found = await SchemaCompiler(engine).compile(a_constraint(type="object"), 3)
    assert len({id(constraint) for constraint in found}) == 3
    assert engine.begun == ['{"type":"object"}'] * 3


async def test_a_schema_that_the_engine_rejects_is_a_400():
    engine = Compiling()
    engine.gate.set()
    assert await problem_of(SchemaCompiler(engine), a_constraint(odd=1)) == REFUSED


@pytest.mark.parametrize(
    "schema",
    [
        pytest.param({"title": "x" * MAX_SCHEMA_CHARS}, id="long"),
        pytest.param({"enum": [[]] * MAX_SCHEMA_CONTAINERS}, id="many-lists"),
    ],
)
async def test_a_schema_beyond_the_bounds_is_never_compiled(schema):
    engine = Compiling()
    assert await problem_of(SchemaCompiler(engine), a_constraint(**schema)) == REFUSED
    assert engine.begun == []


async def test_a_schema_that_compiles_too_long_is_rejected_and_waiting_ones_get_retry_after():
    """The loop is free all the time, or none of this would be seen."""
    engine = Compiling()
    schemas = SchemaCompiler(engine, timeout_s=0.3)
    first = asyncio.ensure_future(problem_of(schemas, a_constraint(a=1)))
    await eventually(lambda: len(engine.begun) == 1)
    assert await problem_of(schemas, a_constraint(b=1)) == (503, None, "schemas_busy", 5)
    assert await first == REFUSED
    engine.gate.set()
    [found] = await SchemaCompiler(engine).compile(a_constraint(c=1), 1)
    assert (found.schema, engine.begun) == ('{"c":1}', ['{"a":1}', '{"c":1}'])


async def test_waiting_for_other_schemas_does_not_count_as_compile_time(monkeypatch):
    loop, ahead_s = asyncio.get_running_loop(), 0.0
    real = loop.time
    monkeypatch.setattr(loop, "time", lambda: real() + ahead_s)
    engine = Compiling()
    schemas = SchemaCompiler(engine, timeout_s=1000.0)
    async with asyncio.TaskGroup() as tasks:
        first = tasks.create_task(schemas.compile(a_constraint(a=1), 1))
        await eventually(lambda: len(engine.begun) == 1)
        second = tasks.create_task(schemas.compile(a_constraint(b=1), 1))
        await asyncio.sleep(0)
        ahead_s += 900.0
        before, engine.gate = engine.gate, threading.Event()
        before.set()
        await eventually(lambda: first.done() and len(engine.begun) == 2)
        for _turn in range(3):  # of the loop, for it to hear that the second has begun
            await asyncio.sleep(0)
        ahead_s += 900.0
        await asyncio.sleep(0)
        engine.gate.set()
        assert [found.schema for found in await second] == ['{"b":1}']


class Failing(Anything):
    """Goes on for two tokens."""

    _left = 2

    @property
    @override
    def problem(self) -> str | None:
        self._left -= 1
        return "too much work" if self._left < 0 else None


class Constrained(Saying):
    @override
    def load(self, phase: Any) -> ModelInfo:
        return replace(super().load(phase), takes_schemas=True)

    @override
    def constraint(self, form: Form) -> Constraint:
        return Failing(str(form))


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        pytest.param({"response_format": {"type": "json_object"}}, "response_format", id="format"),
        pytest.param({"tools": [TOOL], "tool_choice": "required"}, "tool_choice", id="call"),
    ],
)
async def test_a_schema_that_fails_during_generation_is_a_400_that_clients_do_not_retry(fields, param):
    async with a_client(Constrained("a", "b", "c", "d")) as (client, server):
        trying = client.with_options(max_retries=2)
        with pytest.raises(openai.BadRequestError) as whole:
            await trying.chat.completions.create(model="m", messages=HELLO, **fields)
        stream = await trying.chat.completions.create(model="m", messages=HELLO, stream=True, **fields)
        with pytest.raises(openai.APIError) as cut:
            async for _chunk in stream:
                pass
        for caught in (whole.value, cut.value):
            assert (caught.param, caught.code, caught.type) == (param, "schema_failed", "invalid_request_error")
        assert server.bridge.counts.finished["error"] == 2
