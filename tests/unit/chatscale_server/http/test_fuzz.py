"""Bytes from strangers: whatever is sent, the answer is the client's fault or an answer, and the next one is served."""

import asyncio
import gzip
import http.client
import json
import socket
import threading
import zlib
from collections.abc import Iterator
from urllib.parse import quote

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from chatscale_contract.openai.bounded_json import DEFAULT_BOUNDS
from tests.unit.chatscale_server.builders import a_server, chat

PATHS = ("/v1/chat/completions", "/v1/completions", "/tokenize", "/detokenize")
VALID = json.dumps(chat(logit_bias={"1": 1}, stop=["a"], temperature=0.5, stream_options=None)).encode()


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    """A server on a loop of its own, so that hypothesis can ask and shrink from outside."""
    loop, started, stop = asyncio.new_event_loop(), threading.Event(), asyncio.Event()
    found: list[int] = []

    async def serve() -> None:
        async with a_server() as (server, _client):
            found.append(server.port)
            started.set()
            await stop.wait()

    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()), daemon=True)
    thread.start()
    assert started.wait(20)
    yield found[0]
    loop.call_soon_threadsafe(stop.set)
    thread.join(20)
    loop.close()


def answer_to(port: int, request: bytes, *, whole: bool = True) -> tuple[int, bytes]:
    """Status and body; 0 for a client that hung up before its request was whole, and is owed no answer."""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        connection.sendall(request)
        if not whole:
            connection.shutdown(socket.SHUT_WR)
        response = http.client.HTTPResponse(connection)
        try:
            response.begin()
            return response.status, response.read()
        except (http.client.BadStatusLine, ConnectionError):
            if whole:
                raise
            return 0, b""


def post(path: str, body: bytes, *headers: bytes, length: int | None = None) -> bytes:
    lines = [f"POST {path} HTTP/1.1".encode(), b"Host: x", b"Connection: close", *headers]
    lines.append(b"Content-Length: %d" % (len(body) if length is None else length))
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


def check(status: int, answer: bytes) -> None:
    assert status < 500, answer
    if status >= 400:
        error = json.loads(answer)["error"]
        assert set(error) == {"message", "type", "param", "code"}
        assert len(answer) < 4096, "an error quotes no more than it needs"


def fuzz(examples: int):
    return settings(max_examples=examples, database=None)


mutations = st.lists(st.tuples(st.integers(0, len(VALID)), st.integers(0, 3), st.binary(max_size=4)), max_size=3)


def mutated(changes: list[tuple[int, int, bytes]]) -> bytes:
    body = VALID
    for at, removed, added in changes:
        body = body[:at] + added + body[at + removed :]
    return body


@fuzz(150)
@given(path=st.sampled_from(PATHS), body=st.one_of(mutations.map(mutated), st.binary(max_size=60)))
def test_no_bytes_make_the_server_fail(port, path, body):
    check(*answer_to(port, post(path, body)))


leaves = st.one_of(
    st.none(), st.booleans(), st.floats(), st.text(max_size=8),
    st.sampled_from(["\ud800", "\x00", "m", "user", "a" * 5000]),
    st.integers(), st.sampled_from([10**400, -1, 2**31, 2**63, 1e308]),
)  # fmt: skip
names = st.sampled_from([*chat(), "prompt", "stop", "n", "tools", "response_format", "logit_bias", "stream", "tokens",
                          "messages", "role", "content", "tool_calls", "function", "arguments", "refusal", "type",
                          "stop_token_ids", "min_tokens", "ignore_eos", "continue_final_message",
                          "add_generation_prompt"])  # fmt: skip
values = st.recursive(
    leaves, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(names, inner, max_size=3), max_leaves=12
)


@fuzz(150)
@given(path=st.sampled_from(PATHS), fields=st.dictionaries(names, values, max_size=5), valid=st.booleans())
def test_no_value_of_any_field_makes_the_server_fail(port, path, fields, valid):
    body = json.dumps(({**chat(), **fields}) if valid else fields).encode(errors="surrogatepass")
    check(*answer_to(port, post(path, body)))


deep = st.integers(1, 3 * DEFAULT_BOUNDS.depth)


@fuzz(60)
@given(path=st.sampled_from(PATHS), depth=deep, opening=st.sampled_from(["[", '{"a":', '["']), closed=st.booleans())
@example(path=PATHS[0], depth=200_000, opening="[", closed=False)
@example(path=PATHS[0], depth=200_000, opening='{"a":', closed=True)
def test_no_depth_makes_the_server_fail(port, path, depth, opening, closed):
    body = (opening * depth + "0" + ("]" if opening[0] == "[" else "}") * depth * closed).encode()
    status, answer = answer_to(port, post(path, body))
    check(status, answer)
    assert status == 400


PACKERS = {
    b"gzip": gzip.compress, b"deflate": zlib.compress, b"identity": bytes, b"br": bytes, b"zstd": bytes,
    b"x-unknown": bytes,
}  # fmt: skip
ENCODINGS = ["utf-8", "utf-8-sig", "utf-16", "utf-32-le", "latin-1", "utf-7"]
CONTENT_TYPES = [
    b"application/json",
    b"application/json; charset=utf-16",
    b"text/plain",
    b"multipart/form-data",
    b"\xff",
]


@fuzz(120)
@given(
    encoding=st.sampled_from(ENCODINGS), packing=st.sampled_from(sorted(PACKERS)), packed=st.booleans(),
    content_type=st.sampled_from(CONTENT_TYPES), cut=st.integers(0, 3),
)  # fmt: skip
def test_no_encoding_makes_the_server_fail(port, encoding, packing, packed, content_type, cut):
    body = VALID.decode().encode(encoding)
    body = PACKERS[packing](body) if packed else body
    body = body[: len(body) - cut]
    headers = (b"Content-Type: " + content_type, b"Content-Encoding: " + packing)
    check(*answer_to(port, post(PATHS[0], body, *headers)))


@fuzz(80)
@given(
    chunks=st.lists(st.binary(max_size=20), max_size=4),
    size=st.sampled_from([b"%x", b"%d", b"-%x", b"%x;a=b", b"zz%x"]),
    end=st.sampled_from([b"0\r\n\r\n", b"0\r\nA: b\r\n\r\n", b"", b"\r\n"]),
)  # fmt: skip
def test_no_chunking_makes_the_server_fail(port, chunks, size, end):
    head = b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n"
    body = b"".join(size % len(chunk) + b"\r\n" + chunk + b"\r\n" for chunk in chunks) + end
    check(*answer_to(port, head + b"\r\n" + body, whole=size != b"%d" and end.startswith(b"0")))


@fuzz(100)
@given(
    message=st.dictionaries(names, values, max_size=6), role=st.sampled_from(["user", "assistant", "tool", "system"])
)
def test_no_field_of_a_message_makes_the_server_fail(port, message, role):
    body = json.dumps(chat(messages=[{"content": "Hi", **message, "role": role}])).encode(errors="surrogatepass")
    check(*answer_to(port, post(PATHS[0], body)))


@fuzz(60)
@given(
    method=st.sampled_from([b"GET", b"POST", b"OPTIONS", b"DELETE"]),
    path=st.sampled_from([b"/v1/models/", b"/health", b"/ping", b"/version", b"/v1/models"]),
    rest=st.text(alphabet="ab/%. ?#~", max_size=20), request_id=st.binary(max_size=20),
)  # fmt: skip
def test_no_path_and_no_request_id_make_the_server_fail(port, method, path, rest, request_id):
    target = path + quote(rest, safe="/%?~").encode()
    safe = bytes(byte for byte in request_id if byte not in b"\r\n\0")
    head = method + b" " + target + b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX-Request-Id: " + safe + b"\r\n\r\n"
    status, answer = answer_to(port, head)
    assert status < 500 or status == 503
    if answer and status >= 400 and status != 503:
        check(status, answer)


@fuzz(40)
@given(length=st.sampled_from([-1, 0, 1, 10, 2**31, 2**63, 2**70]), body=st.binary(max_size=12))
def test_no_stated_length_makes_the_server_fail(port, length, body):
    check(*answer_to(port, post(PATHS[1], body, length=length), whole=False))


@fuzz(100)
@given(st.binary(max_size=80))
def test_no_bytes_at_all_make_the_server_fail(port, noise):
    check(*answer_to(port, noise, whole=False))


def test_a_packed_bomb_is_stopped_at_the_bound(port):
    body = gzip.compress(b'{"a": "' + b"x" * 200_000_000 + b'"}', compresslevel=1)
    assert len(body) < 2**20
    status, answer = answer_to(port, post(PATHS[0], body, b"Content-Encoding: gzip"))
    check(status, answer)
    assert status == 413


def test_the_server_still_responds_after_all_of_these_requests(port):
    body = json.dumps(chat()).encode()
    status, answer = answer_to(port, post(PATHS[0], body))
    assert (status, json.loads(answer)["usage"]["completion_tokens"]) == (200, 5)
