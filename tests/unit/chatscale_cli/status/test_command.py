"""`chatscale status` as a process, against a gateway of the test."""

import asyncio
import json
import os
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import pytest
from aiohttp import web

from chatscale_contract.gateway.live import LIVE_DATA_PATH, LIVE_NOT_ALLOWED, LiveModel, LiveSnapshot
from tests.support.gateway_pods import serving
from tests.support.terminal import CTRL_C, in_a_terminal

KEY = "csk-status"


@dataclass
class LiveGateway:
    """Counts one held request more with each answer."""

    status: int = 200
    error: dict[str, str] = field(default_factory=dict)
    answers: int = 0

    async def handle(self, http: web.Request) -> web.Response:
        assert (http.path, http.headers["Authorization"]) == (LIVE_DATA_PATH, f"Bearer {KEY}")
        if self.status != 200:
            return web.json_response({"error": self.error}, status=self.status)
        self.answers += 1
        return web.json_response(self.snapshot().to_json())

    def snapshot(self) -> LiveSnapshot:
        model = LiveModel("demo", "tiny", held=self.answers)
        return LiveSnapshot(datetime(2026, 11, 27, 20, tzinfo=UTC), "gw-1", 1, 30.0, (model,))


@asynccontextmanager
async def environment(gateway: LiveGateway, folder: Path) -> AsyncIterator[dict[str, str]]:
    async with serving(gateway.handle) as server:
        (folder / "key").write_text(f"{KEY}\n")
        yield {
            "PATH": os.environ["PATH"], "PYTHONPATH": os.environ.get("PYTHONPATH", ""),
            "CHATSCALE_URL": str(server.make_url("/v1/")),
        }  # fmt: skip


async def status(*arguments: str, env: dict[str, str], folder: Path) -> tuple[int, str, str]:
    command = ["chatscale_cli", "status", "--key-file", str(folder / "key"), *arguments]
    process = await asyncio.create_subprocess_exec(sys.executable, "-m", *command, stdout=PIPE, stderr=PIPE, env=env)
    async with asyncio.timeout(60):
        out, err = await process.communicate()
    return process.returncode or 0, out.decode(), err.decode()


async def test_prints_a_table_or_the_snapshot_as_json(tmp_path: Path):
    gateway = LiveGateway()
    async with environment(gateway, tmp_path) as env:
        code, out, err = await status(env=env, folder=tmp_path)
        assert (code, err) == (0, "")
        assert out.splitlines()[1].startswith("demo/tiny")
        code, out, err = await status("--format", "json", env=env, folder=tmp_path)
        assert (code, err) == (0, "")
        assert LiveSnapshot.from_json(json.loads(out)) == gateway.snapshot()


@pytest.mark.parametrize(
    ("code", "text"),
    [
        pytest.param(LIVE_NOT_ALLOWED, "creates a key that may read the live data", id="not-live"),
        pytest.param("x", "chatscale: the key has no right", id="other"),
    ],
)
async def test_a_key_without_live_is_refused_with_the_remedy(tmp_path: Path, code: str, text: str):
    gateway = LiveGateway(403, {"message": "the key has no right", "code": code})
    async with environment(gateway, tmp_path) as env:
        exit_code, out, err = await status(env=env, folder=tmp_path)
    assert (exit_code, out, err.count("\n")) == (69, "", 1)
    assert text in err


async def test_watch_ends_without_a_traceback_when_the_reader_of_the_pipe_ends(tmp_path: Path):
    async with environment(LiveGateway(), tmp_path) as env:
        command = (
            f"{sys.executable} -m chatscale_cli status --watch --format json --key-file {tmp_path / 'key'} | head -n 1"
        )
        process = await asyncio.create_subprocess_shell(command, stdout=PIPE, stderr=PIPE, env=env)
        async with asyncio.timeout(60):
            out, err = await process.communicate()
    assert (json.loads(out)["models"][0]["name"], err) == ("tiny", b"")


async def test_watch_reads_again_until_ctrl_c_and_survives_a_failed_reading(tmp_path: Path):
    gateway = LiveGateway(error={"message": "away for a moment", "code": "x"})
    async with environment(gateway, tmp_path) as env:
        command = ["chatscale_cli", "status", "--watch", "--key-file", str(tmp_path / "key")]
        async with in_a_terminal(*command, env=env) as terminal:
            await terminal.until(lambda: gateway.answers >= 2, "second reading")
            gateway.status = 500
            await terminal.shows("the table is old: away for a moment")
            gateway.status = 200
            before = gateway.answers
            await terminal.until(lambda: gateway.answers > before, "reading after the failure")
            terminal.type(CTRL_C)
            assert await terminal.ends() == 0
