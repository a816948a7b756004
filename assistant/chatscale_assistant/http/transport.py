"""HTTP below the API: connections, bodies and error responses.

Every cost that a client can cause is bounded: time to send headers and body, bytes, time to accept a response.
"""

import asyncio
import fcntl
import logging
import socket
import sys
import termios
from typing import Any, Final

from aiohttp import web
from aiohttp.http_exceptions import LineTooLong
from typing_extensions import override

from chatscale_assistant.http.options import HttpOptions
from chatscale_contract.openai.bounded_json import JsonBounds, parse_object
from chatscale_contract.openai.errors import ApiError, bad_request

log = logging.getLogger(__name__)

_BAD_REQUEST: Final = 400
BOUNDS: Final = JsonBounds(depth=24, containers=200_000, commas=1_000_000, members=4096)


class Connection(web.RequestHandler):
    """A client connection. Answers bytes that are not valid HTTP in OpenAI's form, since no handler sees them."""

    __slots__ = ("_headers_timer", "_options")

    def __init__(self, server: web.Server, *, loop: asyncio.AbstractEventLoop, options: HttpOptions) -> None:
        super().__init__(
            server,
            loop=loop,
            access_log=None,  # type: ignore[arg-type]  # as AppRunner passes it
            keepalive_timeout=options.idle_timeout_s,
            max_field_size=options.max_header_bytes,
        )
        self._options = options
        self._headers_timer: asyncio.TimerHandle | None = None

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Let the kernel close the connection of a client that does not read."""
        raw: socket.socket = transport.get_extra_info("socket")
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(self._options.write_timeout_s * 1000))
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
            raise ConnectionError("the response has started, so no error response can follow")
        # Neither message nor traceback: both quote bytes of the client.
        log.info("not HTTP", extra={"status": status, "error": type(exc).__name__})
        if isinstance(exc, LineTooLong):
            response = error_response(headers_too_large(self._options))
        else:
            text = "the request is not valid HTTP" if status == _BAD_REQUEST else "the assistant failed"
            response = error_response(
                ApiError(status, text, code="malformed_request" if status == _BAD_REQUEST else None)
            )
        response.force_close()
        return response


async def read_object(http: web.Request, options: HttpOptions, limit: int) -> dict[str, Any]:
    """The JSON object in the body.  limit: bytes.  Raises ApiError 400, 408 or 413."""
    return parse_object(await read_body(http, options, limit), BOUNDS)


async def read_body(http: web.Request, options: HttpOptions, limit: int) -> bytes:
    """The body.  limit: bytes.  Raises ApiError 400, 408 or 413."""
    if http.content_length is not None and http.content_length > limit:
        raise _too_large(limit)
    parts, size = [], 0
    try:
        async with asyncio.timeout(options.request_timeout_s):
            while part := await http.content.readany():
                size += len(part)
                if size > limit:
                    raise _too_large(limit)
                parts.append(part)
    except TimeoutError as error:
        text = f"the body did not arrive within {options.request_timeout_s:g} seconds"
        raise ApiError(408, text, code="timeout") from error
    except web.RequestPayloadError as error:
        raise bad_request("the body does not match its headers") from error
    return b"".join(parts)


def headers_too_large(options: HttpOptions) -> ApiError:
    """The 431 that names the limit."""
    text = f"the request line and headers must not exceed {options.max_header_bytes} bytes"
    return ApiError(431, text, code="headers_too_large")


def check_header_size(request: web.BaseRequest, options: HttpOptions) -> None:
    """Raises ApiError 431. aiohttp limits single headers only."""
    if sum(len(name) + len(value) for name, value in request.raw_headers) > options.max_header_bytes:
        raise headers_too_large(options)


def error_response(error: ApiError) -> web.Response:
    """The complete response to a request that failed before the first byte of its response."""
    return web.json_response(error.body(), status=error.status, headers=error.headers())


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


def _too_large(limit: int) -> ApiError:
    return ApiError(413, f"the body is larger than {limit} bytes", code="body_too_large")
