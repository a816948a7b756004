"""Handlers of the live state: one snapshot, and a stream of them. All viewers share one computation each second.

Looking never wakes a model, never counts as demand for it and is in no key's usage.
"""

import asyncio
import json
import logging
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Final, NoReturn, Protocol

from aiohttp import hdrs, web

from chatscale_contract.gateway.keys import KeyId
from chatscale_contract.gateway.live import (
    LIVE_DATA_PATH,
    LIVE_NOT_ALLOWED,
    LIVE_STREAM_PATH,
    LiveSnapshot,
    head_to_json,
    model_to_json,
)
from chatscale_contract.openai import sse
from chatscale_contract.openai.errors import ApiError
from chatscale_gateway import metrics
from chatscale_gateway.http.authentication import Authentication, caller_of
from chatscale_gateway.http.boundary import RECORD
from chatscale_gateway.http.keep_alive import STREAM_HEADERS
from chatscale_gateway.http.lifecycle import Lifecycle
from chatscale_gateway.http.options import HttpOptions
from chatscale_gateway.keys.caller import Caller
from chatscale_gateway.routing.catalog import ModelKey
from chatscale_process.http.connection import ResponseAbortedError

HEARTBEAT_S: Final = 5.0
"""A stream that has no snapshot to send for this long sends a comment."""
_RETRY_AFTER_VIEWERS_S: Final = 10

log = logging.getLogger(__name__)


class LiveSource(Protocol):
    """What computes the snapshots."""

    def sample(self) -> None:
        """Read counters. Called each second, also without viewers, so that the first snapshot has rates."""
        ...

    def snapshot(self) -> LiveSnapshot:
        """The live state of all models now."""
        ...


@dataclass(frozen=True, slots=True)
class Frame:
    """One snapshot as JSON, in pieces, because keys open different models."""

    number: int
    head: str
    """The object without its end."""
    models: tuple[tuple[ModelKey, str], ...]

    def render(self, caller: Caller) -> bytes:
        """The JSON object with the models that the caller may use."""
        parts = ",".join(text for key, text in self.models if caller.may_use(key))
        return f'{self.head},"models":[{parts}]}}'.encode()


class LiveFeed:
    """The current frame, for all viewers."""

    def __init__(self, source: LiveSource, options: HttpOptions) -> None:
        self._source: Final = source
        self.options: Final = options
        self._number = 0
        self._frame: Frame | None = None
        self._next = asyncio.Event()
        self._viewers: Counter[KeyId | None] = Counter()
        self.ended = False
        """No frame follows."""

    async def run(self) -> NoReturn:
        """Begin a frame each period, until cancelled."""
        try:
            while True:
                try:
                    self._source.sample()
                except Exception:
                    metrics.DISCOVERY_ERRORS.labels("live").inc()
                    log.exception("cannot sample the live state")
                self._begin_frame()
                await asyncio.sleep(self.options.live_period_s)
        finally:
            self.ended = True
            self._begin_frame()

    def frame(self) -> Frame:
        """The frame of this period. The first caller computes it."""
        if self._frame is None or self._frame.number != self._number:
            snapshot = self._source.snapshot()
            head = json.dumps(head_to_json(snapshot), separators=(",", ":"))
            models = tuple(
                (ModelKey(each.namespace, each.name), sse.encode_json(model_to_json(each))) for each in snapshot.models
            )
            self._frame = Frame(self._number, head[:-1], models)
        return self._frame

    async def next_frame(self, after: int) -> Frame:
        """Wait for a frame other than `after`. Raises TimeoutError after `HEARTBEAT_S`."""
        async with asyncio.timeout(HEARTBEAT_S):
            while self._number == after:
                await self._next.wait()
        return self.frame()

    def _begin_frame(self) -> None:
        self._number += 1
        self._next.set()
        self._next = asyncio.Event()

    @contextmanager
    def viewing(self, key: KeyId | None) -> Iterator[None]:
        """Count a viewer. Raises ApiError 429 if there are too many, in total or with this key.

        key: None where authentication is off; all viewers share the total then.
        """
        total, own = self._viewers.total(), self._viewers[key]
        if total >= self.options.max_live_viewers:
            text = f"{total} viewers have the live state open at this gateway"
        elif key is not None and own >= self.options.max_live_viewers_per_key:
            text = f"{own} viewers with the API key {key} have the live state open at this gateway"
        else:
            text = ""
        if text:
            raise ApiError(429, text, code="too_many_viewers", retry_after_s=_RETRY_AFTER_VIEWERS_S)
        self._viewers[key] += 1
        try:
            yield
        finally:
            self._viewers[key] -= 1
            if not self._viewers[key]:
                del self._viewers[key]


@asynccontextmanager
async def running(feed: LiveFeed) -> AsyncIterator[None]:
    """Run the feed."""
    task = asyncio.create_task(feed.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])


@dataclass(frozen=True, slots=True)
class LiveHandlers:
    """authentication: None lets everybody in."""

    feed: LiveFeed
    lifecycle: Lifecycle
    authentication: Authentication | None
    clock: Callable[[], float]

    async def data(self, http: web.Request) -> web.Response:
        """GET: one snapshot."""
        http[RECORD].path = LIVE_DATA_PATH
        caller = _viewer(caller_of(http))
        body = self.feed.frame().render(caller)
        return web.Response(body=body, content_type="application/json", headers={hdrs.CACHE_CONTROL: "no-store"})

    async def stream(self, http: web.Request) -> web.StreamResponse:
        """GET: one snapshot each second, until the client leaves, its key ends or the gateway stops."""
        record = http[RECORD]
        record.path, record.streamed = LIVE_STREAM_PATH, True
        caller = _viewer(caller_of(http))
        if self.lifecycle.leaving:
            text = "the gateway is stopping; another one serves the next request"
            raise ApiError(503, text, code="gateway_stopping", retry_after_s=1)
        with self.feed.viewing(caller.key):
            response = web.StreamResponse(headers={**STREAM_HEADERS, hdrs.CONTENT_TYPE: sse.CONTENT_TYPE})
            await response.prepare(http)
            try:
                await self._send(http, response, caller)
            except ConnectionError:
                record.status, record.outcome = response.status, "completed"
                raise
            except asyncio.CancelledError:
                # Viewers come and go: that is no failure.
                record.status, record.outcome = response.status, "completed"
                task = asyncio.current_task()
                if record.cut_off and task is not None:
                    task.uncancel()
                    raise ResponseAbortedError("the viewer does not read") from None
                raise
            await response.write_eof()
            return response

    async def _send(self, http: web.Request, response: web.StreamResponse, caller: Caller) -> None:
        number, checked_s = -1, self.clock()
        while not self.lifecycle.leaving and not self.feed.ended:
            try:
                frame = await self.feed.next_frame(number)
            except TimeoutError:
                await response.write(sse.comment("no new snapshot"))
                continue
            if self.authentication is not None and self.clock() - checked_s >= self.feed.options.live_key_check_s:
                try:
                    caller = _viewer(await self.authentication.identify(http.headers))
                except ApiError as error:
                    await response.write(sse.event(error.body()))
                    return
                checked_s = self.clock()
            number = frame.number
            await response.write(b"data: " + frame.render(caller) + b"\n\n")


def add_live_routes(app: web.Application, handlers: LiveHandlers, prefix: str) -> None:
    """prefix: empty, or a path without a slash at its end."""
    app.router.add_get(prefix + LIVE_DATA_PATH, handlers.data)
    app.router.add_get(prefix + LIVE_STREAM_PATH, handlers.stream, allow_head=False)


def _viewer(caller: Caller) -> Caller:
    """The caller, if it may see the live state. Raises ApiError 403."""
    if caller.key is None or caller.policy.live:
        return caller
    text = f"the API key {caller.key} may not see the live state: its Secret needs `live: true`"
    raise ApiError(403, text, code=LIVE_NOT_ALLOWED, retryable=False)
