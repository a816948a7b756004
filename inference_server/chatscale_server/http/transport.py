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
from typing import Final, TypeVar

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
MAX_WINDOW_STEP_BYTES: Final = 65_536
"""A receiver announces new room in its buffer in steps of at most one segment: 64 KiB on loopback, 1460 bytes on
Ethernet. Until then a steady slow reader looks like one that does not read."""
WRITE_TIMEOUT_S: Final = 120.0
"""A client that takes no bytes for this long is disconnected. It is longer than one step of the slowest reader."""
HEADER_TIMEOUT_S: Final = 20.0
"""For the headers of one request, from the connection or from the first byte of a later request."""
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

    __slots__ = ("_header_timer",)

    def __init__(self, manager: web.Server, *, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(manager, loop=loop, access_log=None)  # type: ignore[arg-type]  # as AppRunner passes it
        self._header_timer: asyncio.TimerHandle | None = None

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
        """Let the kernel close the connection of a client that does not read.

        Only the kernel can: closing a transport waits for its buffers, and they may still hold the rest of a
        response after the handler has returned.
        """
        raw: socket.socket = transport.get_extra_info("socket")
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(WRITE_TIMEOUT_S * 1000))
        super().connection_made(transport)
        self._start_header_timer()

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


def unsent_bytes(connection: asyncio.Protocol) -> int:
    """Bytes that the client has not acknowledged: in our buffer and in the kernel's.

    The kernel's buffer counts because the pod's network disappears with the pod, together with unsent data.
    """
    transport: asyncio.WriteTransport | None = getattr(connection, "transport", None)
    if transport is None:
        return 0
    buffered = transport.get_write_buffer_size()
    raw = transport.get_extra_info("socket")
    try:
        in_kernel = fcntl.ioctl(raw.fileno(), termios.TIOCOUTQ, bytes(4))
    except (OSError, ValueError):
        return buffered  # the socket was closed in the meantime
    return buffered + int.from_bytes(in_kernel, sys.byteorder)


@dataclass(slots=True)
class UploadBudget:
    """Memory for request bodies that are being received or tokenized."""

    counts: Counts = field(default_factory=Counts)
    closing: asyncio.Event = field(default_factory=asyncio.Event, compare=False)
    """Set when bodies that are not complete are rejected, because the server shuts down."""
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
            async with asyncio.timeout(READ_TIMEOUT_S):
                body = await _read_unless_closing(http, uploads.closing, uploads.counts)
        except TimeoutError as error:
            raise ApiError(408, f"the body did not arrive within {READ_TIMEOUT_S:g} seconds", code="timeout") from error
        except web.RequestPayloadError as error:
            raise bad_request("the body does not match its Content-Encoding or Transfer-Encoding") from error
        yield body


async def _read_unless_closing(http: web.Request, closing: asyncio.Event, counts: Counts) -> bytes:
    """The body. Raises ApiError 503 when `closing` is set first: a slow upload must not delay a drain."""
    if http.content.is_eof():  # nearly always: the body came with the headers
        return await http.read()
    async with asyncio.TaskGroup() as tasks:
        reading = tasks.create_task(_read(http))
        closed = tasks.create_task(closing.wait())
        await asyncio.wait({reading, closed}, return_when=asyncio.FIRST_COMPLETED)
        is_closed = not reading.done()
        closed.cancel()
        reading.cancel()
    if is_closed:
        counts.rejected[RejectReason.DRAINING] += 1
        raise shutting_down()
    found = reading.result()
    if isinstance(found, Exception):
        raise found
    return found


async def _read(http: web.Request) -> bytes | Exception:
    """The body, or the error: a task group would wrap it."""
    try:
        return await http.read()
    except Exception as error:  # noqa: BLE001 - raised again by the caller
        return error


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
