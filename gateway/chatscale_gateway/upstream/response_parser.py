"""Reads HTTP/1.1 responses from bytes, as strictly as aiohttp's client. Pure.

httptools parses the syntax. This module decides what httptools leaves open: limits, framing, interim responses and
whether the connection can serve another request.
"""

from typing import Final

import httptools

MAX_HEADERS: Final = 128
MAX_FIELD_BYTES: Final = 8190
"""Name and value of one header. These two are aiohttp's limits."""
MAX_HEAD_BYTES: Final = 32 * 1024
"""Names and values of all headers: interim responses and trailers included."""
_LOWEST_FINAL: Final = 200
_WITHOUT_BODY: Final = frozenset({204, 304})
_VERSIONS: Final = frozenset({"1.0", "1.1"})
_START: Final = b"HTTP/"
"""The parser of httptools also reads RTSP and ICE."""


class MalformedResponseError(Exception):
    """The bytes are not a valid response to one request. The text quotes no byte of them."""


class ResponseParser:
    """The responses of one connection, one after the other. `begin` before each."""

    __slots__ = (
        "_count", "_field_bytes", "_head_bytes", "_parser", "_start", "_until_eof", "complete", "has_head", "headers",
        "keep_alive", "parts", "size", "status",
    )  # fmt: skip

    def __init__(self) -> None:
        self._parser = httptools.HttpResponseParser(self)
        self.begin()

    def begin(self) -> None:
        """Expect the response to the next request."""
        self._start = b""
        self.has_head = False
        """The headers of the final response have arrived: `status` and `headers` are valid."""
        self.complete = False
        """The body has arrived to its end."""
        self.status = 0
        self.headers: dict[str, str] = {}
        """Names in lower case. Values of a repeated header are one list (RFC 9110, section 5.3)."""
        self.parts: list[bytes] = []
        """Body bytes that have not been taken."""
        self.size = 0
        """Of `parts`, in bytes."""
        self.keep_alive = False
        """The connection can serve another request, once the response is complete."""
        self._until_eof = False
        self._count = 0
        self._field_bytes = 0
        self._head_bytes = 0

    @property
    def received(self) -> bool:
        """At least one byte has arrived."""
        return bool(self._start)

    def feed(self, data: bytes) -> None:
        """Parse what has arrived. Raises MalformedResponseError.

        Bytes behind the end are not valid either: a length that is too small would make a part of a body complete.
        """
        if len(self._start) < len(_START):
            self._start += data[: len(_START)]
            if not self._start.startswith(_START[: len(self._start)]):
                raise MalformedResponseError("the response does not begin with HTTP")
        self._head_bytes += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as error:
            raise MalformedResponseError("the replica switches protocols") from error
        except httptools.HttpParserError as error:
            if self.complete:
                self.complete = False
                raise MalformedResponseError("the response has bytes behind its end") from error
            cause = error.__context__
            if isinstance(cause, MalformedResponseError):
                raise cause from None
            raise MalformedResponseError(str(error)) from error
        if self._head_bytes > MAX_HEAD_BYTES and not self.complete:
            raise MalformedResponseError(f"the headers have more than {MAX_HEAD_BYTES} bytes")

    def feed_eof(self) -> None:
        """The replica has closed the connection. Check `complete` afterwards: only some responses end in this way."""
        if self.has_head and self._until_eof:
            self.complete = True

    def take(self) -> bytes:
        """The body bytes that have arrived, and forget them."""
        parts = self.parts
        data = parts[0] if len(parts) == 1 else b"".join(parts)
        parts.clear()
        self.size = 0
        return data

    # ---- called by httptools ----

    def on_message_begin(self) -> None:
        """A response begins."""
        if self.complete:
            raise MalformedResponseError("the replica sent two responses to one request")

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header, or a trailer after the body. Trailers are counted and dropped."""
        size = len(name) + len(value)
        self._count += 1
        self._field_bytes += size
        if size > MAX_FIELD_BYTES or self._field_bytes > MAX_HEAD_BYTES:
            raise MalformedResponseError(f"a header has {size} bytes, all have {self._field_bytes}")
        if self._count > MAX_HEADERS:
            raise MalformedResponseError(f"the response has more than {MAX_HEADERS} headers")
        if self.has_head:
            return
        key = name.decode("ascii").lower()
        text = value.decode(errors="replace")
        headers = self.headers
        headers[key] = f"{headers[key]}, {text}" if key in headers else text

    def on_headers_complete(self) -> None:
        """The end of the headers of an interim or of the final response."""
        status = self._parser.get_status_code()
        version = self._parser.get_http_version()
        if version not in _VERSIONS:
            raise MalformedResponseError(f"HTTP/{version} is not supported")
        if status < _LOWEST_FINAL:
            if status < 100:  # noqa: PLR2004 - the lowest status
                raise MalformedResponseError(f"{status} is not a status")
            return
        headers = self.headers
        coding = headers.get("transfer-encoding")
        if coding is not None and (coding.lower() != "chunked" or version == "1.0"):
            raise MalformedResponseError("the only valid transfer coding is chunked, of HTTP/1.1")
        self._until_eof = coding is None and "content-length" not in headers and status not in _WITHOUT_BODY
        tokens = headers.get("connection")
        self.keep_alive = version == "1.1" and not self._until_eof and (tokens is None or "close" not in tokens.lower())
        self.status = status
        self.has_head = True

    def on_body(self, data: bytes) -> None:
        """A part of the body."""
        self._head_bytes = 0  # what follows is counted again: trailers are bounded, too
        self.parts.append(data)
        self.size += len(data)

    def on_message_complete(self) -> None:
        """The end of an interim or of the final response."""
        if self.has_head:
            self.complete = True
        else:
            self.headers = {}
