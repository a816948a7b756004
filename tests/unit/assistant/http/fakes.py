"""A responder, tasks and a running server for tests of the HTTP front."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import ClientSession
from prometheus_client import CollectorRegistry

from chatscale.api.v1alpha1.shopassistant import Language
from chatscale_assistant import metrics
from chatscale_assistant.domain.answer import Answer
from chatscale_assistant.domain.conversation import Conversation, Customer
from chatscale_assistant.errors import InvalidRequestError
from chatscale_assistant.http.admission import Admission
from chatscale_assistant.http.app import Handlers
from chatscale_assistant.http.chat import ChatHandlers
from chatscale_assistant.http.lifecycle import Lifecycle
from chatscale_assistant.http.liveness import Heartbeat
from chatscale_assistant.http.options import HttpOptions
from chatscale_assistant.http.probes import ProbeHandlers
from chatscale_assistant.http.serve import Server, listening
from chatscale_assistant.http.tasks import TaskHandlers
from chatscale_contract.assistant.extras import CitationExtra, Rung, Sentiment
from chatscale_contract.assistant.state import AssistantState

CITATION = CitationExtra(source="policies", title="Returns", quote="Returns within 30 days.", version="abc")
ANSWER = Answer(
    "Returns are possible within 30 days.", Rung.QUOTE, Language.ENGLISH, Sentiment.NEUTRAL,
    citations=(CITATION,), index="v1",
)  # fmt: skip


@dataclass
class FakeResponder:
    """Gives one answer, when `gate` is open."""

    result: Answer = ANSWER
    error: Exception | None = None
    seen: list[Conversation] = field(default_factory=list)
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    cancelled: int = 0

    def __post_init__(self) -> None:
        self.gate.set()

    async def answer(self, conversation: Conversation) -> Answer:
        self.seen.append(conversation)
        try:
            await self.gate.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        if self.error:
            raise self.error
        return self.result


class FakeTasks:
    """One task, which doubles a number."""

    def describe(self) -> Mapping[str, Mapping[str, Any]]:
        return {"double": {"description": "Doubles.", "input": {"type": "object"}, "output": {"type": "object"}}}

    async def run(self, name: str, value: Mapping[str, Any]) -> Mapping[str, Any]:
        if set(value) != {"number"} or not isinstance(value["number"], int):
            raise InvalidRequestError("number: expected an integer", "number")
        return {"number": value["number"] * 2, "engine": name}


async def identify(token: str) -> Customer | None:
    return Customer("ann") if token == "token-of-ann" else None


@dataclass
class World:
    """A running server and what it did."""

    server: Server
    session: ClientSession
    responder: FakeResponder
    lines: list[str]
    state: dict[str, bool]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.port}"

    async def post(self, path: str, body: Any, **options: Any) -> tuple[int, Any, Mapping[str, str]]:
        async with self.session.post(self.url + path, json=body, **options) as response:
            return response.status, await response.json(), response.headers

    async def get(self, path: str) -> tuple[int, str]:
        async with self.session.get(self.url + path) as response:
            return response.status, await response.text()


@asynccontextmanager
async def running(
    *, responder: FakeResponder | None = None, options: HttpOptions | None = None, desk: Any = None
) -> AsyncIterator[World]:
    options = options or HttpOptions(drain_delay_s=0.0, grace_period_s=1.0)
    responder = responder or FakeResponder()
    state, lines = {"index": True}, []
    lifecycle = Lifecycle(options, lambda: state["index"])
    admission, heartbeat = Admission(options, "shop"), Heartbeat()
    registry = CollectorRegistry()
    registry.register(metrics.REGISTRY)
    handlers = Handlers(
        ChatHandlers(responder, identify, admission, options, "shop", "demo", max_characters=200),
        ProbeHandlers(lifecycle, admission, heartbeat, lambda: AssistantState(index="v1"), registry),
        TaskHandlers(FakeTasks(), admission, options),
        desk,
    )
    async with (
        listening(handlers, lifecycle, heartbeat, options, host="127.0.0.1", port=0, write_line=lines.append) as server,
        ClientSession() as session,
    ):
        yield World(server, session, responder, lines, state)


def question(text: str = "When can I return it?", **more: Any) -> dict[str, Any]:
    return {"model": "shop", "messages": [{"role": "user", "content": text}], **more}
