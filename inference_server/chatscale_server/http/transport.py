"""HTTP below the API: connections, request bodies and error responses.

Every cost that a client can cause is bounded before it is paid: here bytes in flight, time to send a body and time to
accept a response; JSON depth and size in `chatscale_contract.openai.bounded_json`.
"""

import asyncio
import fcntl
import logging
import socket
import sys
import termios
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Final, TypeVar, cast

from aiohttp import hdrs, web
from typing_extensions import override

from chatscale_contract.gateway.endpoints import REQUEST_ID_HEADER
from chatscale_contract.openai.errors import ApiError, bad_request
from chatscale_contract.server.metrics import RejectReason
from chatscale_server.http.response_headers import request_id
from chatscale_server.logs import where
from chatscale_server.metrics import Counts

log = logging.getLogger(__name__)

Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]
T = TypeVar("T")

SLOWEST_READER_BYTES_PER_S: Final = 1000
MAX_WINDOW_STEP_BYTES: Final = 2 * 65_536
"""A receiver announces new room in its buffer in steps: its kernel frees whole packets, on loopback up to 64 KiB each.
Between two steps a steady slow reader looks like one that does not read."""
WRITE_TIMEOUT_S: Final = 300.0
"""A client that takes no bytes for this long is disconnected. It is longer than one step of the slowest reader."""
DRAIN_WRITE_TIMEOUT_S: Final = 20.0
"""As WRITE_TIMEOUT_S while the server drains, for packets of no size. See `drain_write_timeout_s`."""
HEADER_TIMEOUT_S: Final = 20.0
"""For the headers of one request, from the connection or from the first byte of a later request."""
PROGRESS_CHECKS: Final = 4
"""Within the write timeout."""
_BYTES_ACKED: Final = 120
_TCP_INFO_BYTES: Final = 128
"""Offset and end of `tcpi_bytes_acked` in the kernel's `struct tcp_info`, since Linux 4.1."""
READ_TIMEOUT_S: Final = 30.0
"""For one request body. Without it a slow upload could block a drain."""
MAX_BODY_BYTES: Final = 4 * 1024 * 1024
SMALL_BODY_BYTES: Final = 64 * 1024
"""Nearly every chat request is smaller."""
MAX_SMALL_UPLOAD_BYTES: Final = 32 * 1024 * 1024
MAX_LARGE_UPLOAD_BYTES: Final = 64 * 1024 * 1024
"""Upper bounds of the bodies that are being received or tokenized. Large bodies have a limit of their own, so that
sixteen slow uploads do not block chat requests."""
UPLOAD_RETRY_AFTER_S: Final = 1
DRAINING_RETRY_AFTER_S: Final = 1
"""Short, because another replica can take the request at once."""
MAX_PATH_CHARS: Final = 200
INLINE_CHARS: Final = 4096
"""Longer texts are processed in a thread, because they can block the event loop for a millisecond or more."""
_ERROR_CODES: Final = {404: "not_found", 405: "method_not_allowed", 413: "body_too_large", 417: "expectation_failed"}


class Connection(web.RequestHandler):
    """A client connection. Answers bytes that are not valid HTTP in OpenAI's shape, since no handler sees them."""

    __slots__ = ("_acknowledged", "_header_timer", "_progress_s", "_progress_timer", "_stream", "_write_timeout_s")

    def __init__(self, manager: web.Server, *, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(manager, loop=loop, access_log=None)  # type: ignore[arg-type]  # as AppRunner passes it
        self._header_timer: asyncio.TimerHandle | None = None
        self._progress_timer: asyncio.TimerHandle | None = None
        self._stream: asyncio.WriteTransport
        """As `transport`, which aiohttp forgets while the rest of a response is still being sent."""
        self._acknowledged = 0
        self._progress_s = 0.0
        """When the client last acknowledged bytes, or had nothing to acknowledge."""
        self._write_timeout_s = WRITE_TIMEOUT_S

    @override
    def data_received(self, data: bytes) -> None:
        """Start the header timer when a request begins, and stop it when its headers are complete."""
        super().data_received(data)
        if self._messages or self._current_request is not None:
            self._stop_header_timer()
        elif self._header_timer is None:
            self._start_header_timer()

    @override
    def connection_lost(self, exc: BaseException | None) -> None:
        self._stop_header_timer()
        if self._progress_timer is not None:
            self._progress_timer.cancel()
        super().connection_lost(exc)

    def _start_header_timer(self) -> None:
        self._header_timer = self._loop.call_later(HEADER_TIMEOUT_S, self._close_without_request)

    def _stop_header_timer(self) -> None:
        if self._header_timer is not None:
            self._header_timer.cancel()
            self._header_timer = None

    def _close_without_request(self) -> None:
        log.info("headers timed out", extra={"timeout_s": HEADER_TIMEOUT_S, "peer": str(self.peername)})
        self.force_close()

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Start the timers. TCP_USER_TIMEOUT would not do: it cuts a steady reader whose window stays small."""
        super().connection_made(transport)
        self._stream = cast("asyncio.WriteTransport", transport)
        self._progress_s = self._loop.time()
        self._start_header_timer()
        self._check_progress()

    def _check_progress(self) -> None:
        """Abort the connection of a client that takes nothing. Called again and again until the connection ends."""
        acknowledged = acknowledged_bytes(self._stream)
        if acknowledged != self._acknowledged or unsent_bytes(self._stream) == 0:
            self._acknowledged, self._progress_s = acknowledged, self._loop.time()
        elif self._loop.time() - self._progress_s >= self._write_timeout_s:
            fields = {"timeout_s": round(self._write_timeout_s, 1), "unsent": unsent_bytes(self._stream)}
            log.info("client does not read", extra=fields)
            self._stream.abort()  # close() would wait for the buffers
            return
        self._progress_timer = self._loop.call_later(self._write_timeout_s / PROGRESS_CHECKS, self._check_progress)

    def shorten_write_timeout(self) -> None:
        """Called when a drain begins: a client that never reads must not delay it to its deadline."""
        self._write_timeout_s = min(self._write_timeout_s, drain_write_timeout_s(largest_packet_bytes(self._stream)))
        if self._progress_timer is not None:
            self._progress_timer.cancel()
        if not self._stream.is_closing():
            self._check_progress()

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
        # Neither message nor traceback: both quote bytes of the client, which may be a prompt.
        log.info("not HTTP", extra={"status": status, "error": type(exc).__name__, "remote": request.remote})
        response = error_response(ApiError(status, "the request is not valid HTTP", code="malformed_request"))
        response.force_close()
        return response


def unsent_bytes(transport: asyncio.WriteTransport | None) -> int:
    """Bytes that the client has not acknowledged: in our buffer and in the kernel's. 0 without a connection.

    The kernel's buffer counts because the pod's network disappears with the pod, together with unsent data.
    """
    if transport is None:
        return 0
    buffered = transport.get_write_buffer_size()
    raw = transport.get_extra_info("socket")
    try:
        in_kernel = fcntl.ioctl(raw.fileno(), termios.TIOCOUTQ, bytes(4))
    except (OSError, ValueError):
        return buffered  # the socket was closed in the meantime
    return buffered + int.from_bytes(in_kernel, sys.byteorder)


def acknowledged_bytes(transport: asyncio.WriteTransport) -> int:
    """Bytes of the connection that the client's kernel has acknowledged so far, modulo 2^64."""
    try:
        info = transport.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO_BYTES)
    except (OSError, ValueError):
        return 0  # the socket was closed in the meantime
    return int.from_bytes(info[_BYTES_ACKED:_TCP_INFO_BYTES], sys.byteorder)


def largest_packet_bytes(transport: asyncio.WriteTransport) -> int:
    """The largest segment that the client's connection takes: about 1400 bytes in a network, 64 KiB on loopback."""
    try:
        found: int = transport.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG)
    except (OSError, ValueError):
        return 0  # the socket was closed in the meantime
    return found


def drain_write_timeout_s(packet_bytes: int) -> float:
    """Time without progress after which a draining server disconnects a client.

    The steps of a slow reader follow the size of its packets (MAX_WINDOW_STEP_BYTES is for the largest ones), so one
    that reads SLOWEST_READER_BYTES_PER_S makes progress within this time on any network.
    E.g. 23 s for packets of 1448 bytes, 151 s on loopback.
    """
    return DRAIN_WRITE_TIMEOUT_S + 2 * packet_bytes / SLOWEST_READER_BYTES_PER_S


@dataclass(slots=True)
class UploadBudget:
    """Memory for request bodies that are being received or tokenized."""

    counts: Counts = field(default_factory=Counts)
    closed: bool = False
    """True once bodies that are not complete are rejected, because the server shuts down."""
    _reads: set[asyncio.Timeout] = field(default_factory=set)
    small_bytes: int = 0
    large_bytes: int = 0

    @contextmanager
    def reserve(self, size: int) -> Iterator[None]:
        """Reserve `size` bytes for the duration of the context. Raises ApiError 429 if the budget is used up."""
        small = size <= SMALL_BODY_BYTES
        if (
            (self.small_bytes + size > MAX_SMALL_UPLOAD_BYTES)
            if small
            else (self.large_bytes + size > MAX_LARGE_UPLOAD_BYTES)
        ):
            self.counts.rejected[RejectReason.UPLOADS] += 1
            raise ApiError(
                429,
                "too many request bodies are being received; try again later",
                code="too_many_uploads",
                retry_after_s=UPLOAD_RETRY_AFTER_S,
            )
        self._add(size, small=small)
        try:
            yield
        finally:
            self._add(-size, small=small)

    def close(self) -> None:
        """Reject the bodies that are not complete: a slow upload must not delay a drain."""
        self.closed = True
        for read in self._reads:
            read.reschedule(asyncio.get_running_loop().time())

    @asynccontextmanager
    async def read_timeout(self) -> AsyncIterator[None]:
        """Raises TimeoutError after `READ_TIMEOUT_S`, or at `close`."""
        async with asyncio.timeout(READ_TIMEOUT_S) as timeout:
            self._reads.add(timeout)
            try:
                yield
            finally:
                self._reads.discard(timeout)

    def _add(self, size: int, *, small: bool) -> None:
        if small:
            self.small_bytes += size
        else:
            self.large_bytes += size


@asynccontextmanager
async def read_body(http: web.Request, uploads: UploadBudget) -> AsyncIterator[bytes]:
    """The decompressed body. Its memory stays reserved until the context ends.

    Raises ApiError 400, 408, 413, 429, or 503 if the server starts to reject requests before the body is complete.
    """
    stated = http.content_length
    if stated is not None and stated > MAX_BODY_BYTES:
        raise ApiError(413, f"the body has {stated} bytes; the limit is {MAX_BODY_BYTES}", code="body_too_large")
    # Content-Length is the compressed size of a compressed body. A chunked body has no Content-Length.
    compressed = hdrs.CONTENT_ENCODING in http.headers
    with uploads.reserve(MAX_BODY_BYTES if stated is None or compressed else stated):
        try:
            async with uploads.read_timeout():
                body = await http.read()
        except TimeoutError as error:
            if uploads.closed:
                uploads.counts.rejected[RejectReason.DRAINING] += 1
                raise shutting_down() from error
            raise ApiError(408, f"the body did not arrive within {READ_TIMEOUT_S:g} seconds", code="timeout") from error
        except web.RequestPayloadError as error:
            raise bad_request("the body does not match its Content-Encoding or Transfer-Encoding") from error
        yield body


def shutting_down(text: str = "the server is shutting down") -> ApiError:
    """A 503 that another replica can take at once."""
    return ApiError(503, text, code="draining", retry_after_s=DRAINING_RETRY_AFTER_S)


async def off_loop(work: Callable[[], T], chars: int) -> T:
    """Run `work` in a thread if it processes more than `INLINE_CHARS` characters, otherwise directly."""
    return work() if chars <= INLINE_CHARS else await asyncio.to_thread(work)


def error_response(error: ApiError) -> web.Response:
    """The complete response to a request that failed before the first byte of its response."""
    return web.json_response(error.body(), status=error.status, headers=error.headers())


def openai_errors(handler: Handler) -> Handler:
    """Answer every failure before the first byte with an OpenAI error body.

    Not an aiohttp middleware: aiohttp rejects an invalid `Expect` header before it calls middlewares.
    """

    async def wrapped(request: web.BaseRequest) -> web.StreamResponse:
        try:
            return await handler(request)
        except ApiError as error:
            return _labelled(request, error_response(error))
        except ConnectionError:
            raise  # the client has disconnected, and aiohttp handles that
        except web.HTTPException as error:
            if error.status < web.HTTPBadRequest.status_code:
                raise
            return _labelled(request, _from_aiohttp(request, error))
        except Exception as error:  # noqa: BLE001 - the client needs a response to every failure
            fields = {"method": request.method, "path": _shown_path(request), "request_id": request_id(request)}
            fields |= where(error)
            log.error("request failed", extra=fields)  # noqa: TRY400 - the error's message may quote the prompt
            problem = ApiError(500, "the server failed to handle this request", code="internal_error")
            return _labelled(request, error_response(problem))

    return wrapped


def _labelled(request: web.BaseRequest, response: web.Response) -> web.Response:
    """The response with the request's id. No application hook sees a request that aiohttp rejects."""
    response.headers[REQUEST_ID_HEADER] = request_id(request)
    return response


def _from_aiohttp(request: web.BaseRequest, error: web.HTTPException) -> web.Response:
    text = f"{request.method} {_shown_path(request)}: {error.reason}"
    response = error_response(ApiError(error.status, text, code=_ERROR_CODES.get(error.status)))
    if "Allow" in error.headers:
        response.headers["Allow"] = error.headers["Allow"]
    return response


def _shown_path(request: web.BaseRequest) -> str:
    return request.path[:MAX_PATH_CHARS]
