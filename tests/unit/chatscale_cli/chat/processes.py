"""What tests of `chatscale chat` run: a replica, the simulated server, and the command with pipes."""

import asyncio
import os
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web

from chatscale_contract.gateway.keys import hash_key
from chatscale_contract.openai import sse
from chatscale_contract.server.endpoints import HTTP_PORT
from tests.support.gateway_pods import a_key_secret, a_replica_pod, ready
from tests.unit.gateway.test_process import Cluster, a_cluster

KEY = "csk-the-key-of-the-terminal"
REPLICA_ADDRESS = f"127.42.{os.getpid() // 250 % 250}.{os.getpid() % 250 + 1}"
"""On the loopback interface, one for each process of a test run: the port of a replica is fixed."""
REPLICA_POD = a_replica_pod(status={"phase": "Running", "podIP": REPLICA_ADDRESS, "conditions": [ready()]})
CHAT = "chatscale_cli"


@dataclass
class Replica:
    """Answers with `parts`. Waits before the last part while `gate` is closed."""

    parts: list[str] = field(default_factory=lambda: ["Hello ", "from **the** replica."])
    bodies: list[dict[str, Any]] = field(default_factory=list)
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    left: int = 0
    """Clients that left before the end."""

    def __post_init__(self) -> None:
        self.gate.set()

    async def handle(self, http: web.Request) -> web.StreamResponse:
        if http.path == "/load":
            return web.json_response({"running": 0, "waiting": 0, "slots": 4})
        body = await http.json()
        self.bodies.append(body)
        choices = range(body.get("n") or 1)
        if not body.get("stream"):
            message = {"role": "assistant", "content": "".join(self.parts)}
            found = [{"index": at, "message": message, "finish_reason": "stop"} for at in choices]
            return web.json_response({"choices": found, "usage": {"prompt_tokens": 3, "completion_tokens": 2}})
        response = web.StreamResponse(headers={"Content-Type": sse.CONTENT_TYPE})
        await response.prepare(http)
        try:
            for at, part in enumerate(self.parts):
                if at == len(self.parts) - 1:
                    await self.gate.wait()
                for choice in choices:
                    await response.write(sse.event({"choices": [{"index": choice, "delta": {"content": part}}]}))
        except (ConnectionError, asyncio.CancelledError):
            self.left += 1
            raise
        await response.write(sse.DONE)
        return response


@asynccontextmanager
async def serving_replica(replica: Replica) -> AsyncIterator[None]:
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", replica.handle)
    runner = web.AppRunner(app, handler_cancellation=True)
    await runner.setup()
    try:
        await web.TCPSite(runner, REPLICA_ADDRESS, HTTP_PORT).start()
        yield
    finally:
        replica.gate.set()
        await runner.cleanup()


def a_cluster_with_a_key(*pods: dict[str, Any], **spec: Any) -> Cluster:
    cluster = a_cluster()
    cluster.models.items[0]["spec"] |= spec
    cluster.pods.items = list(pods)
    cluster.secrets.items = [a_key_secret("live", sha256=hash_key(KEY), live="true")]
    return cluster


def environment(folder: Path, url: str, **more: str) -> dict[str, str]:
    return {
        "PATH": os.environ["PATH"], "PYTHONPATH": os.environ.get("PYTHONPATH", ""), "HOME": str(folder),
        "XDG_STATE_HOME": str(folder), "CHATSCALE_URL": url, "CHATSCALE_API_KEY": KEY, "PYTHONUTF8": "1", **more,
    }  # fmt: skip


async def in_a_pipe(text: str, *arguments: str, env: dict[str, str]) -> tuple[int, str, str]:
    """Exit code, standard output and standard error."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", CHAT, *arguments, stdin=PIPE, stdout=PIPE, stderr=PIPE, env=env
    )
    async with asyncio.timeout(60):
        out, err = await process.communicate(text.encode())
    return process.returncode or 0, out.decode(), err.decode()


@asynccontextmanager
async def serving_simulated(folder: Path) -> AsyncIterator[Process]:
    """The inference server with its Simulated engine."""
    env = environment(folder, "") | {
        "CHATSCALE_ENGINE": "Simulated",
        "CHATSCALE_SIMULATED_PROFILE": "8b-h100",
        "CHATSCALE_SERVED_NAME": "tiny",
    }
    for name in ("CHATSCALE_URL", "CHATSCALE_API_KEY"):
        del env[name]
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "chatscale_server", "--host", REPLICA_ADDRESS, env=env, stdout=PIPE, stderr=PIPE
    )
    try:
        async with asyncio.timeout(60), aiohttp.ClientSession() as client:
            while True:
                try:
                    async with client.get(f"http://{REPLICA_ADDRESS}:{HTTP_PORT}/readyz") as response:
                        if response.status == 200:
                            break
                except aiohttp.ClientConnectionError:
                    pass
                assert process.returncode is None
                await asyncio.sleep(0.05)
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def running(client: aiohttp.ClientSession) -> int:
    async with client.get(f"http://{REPLICA_ADDRESS}:{HTTP_PORT}/load") as response:
        return int((await response.json())["running"])
