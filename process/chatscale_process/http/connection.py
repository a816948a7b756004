"""Client connections and error responses.

Every cost that a client can cause is bounded: time to send headers, time to accept a response.
"""

import asyncio
import fcntl
import logging
import socket
import struct
import sys
import termios
from typing import Final, Protocol

from aiohttp import HttpVersion11, web
from aiohttp.http_exceptions import LineTooLong
from typing_extensions import override

from chatscale_contract.openai.errors import ApiError

log = logging.getLogger(__name__)

_BAD_REQUEST: Final = 400


class ResponseAbortedError(ConnectionError):
    """The response has begun and cannot be completed: its connection is closed without the end of the body."""


class ConnectionOptions(Protocol):
    """Limits of a connection. Durations are in seconds, sizes in bytes."""

    @property
    def max_header_bytes(self) -> int:
        """Names and values of all headers of a request. More gets 431."""

    @property
    def request_timeout_s(self) -> float:
        """Time for a client to send the headers."""

    @property
    def write_timeout_s(self) -> float:
        """A client that acknowledges no bytes for this long is disconnected."""

    @property
    def idle_timeout_s(self) -> float:
        """Idle keep-alive connections."""


class Connection(web.RequestHandler):
    """A client connection.

    It answers bytes that are not valid HTTP in OpenAI's shape, since no handler sees them, and closes connections
    whose headers or acknowledgements do not arrive in time.
    """

    __slots__ = ("_headers_timer", "_options")

    def __init__(self, server: web.Server, *, loop: asyncio.AbstractEventLoop, options: ConnectionOptions) -> None:
        super().__init__(
            server,
            loop=loop,
            access_log=None,  # type: ignore[arg-type]  # as AppRunner takes it
            keepalive_timeout=options.idle_timeout_s,
            max_field_size=options.max_header_bytes,
        )
        self._options = options
        self._headers_timer: asyncio.TimerHandle | None = None

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Let the kernel close the connection of a client that does not read.

        Only the kernel can: closing a transport waits for its buffers, and they may still hold the rest of a
        response after the handler has returned.
        """
        raw: socket.socket = transport.get_extra_info("socket")
        milliseconds = int(self._options.write_timeout_s * 1000)
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, milliseconds)
        super().connection_made(transport)

    @override
    def data_received(self, data: bytes) -> None:
        """Start the time limit with the first bytes of a request, end it with the last of its headers."""
        parsed = self._request_count
        super().data_received(data)
        if self._request_count > parsed:
            self._stop_timer()
        elif self._headers_timer is None and self._current_request is None and not self._messages:
            self._headers_timer = self._loop.call_later(self._options.request_timeout_s, self.force_close)

    @override
    def connection_lost(self, exc: BaseException | None) -> None:
        self._stop_timer()
        super().connection_lost(exc)

    def _stop_timer(self) -> None:
        if self._headers_timer is not None:
            self._headers_timer.cancel()
            self._headers_timer = None

    @override
    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        if request.writer.output_size > 0:
            raise ResponseAbortedError("the response has started, so no error response can follow")
        # Neither message nor traceback: both quote bytes of the client, which may be a prompt.
        log.info("not HTTP", extra={"status": status, "error": type(exc).__name__, "remote": request.remote})
        if isinstance(exc, LineTooLong):
            response = error_response(headers_too_large(self._options))
        else:
            text = "the request is not valid HTTP" if status == _BAD_REQUEST else "the request failed"
            response = error_response(
                ApiError(status, text, code="malformed_request" if status == _BAD_REQUEST else None)
            )
        response.force_close()
        return response


def headers_too_large(options: ConnectionOptions) -> ApiError:
    """The 431 that names the limit."""
    text = f"the request line and headers must not exceed {options.max_header_bytes} bytes"
    return ApiError(431, text, code="headers_too_large")


def check_header_size(request: web.BaseRequest, options: ConnectionOptions) -> None:
    """Raises ApiError 431. aiohttp limits single headers only."""
    if sum(len(name) + len(value) for name, value in request.raw_headers) > options.max_header_bytes:
        raise headers_too_large(options)


def error_response(error: ApiError) -> web.Response:
    """The complete response to a request that failed before the first byte of its response."""
    return web.json_response(error.body(), status=error.status, headers=error.headers())


def reset_if_unframed(request: web.BaseRequest) -> None:
    """Reset the connection of an HTTP/1.0 client. There the end of a connection is the end of a complete body."""
    transport = request.transport
    if request.version < HttpVersion11 and transport is not None:
        raw: socket.socket = transport.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        transport.abort()


def unsent_bytes(connection: asyncio.Protocol) -> int:
    """Bytes that the client has not acknowledged, in our buffer and in the kernel's. Both disappear with the pod."""
    transport: asyncio.WriteTransport | None = getattr(connection, "transport", None)
    if transport is None:
        return 0
    buffered = transport.get_write_buffer_size()
    try:
        in_kernel = fcntl.ioctl(transport.get_extra_info("socket").fileno(), termios.TIOCOUTQ, bytes(4))
    except (OSError, ValueError):
        return buffered  # the socket was closed in the meantime
    return buffered + int.from_bytes(in_kernel, sys.byteorder)
