"""A schema costs its sender, and nobody else."""

import asyncio
import threading
from typing import Any

import pytest
from typing_extensions import override

from chatscale_server.engine.protocol import SchemaError
from chatscale_server.engine.request import Constraint
from chatscale_server.engine.simulated import SimulatedEngine
from chatscale_server.http.chat_schema import Form
from chatscale_server.http.errors import ApiError
from chatscale_server.http.structured import MAX_SCHEMA_CHARS, MAX_SCHEMA_CONTAINERS, Schemas
from tests.unit.chatscale_server.builders import FAST, eventually


class Anything(Constraint):
    problem = None

    def __init__(self, schema: str) -> None:
        self.schema = schema

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
    def constraint(self, schema: str, before: str = "", after: str = "") -> Constraint:
        self.begun.append(before + schema + after)
        assert self.gate.wait(20)
        if "odd" in schema:
            raise SchemaError("an odd schema")
        return Anything(schema)


def a_form(**schema: Any) -> Form:
    return Form("response_format", schema, "<", ">")


async def problem_of(schemas: Schemas, form: Form) -> tuple[int, str | None, int | None]:
    with pytest.raises(ApiError) as caught:
        await schemas.constraints(form, 1)
    return caught.value.status, caught.value.param, caught.value.retry_after_s


async def test_each_choice_has_a_constraint_of_its_own():
    engine = Compiling()
    engine.gate.set()
    found = await Schemas(engine).constraints(a_form(type="object"), 3)
    assert len({id(constraint) for constraint in found}) == 3
    assert engine.begun == ['<{"type":"object"}>'] * 3


async def test_a_schema_that_the_engine_refuses_is_the_client_s_fault():
    engine = Compiling()
    engine.gate.set()
    assert await problem_of(Schemas(engine), a_form(odd=1)) == (400, "response_format", None)


@pytest.mark.parametrize(
    "schema",
    [
        pytest.param({"title": "x" * MAX_SCHEMA_CHARS}, id="long"),
        pytest.param({"enum": [[]] * MAX_SCHEMA_CONTAINERS}, id="many-lists"),
    ],
)
async def test_a_schema_beyond_the_bounds_is_never_compiled(schema):
    engine = Compiling()
    assert await problem_of(Schemas(engine), a_form(**schema)) == (400, "response_format", None)
    assert engine.begun == []


async def test_one_that_takes_too_long_is_refused_and_those_behind_it_are_told_to_come_again():
    """The loop is free all the time, or none of this would be seen."""
    engine = Compiling()
    schemas = Schemas(engine, timeout_s=0.3)
    first = asyncio.ensure_future(problem_of(schemas, a_form(a=1)))
    await eventually(lambda: len(engine.begun) == 1)
    assert await problem_of(schemas, a_form(b=1)) == (503, None, 5)
    assert await first == (400, "response_format", None)
    engine.gate.set()
    [found] = await Schemas(engine).constraints(a_form(c=1), 1)
    assert (found.schema, engine.begun) == ('{"c":1}', ['<{"a":1}>', '<{"c":1}>'])
