"""A client's connection: what becomes of bytes that are no HTTP, and of a client that does not read."""

import asyncio
import logging
import socket
from typing import Final

from aiohttp import web
from typing_extensions import override

from chatscale_contract.openai.errors import ApiError
from chatscale_server.http.errors import error_response

log = logging.getLogger(__name__)

WRITE_TIMEOUT_S: Final = 30.0
"""A client that takes nothing for so long is gone."""


class Connection(web.RequestHandler):
    """What is not even HTTP gets OpenAI's shape here, since no handler ever sees it."""

    __slots__ = ()

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The kernel ends it for a client that does not read.

        It alone knows: closing waits for the buffers, and the rest of an answer may lie there after its handler's end.
        """
        raw: socket.socket = transport.get_extra_info("socket")
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(WRITE_TIMEOUT_S * 1000))
        super().connection_made(transport)

    @override
    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        if request.writer.output_size > 0:
            raise ConnectionError("an answer has begun; another cannot follow")
        # Neither message nor traceback: both quote what the client sent, and that may be a prompt.
        log.info("not HTTP", extra={"status": status, "error": type(exc).__name__, "remote": request.remote})
        response = error_response(ApiError(status, "the request is not valid HTTP", code="malformed_request"))
        response.force_close()
        return response
