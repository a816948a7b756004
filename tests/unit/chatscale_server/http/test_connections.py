"""What clients do below HTTP: malformed bytes, slow uploads, slow reading."""

import asyncio
import contextlib
import json
import logging
import socket
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from typing_extensions import override

from chatscale_contract.openai.errors import ApiError
from chatscale_contract.server.metrics import RejectReason
from chatscale_server.engine.protocol import NO_VARIABLES
from chatscale_server.engine.simulated import SimulatedEngine
from chatscale_server.http import transport
from chatscale_server.http.lifecycle import Phase
from chatscale_server.http.serve import Server, run_to_end
from chatscale_server.http.transport import MAX_BODY_BYTES, MAX_LARGE_UPLOAD_BYTES, UploadBudget
from tests.unit.chatscale_server.builders import FAST, a_server, chat, eventually, gated_engine

CANARY = "canary-4711"
PACE_S = 0.01


@asynccontextmanager
async def a_socket(
    server: Server, *, receive_bytes: int | None = None
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A connection; with `receive_bytes` its kernel takes hardly more than that ahead of the reader."""
    raw = socket.socket()
    if receive_bytes:
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
    raw.settimeout(0)
    await asyncio.get_running_loop().sock_connect(raw, ("127.0.0.1", server.port))
    reader, writer = await asyncio.open_connection(sock=raw, limit=receive_bytes or 2**16)
    try:
        yield reader, writer
    finally:
        writer.close()


def a_post(body: bytes, *headers: str, length: int | None = None) -> bytes:
    lines = [
        "POST /v1/chat/completions HTTP/1.1", "Host: x", *headers,
        f"Content-Length: {len(body) if length is None else length}", "", "",
    ]  # fmt: skip
    return "\r\n".join(lines).encode() + body


async def answer_to(server: Server, request: bytes) -> tuple[int, dict]:
    """Status and error of the one answer to these bytes."""
    async with a_socket(server) as (reader, writer):
        writer.write(request)
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        length = int(head.lower().split("content-length: ")[1].split("\r\n")[0])
        return int(head.split()[1]), json.loads(await reader.readexactly(length))["error"]


@pytest.mark.parametrize(
    ("request_bytes", "status", "code"),
    [
        pytest.param(b"\x16\x03\x01\x02\x00 TLS\r\n\r\n", 400, "malformed_request", id="tls"),
        pytest.param(f"POST /{CANARY} HTTP/9\r\n\r\n".encode(), 400, "malformed_request", id="version"),
        pytest.param(f"GET / HTTP/1.1\r\n{CANARY}\r\n\r\n".encode(), 400, "malformed_request", id="header"),
        pytest.param(b"GET /" + b"x" * 10_000 + b" HTTP/1.1\r\n\r\n", 400, "malformed_request", id="long-line"),
        pytest.param(a_post(b"{}", "Content-Length: 3"), 400, "malformed_request", id="two-lengths"),
        pytest.param(a_post(b"{}", "Expect: a miracle"), 417, "expectation_failed", id="expect"),
        pytest.param(
            b"GET / HTTP/1.1\r\nHost: x\r\nExpect: a miracle\r\n\r\n", 417, "expectation_failed", id="expect-anywhere"
        ),
        pytest.param(a_post(b"", length=2**40), 413, "body_too_large", id="stated-length"),
    ],
)
async def test_what_aiohttp_refuses_has_openai_s_shape_and_is_not_quoted_in_the_log(
    request_bytes, status, code, caplog
):
    caplog.set_level(logging.DEBUG)
    async with a_server() as (server, _client):
        found, error = await answer_to(server, request_bytes)
        assert (found, error) == (
            status, {"message": error["message"], "type": "invalid_request_error", "param": None, "code": code},
        )  # fmt: skip
    assert CANARY not in caplog.text


async def until_a_large_body_gets(server: Server, status: int) -> None:
    async with asyncio.timeout(10):
        while (await answer_to(server, a_post(b" " * 100_000)))[0] != status:  # noqa: ASYNC110 - asked of the server
            await asyncio.sleep(PACE_S)


async def test_slow_uploads_are_bounded_and_do_not_block_chats():
    places = MAX_LARGE_UPLOAD_BYTES // MAX_BODY_BYTES
    async with a_server() as (server, client), asyncio.TaskGroup() as tasks:
        uploads = [a_socket(server) for _ in range(places)]
        for upload in uploads:
            _reader, writer = await upload.__aenter__()
            writer.write(a_post(b'{"', length=MAX_BODY_BYTES))
        await until_a_large_body_gets(server, 429)
        async with client.post("/v1/chat/completions", json=chat()) as response:
            assert response.status == 200
        for upload in uploads:
            tasks.create_task(upload.__aexit__(None, None, None))
        await until_a_large_body_gets(server, 400)


def test_a_reservation_ends_with_the_body_even_after_an_error():
    uploads = UploadBudget()
    with uploads.reserve(100), uploads.reserve(MAX_BODY_BYTES):
        assert uploads == UploadBudget(small_bytes=100, large_bytes=MAX_BODY_BYTES)
    with pytest.raises(TimeoutError), uploads.reserve(100):
        raise TimeoutError
    assert uploads == UploadBudget()


def test_a_rejected_body_reserves_nothing():
    uploads = UploadBudget(large_bytes=MAX_LARGE_UPLOAD_BYTES)
    with pytest.raises(ApiError) as caught, uploads.reserve(MAX_BODY_BYTES):
        pass
    assert (caught.value.status, caught.value.retry_after_s) == (429, 1)
    assert (uploads.large_bytes, uploads.counts.rejected[RejectReason.UPLOADS]) == (MAX_LARGE_UPLOAD_BYTES, 1)


class Encoding(SimulatedEngine):
    """Makes tokens while the gate is open."""

    def __init__(self) -> None:
        super().__init__(FAST)
        self.gate = threading.Event()
        self.begun = 0

    @override
    def encode(self, text):
        self.begun += 1
        assert self.gate.wait(20)
        return [1, 2, 3]

    @override
    def encode_chat(self, messages, tools=(), variables=NO_VARIABLES):
        return self.encode(messages[0].content)


async def test_bodies_that_are_being_tokenized_are_bounded_too(monkeypatch):
    monkeypatch.setattr(transport, "MAX_LARGE_UPLOAD_BYTES", 350_000)
    long = "x" * 100_000
    bodies = {
        "/v1/chat/completions": chat(messages=[{"role": "user", "content": long}]),
        "/v1/completions": {"model": "m", "prompt": long, "max_tokens": 1},
        "/tokenize": {"prompt": long},
    }
    engine = Encoding()
    async with a_server(engine, max_concurrency=4) as (_server, client), asyncio.TaskGroup() as tasks:

        async def ask(path: str) -> int:
            async with asyncio.timeout(10), client.post(path, json=bodies[path]) as response:
                return response.status

        admitted = [tasks.create_task(ask(path)) for path in bodies]
        await eventually(lambda: engine.begun == len(bodies))
        assert [await ask(path) for path in bodies] == [429] * 3
        engine.gate.set()
        assert [await task for task in admitted] == [200] * 3
        assert await ask("/tokenize") == 200


@pytest.mark.parametrize(
    "before",
    [
        pytest.param(b"", id="first-request"),
        pytest.param(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n", id="later-request"),
    ],
)
async def test_headers_that_never_end_close_the_connection(before, monkeypatch):
    monkeypatch.setattr(transport, "HEADER_TIMEOUT_S", 0.3)
    async with a_server() as (server, _client), a_socket(server) as (reader, writer):
        if before:
            writer.write(before)
            assert (await reader.readuntil(b"ok\n")).startswith(b"HTTP/1.1 200")
        async with asyncio.timeout(10):
            with contextlib.suppress(ConnectionError):
                for at in range(1000):
                    writer.write(b"GET /livez HTTP/1.1\r\n" if at == 0 else b"X-Slow: 1\r\n")
                    if reader.at_eof() or await _is_closed(reader):
                        break
        assert server.bridge.in_flight == 0


async def _is_closed(reader: asyncio.StreamReader) -> bool:
    """Wait for a moment; True if the server closed the connection, and fails if it sent something."""
    try:
        async with asyncio.timeout(PACE_S):
            assert await reader.read(1) == b""
    except TimeoutError:
        return False
    return True


async def test_an_idle_connection_and_a_slow_answer_outlive_the_header_timeout(monkeypatch):
    monkeypatch.setattr(transport, "HEADER_TIMEOUT_S", 0.1)
    engine, gate = gated_engine()
    async with a_server(engine) as (server, _client), a_socket(server) as (reader, writer):
        writer.write(a_post(json.dumps(chat(max_tokens=1)).encode()))
        await eventually(lambda: server.bridge.in_flight == 1)
        head = asyncio.ensure_future(reader.readuntil(b"\r\n\r\n"))
        await asyncio.wait([head], timeout=0.3)
        gate.open()
        await eventually(lambda: server.bridge.in_flight == 0)
        async with asyncio.timeout(10):
            await head
            await reader.readuntil(b"}}}")
            assert not await _is_closed(reader)


async def test_half_sent_bodies_do_not_delay_a_drain():
    async with a_server(drain_timeout_s=60.0) as (server, _client), contextlib.AsyncExitStack() as stack:
        uploads = [await stack.enter_async_context(a_socket(server)) for _ in range(3)]
        for _reader, writer in uploads:
            writer.write(a_post(b'{"model": ', length=1000))
        await eventually(lambda: server.lifecycle._open_requests == 3)
        server.stop.set()
        await asyncio.wait_for(run_to_end(server), 10)
        for reader, _writer in uploads:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            assert head.startswith("HTTP/1.1 503")
            assert "Retry-After: 1" in head
            assert b'"draining"' in await reader.readuntil(b"}}")
        assert server.bridge.counts.rejected[RejectReason.DRAINING] == 3


async def test_a_drain_waits_until_a_slow_reader_has_received_the_last_byte():
    async with a_server(drain_timeout_s=60.0) as (server, _client), a_socket(server, receive_bytes=2048) as (
        reader, writer,
    ):  # fmt: skip
        writer.write(a_post(json.dumps(chat(stream=True, max_tokens=250)).encode()))
        await eventually(lambda: server.bridge.counts.finished["length"] == 1)
        end = asyncio.create_task(run_to_end(server))
        server.stop.set()
        await eventually(lambda: server.lifecycle.phase is Phase.DRAINING)
        await asyncio.wait([end], timeout=0.2)
        assert (end.done(), server.lifecycle.unsent_bytes() > 0) == (False, True)
        received = b""
        while not received.endswith(b"data: [DONE]\n\n\r\n0\r\n\r\n"):
            received += await asyncio.wait_for(reader.read(4096), 10)
        await asyncio.wait_for(end, 10)


class Verbose:
    """A decoder whose text soon fills every buffer of the kernel."""

    def push(self, _token: int) -> str:
        return "x" * 4096

    def flush(self) -> str:
        return ""


class VerboseEngine(SimulatedEngine):
    @override
    def decoder(self):
        return Verbose()


async def test_a_client_that_does_not_read_loses_its_slot():
    async with a_server(VerboseEngine(FAST)) as (server, _client), a_socket(server, receive_bytes=2048) as (
        _reader, writer,
    ):  # fmt: skip
        writer.write(a_post(json.dumps(chat(stream=True, max_tokens=8000)).encode()))
        await eventually(lambda: server.bridge.counts.finished["cancelled"] == 1, within_s=20)
        assert server.bridge.in_flight == 0
        assert server.bridge.counts.generated_tokens < 8000


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param({"stream": True, "max_tokens": 2000}, id="stream"),
        pytest.param({"max_tokens": 2000}, id="whole"),
        pytest.param({"stream": True, "max_tokens": 9}, id="what-lies-in-buffers-after-the-end"),
    ],
)
async def test_a_client_that_never_reads_loses_its_connection_and_does_not_hold_up_a_drain(fields, monkeypatch):
    monkeypatch.setattr(transport, "WRITE_TIMEOUT_S", 0.5)
    async with a_server(VerboseEngine(FAST), drain_timeout_s=100.0) as (server, _client), a_socket(
        server, receive_bytes=2048
    ) as (_reader, writer):  # fmt: skip
        writer.transport.pause_reading()
        writer.write(a_post(json.dumps(chat(**fields)).encode()))
        await eventually(lambda: server.lifecycle.unsent_bytes() > 0)
        server.stop.set()
        await asyncio.wait_for(run_to_end(server), 10)
        assert (server.lifecycle.unsent_bytes(), server.bridge.in_flight) == (0, 0)


async def test_a_drain_disconnects_a_client_that_never_reads_long_before_its_deadline(monkeypatch):
    monkeypatch.setattr(transport, "DRAIN_WRITE_TIMEOUT_S", 0.5)
    monkeypatch.setattr(transport, "SLOWEST_READER_BYTES_PER_S", 1_000_000)
    async with a_server(VerboseEngine(FAST), drain_timeout_s=100.0) as (server, _client), a_socket(
        server, receive_bytes=2048
    ) as (_reader, writer):  # fmt: skip
        writer.transport.pause_reading()
        writer.write(a_post(json.dumps(chat(stream=True, max_tokens=2000)).encode()))
        await eventually(lambda: server.lifecycle.unsent_bytes() > 0)
        assert transport.WRITE_TIMEOUT_S > 100
        server.stop.set()
        await asyncio.wait_for(run_to_end(server), 10)
        assert (server.lifecycle.unsent_bytes(), server.bridge.in_flight) == (0, 0)


@pytest.mark.parametrize("packet_bytes", [536, 1448, 8948, 65_483])
def test_the_slowest_reader_makes_progress_within_the_write_timeout_of_a_drain(packet_bytes):
    step_s = 2 * packet_bytes / transport.SLOWEST_READER_BYTES_PER_S
    assert step_s + 15 < transport.drain_write_timeout_s(packet_bytes) < transport.WRITE_TIMEOUT_S


def test_the_slowest_reader_makes_progress_within_the_write_timeout():
    step_s = transport.MAX_WINDOW_STEP_BYTES / transport.SLOWEST_READER_BYTES_PER_S
    assert 1.5 * step_s < transport.WRITE_TIMEOUT_S, "with 30 s, a reader of 1 KB/s on loopback was cut"


async def test_a_slow_reader_keeps_its_connection(monkeypatch):
    monkeypatch.setattr(transport, "WRITE_TIMEOUT_S", 2.0)
    async with a_server(VerboseEngine(FAST)) as (server, _client), a_socket(server, receive_bytes=2048) as (
        reader, writer,
    ):  # fmt: skip
        writer.write(a_post(json.dumps(chat(max_tokens=2000)).encode()))
        enough_s = asyncio.get_running_loop().time() + 2 * transport.WRITE_TIMEOUT_S
        while asyncio.get_running_loop().time() < enough_s:
            assert await asyncio.wait_for(reader.read(2000), 10)
            await asyncio.sleep(PACE_S)
        assert server.lifecycle.unsent_bytes() > 0
