"""Takes a request to a replica and the response back: lease, send, relay.

A request goes to at most two connections, and to no other one after the first byte of a response or a timeout: then
the replica has begun. A broken response never looks like a complete one: the client gets an error event, and its
connection ends without the end of the body.
"""

import asyncio
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from aiohttp import web

from chatscale_contract.gateway.endpoints import HELD_SECONDS_HEADER
from chatscale_contract.openai import sse
from chatscale_contract.openai.errors import ApiError
from chatscale_contract.server.endpoints import CACHED_TOKENS_HEADER, PROMPT_TOKENS_HEADER
from chatscale_gateway import metrics
from chatscale_gateway.dispatch.interface import Arrival, Dispatcher, Lease
from chatscale_gateway.holding.refusals import RefusalReason, refuse
from chatscale_gateway.http.access_log import RequestRecord
from chatscale_gateway.http.answer_pace import AnswerPace
from chatscale_gateway.http.extraction import RequestFacts
from chatscale_gateway.http.keep_alive import ClientStream, keep_alive_event
from chatscale_gateway.http.options import HttpOptions
from chatscale_gateway.http.spending import GENERATING_PATHS, Spending, reserve
from chatscale_gateway.http.stream_scanner import StreamScanner
from chatscale_gateway.http.tracing import replace_trace_headers
from chatscale_gateway.http.usage import find_usage
from chatscale_gateway.routing.catalog import Model
from chatscale_gateway.routing.outcomes import MAX_ATTEMPTS, Failure, Outcome, Usage, classify
from chatscale_gateway.upstream.headers import request_headers, response_headers
from chatscale_gateway.upstream.interface import (
    BrokenError,
    NoAnswerError,
    NotConnectedError,
    Upstream,
    UpstreamResponse,
)
from chatscale_process.http.connection import ResponseAbortedError, reset_if_unframed

BUFFERED_BYTES: Final = 1024**2
"""A response that is not streamed is held back up to this size, so that a cut one becomes a 502."""
TAIL_BYTES: Final = 4096
"""Where `usage` is in a larger response."""
_LOWEST_ERROR: Final = 400
_PROMPT_TOKENS: Final = PROMPT_TOKENS_HEADER.lower()
_CACHED_TOKENS: Final = CACHED_TOKENS_HEADER.lower()


@dataclass(slots=True)
class Call:
    """One request on its way."""

    http: web.Request
    path: str
    model: Model
    body: bytes
    """As a replica gets it."""
    facts: RequestFacts
    arrival: Arrival
    record: RequestRecord
    stream: ClientStream | None = None
    """For a streaming client."""
    sends: int = field(default=0)
    """Connections that may have carried the request to a replica."""
    spending: Spending = field(init=False)
    """Set when it is admitted."""


class Relay:
    """Relays requests. One per process."""

    def __init__(
        self, dispatcher: Dispatcher, upstream: Upstream, options: HttpOptions, clock: Callable[[], float]
    ) -> None:
        self._dispatcher = dispatcher
        self._upstream = upstream
        self._options = options
        self._clock = clock
        self._pace = AnswerPace()

    async def run(self, call: Call) -> web.StreamResponse:
        """The response to the client. Raises ApiError before it has begun, and ResponseAbortedError after that."""
        call.spending = spending = reserve(
            self._dispatcher.limiter, call.model, call.path, call.facts, call.arrival, self._clock(),
            self._pace.of(call.model.key),
        )  # fmt: skip
        try:
            return await self._respond(call)
        finally:
            spending.left(self._clock())

    async def _respond(self, call: Call) -> web.StreamResponse:
        if not call.facts.streamed:
            return await self._attempt_until_answered(call)
        routing, record = call.model.routing, call.record
        event = keep_alive_event(routing.hold.keep_alive, call.path, call.facts.model, record.request_id)
        call.stream = stream = ClientStream(call.http, keep_alive=event, interval_s=self._options.keep_alive_s)
        stream.start_keep_alive()
        try:
            return await self._attempt_until_answered(call)
        except ApiError as error:
            await stream.stop_keep_alive()
            if not stream.begun:
                raise
            record.code = error.code or ""
            return await stream.fail(error)
        except asyncio.CancelledError:
            if record.cut_off and stream.begun and (task := asyncio.current_task()):
                task.uncancel()
                await stream.fail(refuse(RefusalReason.SHUTDOWN, call.model.key, 1))
            raise
        finally:
            await stream.stop_keep_alive()

    async def _attempt_until_answered(self, call: Call) -> web.StreamResponse:
        lease: Lease | None = None
        while True:
            lease = await self._lease(call, lease)
            call.record.attempts += 1
            call.record.pod = lease.replica.name
            answer = await self._attempt(call, lease)
            if answer is not None:
                return answer

    async def _lease(self, call: Call, after: Lease | None) -> Lease:
        """Wait for a place. The record has the held time also of a request that is refused or whose client leaves."""
        try:
            return await self._dispatcher.lease(call.arrival, after=after)
        except ApiError:
            call.spending.refused(self._clock())
            raise
        finally:
            call.record.held_s = self._clock() - call.arrival.arrived_s

    async def _attempt(self, call: Call, lease: Lease) -> web.StreamResponse | None:
        """One attempt; None if the request may be sent again."""
        response: UpstreamResponse | None = None
        try:
            response = await self._send(call, lease)
            outcome = classify(response.status, None)
            if outcome is Outcome.BACKPRESSURE and response.headers.get("x-should-retry") != "false":
                self._end(call, lease, Outcome.BACKPRESSURE)
                return None
            self._observe_lease(call, lease)
            is_stream = response.headers.get("content-type", "").startswith(sse.CONTENT_TYPE)
            if is_stream and response.status < _LOWEST_ERROR:
                return await self._relay_stream(call, lease, response)
            return await self._relay_body(call, lease, response)
        except NotConnectedError as error:
            self._end(call, lease, Outcome.NOT_CONNECTED)
            if call.sends >= MAX_ATTEMPTS:
                call.spending.refused(self._clock())
                raise refuse(RefusalReason.UNREACHABLE, call.model.key, 1) from error
            return None
        except NoAnswerError as error:
            self._end(call, lease, Outcome.NO_ANSWER)
            text = "the replica did not answer in time"
            raise ApiError(504, text, code="replica_timeout", retryable=False) from error
        except BrokenError as error:
            self._end(call, lease, Outcome.BROKEN)
            metrics.STREAMS_BROKEN.labels(call.model.key.name, call.model.key.namespace).inc()
            raise _broken() from error
        except (asyncio.CancelledError, ConnectionError):
            # After a complete or broken response the outcome is known; this changes nothing then.
            failure = Failure.SHUTDOWN if call.record.cut_off else Failure.CLIENT_LEFT
            self._end(call, lease, classify(None, failure))
            raise
        except BaseException:
            self._end(call, lease, Outcome.CUT_OFF)
            raise
        finally:
            if response is not None:
                response.close()

    async def _send(self, call: Call, lease: Lease) -> UpstreamResponse:
        headers = request_headers(
            call.http.headers.items(), call.record.request_id, to_assistant=call.model.is_assistant
        )  # fmt: skip
        if call.record.trace_headers is not None:
            replace_trace_headers(headers, call.record.trace_headers)
        try:
            return await self._counted_send(call, lease, headers, fresh=False)
        except NotConnectedError as error:
            if not error.stale or call.sends >= MAX_ATTEMPTS:
                raise
        # The replica has closed an idle connection while the request was on its way: no fault of the replica.
        key = call.model.key
        metrics.RETRIES.labels(key.name, key.namespace, "stale_connection").inc()
        return await self._counted_send(call, lease, headers, fresh=True)

    async def _counted_send(
        self, call: Call, lease: Lease, headers: Mapping[str, str], *, fresh: bool
    ) -> UpstreamResponse:
        try:
            return await self._upstream.send(lease.replica, call.path, headers, call.body, fresh=fresh)
        except NotConnectedError as error:
            call.sends += error.sent
            raise

    async def _relay_stream(self, call: Call, lease: Lease, response: UpstreamResponse) -> web.StreamResponse:
        facts, stream = call.facts, call.stream
        if stream is None:  # the runtime streams although nobody asked
            stream = ClientStream(call.http, keep_alive=b"", interval_s=self._options.keep_alive_s)
        scanner = StreamScanner(drop_usage=call.path in GENERATING_PATHS and not facts.wants_usage)
        headers = _headers(lease, response)
        found = response.headers
        call.spending.stream_began(found.get(_PROMPT_TOKENS, ""), found.get(_CACHED_TOKENS, ""))
        out = b""
        broken: BrokenError | None = None
        while not scanner.done:
            if out:
                await stream.write(out, headers)
                out = b""
            try:
                part = await response.read()
            except BrokenError as error:
                broken = error
                break
            if not part:
                break
            out = scanner.feed(part)
            call.spending.streamed_events, call.spending.role_events = scanner.events, scanner.roles
            lease.streamed(scanner.events - scanner.roles)
            if scanner.began and call.record.ttft_s is None:
                self._observe_first_token(call, lease)
        complete = scanner.done or (call.path not in GENERATING_PATHS and broken is None)
        if complete:
            self._end(call, lease, Outcome.SERVER_ERROR if scanner.failed else Outcome.COMPLETED, scanner.usage)
            response.finish()
            return await stream.end(out + scanner.rest(), headers)
        outcome = Outcome.SERVER_ERROR if scanner.failed and broken is None else Outcome.BROKEN
        self._end(call, lease, outcome, scanner.usage)
        metrics.STREAMS_BROKEN.labels(call.model.key.name, call.model.key.namespace).inc()
        if not stream.begun:
            raise _broken()
        return await stream.fail(None if scanner.failed else _broken())

    async def _relay_body(self, call: Call, lease: Lease, response: UpstreamResponse) -> web.StreamResponse:
        """Relay a response that is not streamed. A cut one raises BrokenError or ResponseAbortedError."""
        parts: list[bytes] = []
        size = 0
        while part := await response.read():
            parts.append(part)
            size += len(part)
            if size > BUFFERED_BYTES and not (call.stream and call.stream.begun):
                return await self._relay_large_body(call, lease, response, b"".join(parts))
        body = b"".join(parts)
        self._end(call, lease, _final_outcome(response.status), find_usage(body))
        if call.stream is not None:
            await call.stream.stop_keep_alive()
            if call.stream.begun:
                await call.stream.fail(_as_error(response, body))
        headers = _headers(lease, response)
        is_json = response.headers.get("content-type", "").startswith("application/json")
        if response.status >= _LOWEST_ERROR and not is_json:
            body = json.dumps(_as_error(response, body)).encode()
            headers["content-type"] = "application/json"
        return web.Response(status=response.status, body=body, headers=headers)

    async def _relay_large_body(
        self, call: Call, lease: Lease, response: UpstreamResponse, start: bytes
    ) -> web.StreamResponse:
        if call.stream is not None:
            await call.stream.stop_keep_alive()
        answer = web.StreamResponse(status=response.status, headers=_headers(lease, response))
        length = response.headers.get("content-length", "")
        if length.isdecimal():
            answer.content_length = int(length)
        await answer.prepare(call.http)
        part, tail = start, b""
        try:
            while part:
                await answer.write(part)
                tail = (tail + part)[-TAIL_BYTES:]
                part = await response.read()
        except BrokenError as error:
            self._end(call, lease, Outcome.BROKEN)
            metrics.STREAMS_BROKEN.labels(call.model.key.name, call.model.key.namespace).inc()
            reset_if_unframed(call.http)
            raise ResponseAbortedError("the replica did not complete its response") from error
        self._end(call, lease, _final_outcome(response.status), find_usage(tail))
        return answer

    def _observe_lease(self, call: Call, lease: Lease) -> None:
        key = call.model.key
        metrics.of_model(key.name, key.namespace).hold_s.observe(lease.held_s)

    def _observe_first_token(self, call: Call, lease: Lease) -> None:
        now_s = self._clock()
        lease.first_token(now_s)
        call.record.ttft_s = now_s - call.arrival.arrived_s
        key = call.model.key
        metrics.of_model(key.name, key.namespace).ttft_s.observe(call.record.ttft_s)

    def _end(self, call: Call, lease: Lease, outcome: Outcome, usage: Usage | None = None) -> None:
        if call.record.ended_attempt == call.record.attempts:
            return
        call.record.ended_attempt = call.record.attempts
        call.record.outcome = str(outcome)
        now_s = self._clock()
        lease.end(outcome, now_s, usage)
        began_s = call.arrival.arrived_s + lease.held_s
        if usage is not None and outcome is Outcome.COMPLETED and not call.facts.streamed:
            self._pace.record(call.model.key, usage, now_s - began_s)
        usage = call.spending.attempt_ended(outcome, usage, began_s, now_s)
        if usage is None:
            return
        call.record.usage = usage
        key = call.model.key
        counted = metrics.of_key(key.name, key.namespace, call.arrival.caller.label)
        counted.prompt_tokens.inc(usage.prompt_tokens)
        counted.cached_tokens.inc(usage.cached_tokens)
        counted.generated_tokens.inc(usage.generated_tokens)


def _headers(lease: Lease, response: UpstreamResponse) -> dict[str, str]:
    return {**response_headers(response.headers), HELD_SECONDS_HEADER: f"{lease.held_s:.3f}"}


def _final_outcome(status: int) -> Outcome:
    outcome = classify(status, None)
    # Relayed although 429 or 503: the replica says that waiting cannot help.
    return Outcome.CLIENT_ERROR if outcome is Outcome.BACKPRESSURE else outcome


def _broken() -> ApiError:
    return ApiError(502, "the replica did not complete its response", code="replica_failed", retry_after_s=1)


def _as_error(response: UpstreamResponse, body: bytes) -> dict[str, Any]:
    """The error object of a replica's response, or one for it."""
    try:
        found = json.loads(body)
    except ValueError:
        found = None
    if isinstance(found, dict) and "error" in found:
        return found
    status = response.status if response.status >= _LOWEST_ERROR else 502
    return ApiError(status, f"the replica answered with status {response.status}", code="replica_error").body()
