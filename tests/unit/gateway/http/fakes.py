"""A gateway on free ports, with replicas that are real servers whose answers a test writes."""

import asyncio
import json
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

import aiohttp
from aiohttp import web

from chatscale.api.v1alpha1.routing import RoutingSpec
from chatscale_contract.openai import sse
from chatscale_contract.server.load import ReplicaLoad
from chatscale_gateway.dispatch.dispatcher import HoldingDispatcher
from chatscale_gateway.http.authentication import Authentication
from chatscale_gateway.http.options import HttpOptions
from chatscale_gateway.http.serve import Gateway, Ports, listening
from chatscale_gateway.http.tls import Certificates
from chatscale_gateway.http.tracing import Tracing
from chatscale_gateway.live.board import LiveBoard
from chatscale_gateway.routing.catalog import Catalog, Model, ModelKey, Replica
from chatscale_gateway.upstream.client import ReplicaClient
from tests.support.gateway_world import TINY, a_model

CHAT = "/v1/chat/completions"
USAGE = {"prompt_tokens": 7, "completion_tokens": 3, "prompt_tokens_details": {"cached_tokens": 2}}
OPTIONS = HttpOptions(keep_alive_s=0.05, endpoint_delay_s=0.0, grace_period_s=5.0)

Behaviour = Callable[[web.Request], Awaitable[web.StreamResponse]]


def chunk(text: str = "x", **fields: object) -> bytes:
    choice = {"index": 0, "delta": {"content": text}, "finish_reason": None}
    envelope = {"id": "1", "object": "chat.completion.chunk", "created": 1, "model": "tiny"}
    return sse.event({**envelope, "choices": [choice], **fields})


async def start_stream(http: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": sse.CONTENT_TYPE})
    await response.prepare(http)
    return response


async def answer(http: web.Request) -> web.StreamResponse:
    """A complete answer, streamed or not, with usage where it was asked for."""
    body = await http.json()
    if not body.get("stream"):
        message = {"role": "assistant", "content": "hello"}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        return web.json_response(
            {
                "id": "1",
                "object": "chat.completion",
                "created": 1,
                "model": body["model"],
                "choices": [choice],
                "usage": USAGE,
            }
        )
    response = await start_stream(http)
    for text in ("a", "b", "c"):
        await response.write(chunk(text))
    if (body.get("stream_options") or {}).get("include_usage"):
        await response.write(chunk(choices=[], usage=USAGE))
    await response.write(sse.DONE)
    return response


async def stream_for_ever(http: web.Request) -> web.StreamResponse:
    """One chunk, and then nothing."""
    response = await start_stream(http)
    await response.write(chunk())
    await asyncio.Event().wait()
    return response


async def end_without_done(http: web.Request) -> web.StreamResponse:
    """One chunk, and a clean end that is not the stream's."""
    response = await start_stream(http)
    await response.write(chunk("a"))
    return response


async def never_answer(http: web.Request) -> web.StreamResponse:
    """Accept, and send nothing."""
    await asyncio.Event().wait()
    return web.Response()


@dataclass
class Pod:
    """A replica. `left` counts requests whose connection was closed before the answer's end."""

    uid: str = "pod-0"
    behaviour: Behaviour = answer
    bodies: list[dict] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    left: int = 0
    port: int = 0

    async def handle(self, http: web.Request) -> web.StreamResponse:
        self.bodies.append(await http.json())
        self.headers.append({name.lower(): value for name, value in http.headers.items()})
        try:
            return await self.behaviour(http)
        except (asyncio.CancelledError, ConnectionError):
            self.left += 1
            raise

    def as_replica(self) -> Replica:
        return Replica(self.uid, self.uid, "127.0.0.1", self.port, ready=True, leaving=False)


@asynccontextmanager
async def serving(pod: Pod) -> AsyncIterator[Pod]:
    app = web.Application(client_max_size=2**26)
    app.router.add_post("/{path:.*}", pod.handle)
    runner = web.AppRunner(app, handler_cancellation=True, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    pod.port = runner.addresses[0][1]
    try:
        yield pod
    finally:
        await runner.cleanup()


@dataclass
class World:
    """The gateway under test."""

    gateway: Gateway
    dispatcher: HoldingDispatcher
    client: aiohttp.ClientSession
    models: tuple[Model, ...]
    lines: list[dict]
    live: LiveBoard

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.gateway.ports.api}"

    @property
    def admin_url(self) -> str:
        return f"http://127.0.0.1:{self.gateway.ports.admin}"

    def show(self, *pods: Pod, slots: int = 4) -> None:
        """The pods that discovery reports, all of the first model."""
        catalog = Catalog(
            models={model.key: model for model in self.models},
            replicas={self.models[0].key: tuple(pod.as_replica() for pod in pods)},
        )
        self.dispatcher.catalog_changed(catalog)
        self.live.catalog_changed(catalog)
        self.read_loads(*pods, slots=slots)

    def read_loads(self, *pods: Pod, slots: int = 4) -> None:
        loads = {pod.uid: ReplicaLoad(running=0, waiting=0, slots=slots) for pod in pods}
        self.dispatcher.loads_read(loads, time.monotonic())

    def demand(self, key: ModelKey = TINY):
        return self.dispatcher.demand().models[str(key)]


@asynccontextmanager
async def a_gateway(
    *pods: Pod,
    routing: RoutingSpec | None = None,
    options: HttpOptions = OPTIONS,
    models: tuple[Model, ...] | None = None,
    response_timeout_s: float = 5.0,
    tracing: Tracing | None = None,
    certificates: Certificates | None = None,
    authentication: Authentication | None = None,
    **changes: object,
) -> AsyncIterator[World]:
    """The real front, dispatcher and client, without authentication. `changes`: fields of the options."""
    dispatcher = HoldingDispatcher(
        gateway="gateway-0", instance="i", now=time.monotonic, rng=random.Random(1), max_held_bytes=10**9
    )
    lines: list[dict] = []
    board = LiveBoard(dispatcher.demand, time.monotonic, time.time)
    async with (
        ReplicaClient(response_timeout_s=response_timeout_s) as upstream,
        listening(
            dispatcher,
            upstream,
            replace(options, **changes),
            host="127.0.0.1",
            ports=Ports(0, 0, 0),
            write_line=lambda line: lines.append(json.loads(line)),
            tracing=tracing,
            certificates=certificates,
            authentication=authentication,
            live=board,
        ) as gateway,
        aiohttp.ClientSession(f"http://127.0.0.1:{gateway.ports.api}") as client,
    ):
        world = World(gateway, dispatcher, client, models or (a_model(routing=routing),), lines, board)
        world.show(*pods)
        gateway.lifecycle.catalog_complete()
        yield world


def chat(**fields: object) -> dict[str, object]:
    return {"model": "tiny", "messages": [{"role": "user", "content": "Where is my order?"}], **fields}


async def eventually(condition: Callable[[], bool], within_s: float = 10.0) -> None:
    async with asyncio.timeout(within_s):
        while not condition():  # noqa: ASYNC110 - the condition depends on another connection
            await asyncio.sleep(0.002)
