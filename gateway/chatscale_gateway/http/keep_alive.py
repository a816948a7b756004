"""The response to a streaming client, with keep-alives while the client waits.

The response begins with the replica's first bytes or, if they take longer, with the first keep-alive. From then on the
status is 200 for good, so every later failure becomes an error event and an aborted connection.
"""

import asyncio
import time
from collections.abc import Mapping
from typing import Any, Final, NoReturn

from aiohttp import hdrs, web

from chatscale.api.v1alpha1.routing import KeepAlive
from chatscale_contract.openai import sse
from chatscale_contract.openai.errors import ApiError
from chatscale_contract.server.endpoints import CHAT_COMPLETIONS_PATH, COMPLETIONS_PATH
from chatscale_process.http.connection import ResponseAbortedError, reset_if_unframed

STREAM_HEADERS: Final = {
    hdrs.CACHE_CONTROL: "no-cache",
    # nginx would otherwise collect the stream before it passes it on.
    "X-Accel-Buffering": "no",
}
ERROR_DELIVERY_S: Final = 0.2
"""Between an error event and the abort of the connection. Browsers drop what they have not read when a stream breaks,
so without it their users would not see the reason."""
_COMMENT: Final = sse.comment("waiting for a replica")


def keep_alive_event(kind: KeepAlive, path: str, model: str, request_id: str) -> bytes:
    """The bytes of one keep-alive; empty if there is none for this path."""
    if kind is KeepAlive.DISABLED:
        return b""
    if kind is KeepAlive.COMMENT:
        return _COMMENT
    fields: dict[str, Any] = {"created": int(time.time()), "model": model}
    if path == CHAT_COMPLETIONS_PATH:
        choice: dict[str, Any] = {"index": 0, "delta": {}, "logprobs": None, "finish_reason": None}
        named = {"id": f"chatcmpl-{request_id}", "object": "chat.completion.chunk"}
    elif path == COMPLETIONS_PATH:
        choice = {"index": 0, "text": "", "logprobs": None, "finish_reason": None}
        named = {"id": f"cmpl-{request_id}", "object": "text_completion"}
    else:
        return b""  # the format of other streams is unknown
    return sse.event({**named, **fields, "choices": [choice]})


class _Response(web.StreamResponse):
    """Sends its headers together with the first bytes of the body, as `web.Response` does: one system call less."""

    _send_headers_immediately = False


class ClientStream:
    """One streamed response. Used by one handler."""

    def __init__(self, http: web.BaseRequest, *, keep_alive: bytes, interval_s: float) -> None:
        self._http = http
        self._keep_alive = keep_alive
        self._interval_s = interval_s
        self._response: web.StreamResponse | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._sender: asyncio.Task[None] | None = None
        self._stopped = asyncio.Event()
        self.kept_alive = False
        """A keep-alive was sent."""

    @property
    def begun(self) -> bool:
        """Whether the status has been sent."""
        return self._response is not None

    def start_keep_alive(self) -> None:
        """Send keep-alives until `stop_keep_alive`. Costs one timer if the wait is short."""
        if self._keep_alive:
            self._timer = asyncio.get_running_loop().call_later(self._interval_s, self._start_sender)

    async def stop_keep_alive(self) -> None:
        """No keep-alive follows. Idempotent."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._sender is not None:
            self._stopped.set()
            sender, self._sender = self._sender, None
            # The sender ends after the event that it is writing. Wait, so that two events never mix.
            await sender

    async def write(self, data: bytes, headers: Mapping[str, str]) -> None:
        """Begin with `headers` unless the response has begun, and wait while the client's buffers are full."""
        if self._timer is not None or self._sender is not None:
            await self.stop_keep_alive()
        response = self._response or await self._begin(headers)
        await response.write(data)

    async def end(self, data: bytes, headers: Mapping[str, str]) -> web.StreamResponse:
        """Write the last bytes together with the end of the body. Begins as `write` does."""
        await self.stop_keep_alive()
        response = self._response or await self._begin(headers)
        await response.write_eof(data)
        return response

    async def fail(self, error: ApiError | Mapping[str, Any] | None) -> NoReturn:
        """Send an error event (none: it was sent) and abort the connection."""
        await self.stop_keep_alive()
        if self._response is not None and error is not None:
            body = error.body() if isinstance(error, ApiError) else dict(error)
            await self._response.write(sse.event(body))
        if self._response is not None:
            await asyncio.sleep(ERROR_DELIVERY_S)
        reset_if_unframed(self._http)
        raise ResponseAbortedError("the stream cannot be completed")

    def _start_sender(self) -> None:
        self._timer = None
        self._sender = asyncio.get_running_loop().create_task(self._send_keep_alives())

    async def _send_keep_alives(self) -> None:
        try:
            while not self._stopped.is_set():
                response = self._response or await self._begin({})
                self.kept_alive = True
                await response.write(self._keep_alive)
                try:
                    async with asyncio.timeout(self._interval_s):
                        await self._stopped.wait()
                except TimeoutError:
                    continue
        except ConnectionError:
            return  # aiohttp cancels the handler of a lost connection

    async def _begin(self, headers: Mapping[str, str]) -> web.StreamResponse:
        response = _Response(headers={**headers, **STREAM_HEADERS, hdrs.CONTENT_TYPE: sse.CONTENT_TYPE})
        self._response = response
        await response.prepare(self._http)
        return response
