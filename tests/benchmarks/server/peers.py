"""The servers side by side, each a process of its own that has the machine to itself while it is measured."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Final

import aiohttp

from chatscale_contract.server.endpoints import READYZ_PATH
from chatscale_contract.server.environment import EngineName, Env
from tests.benchmarks.server.client import ask, session
from tests.benchmarks.server.workload import Ask

START_TIMEOUT_S: Final = 900.0
"""vLLM compiles for two minutes on two idle cores, and for seven beside other work."""
STOP_TIMEOUT_S: Final = 60.0
POLL_S: Final = 0.02
SLOTS: Final = 32
QUEUE: Final = 32
CONTEXT_TOKENS: Final = 2048
PAGE_TOKENS: Final = 256
"""Of transformers' paged cache, by default."""
COMMON_ENV: Final = {"OMP_WAIT_POLICY": "PASSIVE", "HF_HUB_OFFLINE": "1", "TRANSFORMERS_VERBOSITY": "error"}
"""Sleeping at barriers is our server's default; without it the peer would lose to its own spinning threads
whenever the load generator needs a core."""


@dataclass(frozen=True, slots=True)
class Peer:
    """How to start a server and know that it is ready."""

    name: str
    command: tuple[str, ...]
    """`{port}` stands for its port."""
    ready_path: str
    model: str
    """The `model` field of a request."""
    env: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Started:
    """A server that has answered once."""

    process: subprocess.Popen[bytes]
    """Leader of a process group of its own, which has all processes of the server."""
    base_url: str
    ready_s: float
    """From the start of the process until its probe said so."""
    first_answer_s: float
    """Until it had answered a chat, which is when a slow start has nothing left to hide."""
    log: Callable[[], str]
    """What it has written so far."""


def chatscale(model: Path, dtype: str, device: str, drain_delay_s: float = 0.0) -> Peer:
    """Our server."""
    return Peer(
        "chatscale",
        (sys.executable, "-m", "chatscale_server", "--host", "127.0.0.1", "--port", "{port}"),
        READYZ_PATH,
        "bench",
        {
            Env.MODEL_URI: f"file://{model}", Env.SERVED_NAME: "bench", Env.DTYPE: dtype, Env.DEVICE: device,
            Env.MAX_CONCURRENCY: str(SLOTS), Env.MAX_QUEUE: str(QUEUE), Env.MAX_MODEL_LEN: str(CONTEXT_TOKENS),
            Env.QUEUE_TIMEOUT_SECONDS: "600", Env.DRAIN_DELAY_SECONDS: str(drain_delay_s),
        },
    )  # fmt: skip


def simulated(profile: str, drain_delay_s: float) -> Peer:
    """Our server without a model."""
    return Peer(
        "chatscale, simulated",
        (sys.executable, "-m", "chatscale_server", "--host", "127.0.0.1", "--port", "{port}"),
        READYZ_PATH,
        "bench",
        {
            Env.ENGINE: EngineName.SIMULATED, Env.SIMULATED_PROFILE: profile, Env.SERVED_NAME: "bench",
            Env.MAX_CONCURRENCY: str(SLOTS), Env.MAX_QUEUE: str(QUEUE), Env.DRAIN_DELAY_SECONDS: str(drain_delay_s),
        },
    )  # fmt: skip


def transformers_serve(model: Path, dtype: str, device: str) -> Peer:
    """transformers' own server with continuous batching, and a cache of as many tokens as ours."""
    return Peer(
        "transformers serve",
        (
            sys.executable, "-m", "transformers.cli.transformers", "serve", str(model), "--continuous-batching",
            "--dtype", dtype, "--device", device, "--attn-implementation", "sdpa", "--host", "127.0.0.1",
            "--port", "{port}", "--log-level", "error",
            "--cb-num-blocks", str(SLOTS * CONTEXT_TOKENS // PAGE_TOKENS),
        ),
        "/health",
        str(model),
    )  # fmt: skip


@asynccontextmanager
async def running(peer: Peer) -> AsyncIterator[Started]:
    """Start the peer, ask it once, and stop it at the end. Raises RuntimeError with its last output."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    base_url = f"http://127.0.0.1:{port}"
    with tempfile.TemporaryFile() as output:
        began_s = time.perf_counter()
        process = subprocess.Popen(  # noqa: ASYNC220 - a fork of milliseconds, and nothing else runs yet
            [part.format(port=port) for part in peer.command],
            env={**os.environ, **COMMON_ENV, **peer.env}, stdout=output, stderr=subprocess.STDOUT,
            start_new_session=True,
        )  # fmt: skip
        try:
            await _until_ready(process, base_url + peer.ready_path)
            ready_s = time.perf_counter() - began_s
            async with session(base_url) as http:
                await ask(http, peer.model, Ask("Hello, is my order 17 on its way?", 4))
            yield Started(process, base_url, ready_s, time.perf_counter() - began_s, lambda: _written(output))
        except Exception as error:
            raise RuntimeError(f"{peer.name} failed: {error!r}\n{_written(output)[-3000:]}") from error
        finally:
            await stop(process)


def _written(output: IO[bytes]) -> str:
    """All of a file that its process still appends to: the two share one place in it, so that it is not moved."""
    return os.pread(output.fileno(), os.fstat(output.fileno()).st_size, 0).decode(errors="replace")


async def stop(process: subprocess.Popen[bytes]) -> int:
    """SIGTERM, and SIGKILL for a process that does not end, and for what it leaves behind; the exit code."""
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
    with suppress(subprocess.TimeoutExpired):
        await asyncio.to_thread(process.wait, STOP_TIMEOUT_S)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    return await asyncio.to_thread(process.wait)


async def _until_ready(process: subprocess.Popen[bytes], url: str) -> None:
    async with aiohttp.ClientSession() as http, asyncio.timeout(START_TIMEOUT_S):
        while True:
            if process.poll() is not None:
                raise RuntimeError(f"it ended with code {process.returncode} before it was ready")
            try:
                async with http.get(url) as response:
                    if response.ok:
                        return
            except aiohttp.ClientError:
                pass  # it does not listen yet
            await asyncio.sleep(POLL_S)
