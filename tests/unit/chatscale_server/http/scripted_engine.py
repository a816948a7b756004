"""An engine that answers with given text, and a real client for it."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import openai
import pytest
from typing_extensions import override

from chatscale_server.engine.protocol import NO_VARIABLES, ModelInfo
from chatscale_server.engine.scheduler import StepPlan
from chatscale_server.engine.simulated import SimulatedEngine
from chatscale_server.http.serve import Server
from tests.unit.chatscale_server.builders import FAST, a_server

HELLO: Any = [{"role": "user", "content": "Where is my order?"}]


TOOL: Any = {"type": "function", "function": {"name": "find", "parameters": {"type": "object"}}}


FIND = ("Let me", " look.\n", "<tool_", 'call>\n{"name": "find", ', '"arguments": {"id": 7}}', "\n</tool_call>")


class Saying(SimulatedEngine):
    """Says the given words, one a step, then the end token."""

    def __init__(self, *words: str) -> None:
        super().__init__(FAST)
        self._words = words
        self.tools: list[Mapping[str, Any]] = []

    @override
    def load(self, phase: Any) -> ModelInfo:
        return replace(super().load(phase), end_tokens=frozenset({99}), takes_tools=True)

    @override
    def encode_chat(self, messages: Any, tools: Any = (), variables: Any = NO_VARIABLES) -> list[int]:
        self.tools = list(tools)
        return super().encode_chat(messages)

    @override
    def decoder(self, *, marks: bool = False) -> Any:
        return self

    def push(self, token: int) -> str:
        return self._words[token]

    def flush(self) -> str:
        return ""

    @override
    def token_bytes(self, token: int) -> bytes:
        return self._words[token].encode()

    @override
    def step(self, plan: StepPlan) -> Mapping[int, int]:
        super().step(plan)
        sequences = [*plan.decodes, *(chunk.sequence for chunk in plan.chunks if chunk.last)]
        return {s.slot: s.generated if s.generated < len(self._words) else 99 for s in sequences}

    @override
    def scores(self) -> Any:
        return {}


@asynccontextmanager
async def a_client(
    engine: SimulatedEngine | None = None, **changes: object
) -> AsyncIterator[tuple[openai.AsyncOpenAI, Server]]:
    changes = {"max_concurrency": 4, **changes}
    async with (
        a_server(engine, **changes) as (server, _client),
        openai.AsyncOpenAI(base_url=f"http://127.0.0.1:{server.port}/v1", api_key="none", max_retries=0) as client,
    ):
        yield client, server


async def refusal(client: openai.AsyncOpenAI, **fields: Any) -> str | None:
    """The `param` of the 400 that the fields get."""
    with pytest.raises(openai.BadRequestError) as caught:
        await client.chat.completions.create(**{"model": "m", "messages": HELLO, "max_tokens": 3, **fields})
    return caught.value.param
