"""The parser of responses accepts nothing that aiohttp's client refuses or reads in another way."""

import asyncio
from collections.abc import Iterator

import pytest
from aiohttp.client_proto import ResponseHandler
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.http_parser import HttpResponseParser
from hypothesis import given, settings
from hypothesis import strategies as st

from chatscale_gateway.upstream.response_parser import (
    MAX_FIELD_BYTES,
    MAX_HEADERS,
    MalformedResponseError,
    ResponseParser,
)

SEEDS = (
    b"HTTP/1.1 200 OK\r\nContent-Type: a/b\r\nContent-Length: 5\r\n\r\nhello",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n3;x=y\r\nabc\r\n0\r\nT: x\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nX: y\r\n\r\nhello",
    b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\nConnection: keep-alive\r\n\r\nab",
    b"HTTP/1.1 204 No\r\nX: a\r\n\r\n",
)
BITS = (
    b"", b"\r", b"\n", b"\r\n", b" ", b"\t", b":", b";", b",", b"\0", b"\x0b", b"\x7f", b"\xff", b'"', b"0", b"5", b"-",
    b"+", b"_", b"a", b"chunked", b"HTTP/1.1", b"Content-Length: 5\r\n", b"Transfer-Encoding: chunked\r\n",
)  # fmt: skip
Read = tuple[int, bytes]
"""Status and the bytes of the body."""


@st.composite
def nearly_responses(draw: st.DrawFn) -> bytes:
    """A valid response in which up to three places are replaced."""
    data = draw(st.sampled_from(SEEDS))
    for _ in range(draw(st.integers(0, 3))):
        at, length = draw(st.integers(0, len(data))), draw(st.integers(0, 2))
        data = data[:at] + draw(st.sampled_from(BITS)) + data[at + length :]
    return data


@pytest.fixture(scope="module")
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    """aiohttp's parser needs one. Nothing runs on it."""
    loop = asyncio.new_event_loop()
    yield loop
    loop.close()


@settings(max_examples=1000)
@given(data=nearly_responses())
def test_accepts_nothing_that_aiohttp_refuses(loop: asyncio.AbstractEventLoop, data: bytes):
    found = read(data)
    assert found is None or found == read_with_aiohttp(loop, data)


def test_the_comparison_sees_valid_responses(loop: asyncio.AbstractEventLoop):
    expected = [(200, b"hello"), (200, b"helloabc"), (200, b"hello"), (200, b"ab"), (204, b"")]
    assert [read(data) for data in SEEDS] == expected
    assert [read_with_aiohttp(loop, data) for data in SEEDS] == expected


def read(data: bytes) -> Read | None:
    """None for a response that is refused, or that has no complete head."""
    parser = ResponseParser()
    try:
        parser.feed(data)
    except MalformedResponseError:
        return None
    return (parser.status, parser.take()) if parser.has_head else None


def read_with_aiohttp(loop: asyncio.AbstractEventLoop, data: bytes) -> Read | None:
    parser = HttpResponseParser(
        ResponseHandler(loop), loop, 2**16, max_line_size=8190, max_headers=MAX_HEADERS, max_field_size=MAX_FIELD_BYTES,
        read_until_eof=True, auto_decompress=False,
    )  # fmt: skip
    try:
        messages, _, _ = parser.feed_data(data)
    except HttpProcessingError:
        return None
    message, body = messages[-1]
    if body.exception() is not None:
        return None
    return message.code, b"" if body.total_bytes == 0 else body.read_nowait()
