"""What counts as a valid response, however its bytes arrive."""

from collections.abc import Iterable
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatscale_gateway.upstream.response_parser import (
    MAX_FIELD_BYTES,
    MAX_HEAD_BYTES,
    MAX_HEADERS,
    MalformedResponseError,
    ResponseParser,
)

HEAD = b"HTTP/1.1 200 OK\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"


def parse(parts: Iterable[bytes], *, eof: bool = False) -> ResponseParser:
    parser = ResponseParser()
    feed_all(parser, parts)
    if eof:
        parser.feed_eof()
    return parser


def feed_all(parser: ResponseParser, parts: Iterable[bytes]) -> None:
    for part in parts:
        parser.feed(part)


def cut(data: bytes, at: Iterable[int]) -> list[bytes]:
    edges = [0, *sorted({min(each, len(data)) for each in at}), len(data)]
    return [data[start:end] for start, end in pairwise(edges) if start < end]


def each_byte(data: bytes) -> list[bytes]:
    return cut(data, range(len(data)))


@st.composite
def responses(draw: st.DrawFn) -> tuple[bytes, bytes, bool]:
    """Bytes of a response, its body, and whether the end of the connection ends it."""
    body = draw(st.binary(max_size=300))
    interim = draw(st.sampled_from([b"", b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 103 Hints\r\nLink: x\r\n\r\n"]))
    kind = draw(st.sampled_from(["length", "chunked", "eof"]))
    if kind == "length":
        return interim + HEAD + b"X-A: 1\r\nContent-Length: %d\r\n\r\n" % len(body) + body, body, False
    if kind == "eof":
        return interim + HEAD + b"X-A: 1\r\n\r\n" + body, body, True
    chunks = cut(body, draw(st.lists(st.integers(0, 300), max_size=6)))
    coded = b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks)
    trailer = draw(st.sampled_from([b"", b"X-T: 1\r\n"]))
    head = interim + HEAD + b"X-A: 1\r\nTransfer-Encoding: chunked\r\n\r\n"
    return head + coded + b"0\r\n" + trailer + b"\r\n", body, False


@given(responses(), st.lists(st.integers(0, 700), max_size=20))
def test_reads_the_same_response_however_its_bytes_are_split(response, at):
    data, body, until_eof = response
    parser = parse(cut(data, at), eof=until_eof)
    assert (parser.status, parser.headers["x-a"], parser.take()) == (200, "1", body)
    assert (parser.complete, parser.keep_alive) == (True, not until_eof)


@given(responses(), st.data())
def test_never_takes_a_cut_response_for_a_complete_one(response, data):
    whole, _, until_eof = response
    if until_eof:
        return  # such a response has no end of its own
    end = data.draw(st.integers(0, len(whole) - 1))
    assert not parse([whole[:end]], eof=True).complete


@given(st.binary(max_size=400))
def test_accepts_no_noise(noise):
    parser = ResponseParser()
    try:
        parser.feed(noise)
    except MalformedResponseError:
        return
    assert not parser.complete


MALFORMED = [
    pytest.param(HEAD + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n", id="length and chunked"),
    pytest.param(HEAD + b"Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n", id="chunked and length"),
    pytest.param(HEAD + b"Content-Length: 3\r\nContent-Length: 3\r\n\r\n", id="two lengths"),
    pytest.param(HEAD + b"Content-Length: 3, 3\r\n\r\n", id="a list of lengths"),
    pytest.param(HEAD + b"Content-Length: +3\r\n\r\n", id="a signed length"),
    pytest.param(HEAD + b"Content-Length: -3\r\n\r\n", id="a negative length"),
    pytest.param(HEAD + b"Content-Length:\r\n\r\n", id="an empty length"),
    pytest.param(HEAD + b"Content-Length: 18446744073709551616\r\n\r\n", id="a length of 65 bits"),
    pytest.param(HEAD + b"Content-Length : 3\r\n\r\n", id="a space before the colon"),
    pytest.param(HEAD + b"Transfer-Encoding: gzip\r\n\r\n", id="another coding"),
    pytest.param(HEAD + b"Transfer-Encoding: gzip, chunked\r\n\r\n", id="two codings"),
    pytest.param(HEAD + b"Transfer-Encoding: chunked, gzip\r\n\r\n", id="chunked is not last"),
    pytest.param(HEAD + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", id="chunked twice"),
    pytest.param(HEAD + b"Transfer-Encoding: identity\r\n\r\n", id="identity"),
    pytest.param(b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", id="chunked in HTTP/1.0"),
    pytest.param(CHUNKED + b"zz\r\nabc\r\n", id="a chunk size that is not hexadecimal"),
    pytest.param(CHUNKED + b"-3\r\nabc\r\n", id="a negative chunk size"),
    pytest.param(CHUNKED + b"0x3\r\nabc\r\n", id="a chunk size with a prefix"),
    pytest.param(CHUNKED + b" 3\r\nabc\r\n", id="a space before a chunk size"),
    pytest.param(CHUNKED + b"fffffffffffffffff\r\nabc\r\n", id="a chunk size of 68 bits"),
    pytest.param(CHUNKED + b"3\r\nabcd\r\n", id="a chunk that is longer than its size"),
    pytest.param(CHUNKED + b"3\nabc\n", id="line feeds alone"),
    pytest.param(CHUNKED + b"3;" + b"x" * MAX_HEAD_BYTES, id="a giant chunk extension"),
    pytest.param(CHUNKED + b"1\r\na\r\n0\r\n" + b"T: x\r\n" * MAX_HEADERS + b"T: x\r\n\r\n", id="many trailers"),
    pytest.param(CHUNKED + b"1\r\na\r\n0\r\nT: " + b"x" * MAX_HEAD_BYTES + b"\r\nU: y\r\n\r\n", id="a giant trailer"),
    pytest.param(HEAD + b"X: a\r\n b\r\n\r\n", id="a folded header"),
    pytest.param(HEAD + b"X: a\x00b\r\n\r\n", id="a NUL in a header"),
    pytest.param(HEAD + b"X: a\rb\r\n\r\n", id="a carriage return in a header"),
    pytest.param(HEAD + b"X: a\x7fb\r\n\r\n", id="a DEL in a header"),
    pytest.param(HEAD + b"X: a\x1bb\r\n\r\n", id="an escape in a header"),
    pytest.param(HEAD + b"X y: a\r\n\r\n", id="a space in a name"),
    pytest.param(HEAD + b": a\r\n\r\n", id="no name"),
    pytest.param(HEAD + b"no colon\r\n\r\n", id="no colon"),
    pytest.param(HEAD + b"X: y\nContent-Length: 3\n\n", id="headers with line feeds alone"),
    pytest.param(HEAD + b"X: " + b"x" * MAX_FIELD_BYTES + b"\r\n\r\n", id="a giant header"),
    pytest.param(HEAD + b"X" * (MAX_HEAD_BYTES + 1), id="a giant name"),
    pytest.param(HEAD + b"X: y\r\n" * (MAX_HEADERS + 1) + b"\r\n", id="many headers"),
    pytest.param(HEAD + (b"X: " + b"y" * 8000 + b"\r\n") * 5, id="giant headers together"),
    pytest.param(b"HTTP/1.1 103 Hints\r\nLink: x\r\n\r\n" * (MAX_HEADERS + 1), id="many interim responses"),
    pytest.param(b"HTTP/1.1 100 Continue\r\n\r\n" * 1500, id="interim responses without end"),
    pytest.param(b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n", id="another protocol"),
    pytest.param(b"HTTP/1.1 000 OK\r\n\r\n", id="status 0"),
    pytest.param(b"HTTP/1.1 20 OK\r\n\r\n", id="a status of two digits"),
    pytest.param(b"HTTP/1.1 2000 OK\r\n\r\n", id="a status of four digits"),
    pytest.param(b"HTTP/2.0 200 OK\r\n\r\n", id="HTTP/2.0"),
    pytest.param(b"HTTP/0.9 200 OK\r\n\r\n", id="HTTP/0.9"),
    pytest.param(b"RTSP/1.0 200 OK\r\n\r\n", id="RTSP"),
    pytest.param(b"ICE/1.0 200 OK\r\n\r\n", id="ICE"),
    pytest.param(b"http/1.1 200 OK\r\n\r\n", id="lower case"),
    pytest.param(b"GET / HTTP/1.1\r\n\r\n", id="a request"),
    pytest.param(b"\x16\x03\x01\x02\x00", id="TLS"),
]


@pytest.mark.parametrize("split", [lambda data: [data], each_byte], ids=["whole", "byte by byte"])
@pytest.mark.parametrize("data", MALFORMED)
def test_refuses_malformed_responses(data, split):
    with pytest.raises(MalformedResponseError):
        parse(split(data))


@pytest.mark.parametrize("split", [lambda data: [data], each_byte], ids=["whole", "byte by byte"])
@pytest.mark.parametrize(
    "excess", [b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx", b"garbage", b"x"], ids=["response", "text", "byte"]
)
def test_a_response_with_bytes_behind_its_end_is_not_complete(excess, split):
    parser = ResponseParser()
    with pytest.raises(MalformedResponseError):
        feed_all(parser, split(HEAD + b"Content-Length: 3\r\n\r\nabc" + excess))
    assert not parser.complete


@pytest.mark.parametrize(
    ("head", "keeps"),
    [
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", True, id="HTTP/1.1"),
        pytest.param(b"HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n", True, id="no reason"),
        pytest.param(b"HTTP/1.1 204 None\r\n\r\n", True, id="no body"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: X, Close\r\n\r\n", False, id="close"),
        pytest.param(b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n", False, id="HTTP/1.0"),
    ],
)
def test_keeps_only_connections_that_the_replica_keeps(head, keeps):
    parser = parse([head])
    assert (parser.complete, parser.keep_alive) == (True, keeps)


def test_joins_repeated_headers_and_ignores_their_case():
    parser = parse([HEAD + b"VARY: a\r\nvary: b\r\nX: caf\xc3\xa9 \xff\r\nContent-Length: 0\r\n\r\n"])
    assert parser.headers == {"vary": "a, b", "x": "caf\u00e9 \ufffd", "content-length": "0"}


def test_reads_one_response_after_the_other():
    parser = parse([HEAD + b"A: 1\r\nContent-Length: 1\r\n\r\na"])
    assert parser.take() == b"a"
    parser.begin()
    assert not parser.received
    parser.feed(b"HTTP/1.1 404 No\r\nB: 1\r\nContent-Length: 1\r\n\r\nb")
    assert (parser.status, parser.take()) == (404, b"b")
    assert parser.headers == {"b": "1", "content-length": "1"}


def test_quotes_no_byte_of_a_response():
    with pytest.raises(MalformedResponseError) as raised:
        parse([HEAD + b"secret prompt\r\n\r\n"])
    assert "secret" not in str(raised.value)
