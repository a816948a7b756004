"""Around every request: its id, its record, and an OpenAI error body for every failure before the first byte."""

import asyncio
import logging
import os
import re
import traceback
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any, Final

from aiohttp import hdrs, web

from chatscale_contract.gateway.endpoints import REQUEST_ID_HEADER, REQUEST_ID_PATTERN
from chatscale_contract.openai.errors import ApiError
from chatscale_gateway import metrics
from chatscale_gateway.http.access_log import CLIENT_LEFT_STATUS, AccessLog, RequestRecord
from chatscale_gateway.http.client_address import client_address
from chatscale_gateway.http.lifecycle import Lifecycle
from chatscale_gateway.http.options import HttpOptions
from chatscale_gateway.http.tracing import Tracing
from chatscale_process.http.connection import ResponseAbortedError, check_header_size, error_response

log = logging.getLogger(__name__)

Handler = Callable[[Any], Awaitable[web.StreamResponse]]
RECORD: Final = web.RequestKey("record", RequestRecord)
_REQUEST_ID: Final = re.compile(REQUEST_ID_PATTERN)
_ERROR_CODES: Final = {404: "not_found", 405: "method_not_allowed", 413: "body_too_large", 417: "expectation_failed"}


class RequestBoundary:
    """Wraps aiohttp's whole request handling.

    It is not a middleware: aiohttp rejects an invalid `Expect` header before it calls middlewares.
    """

    def __init__(
        self,
        handler: Handler,
        lifecycle: Lifecycle,
        access_log: AccessLog,
        options: HttpOptions,
        clock: Callable[[], float],
        tracing: Tracing | None = None,
    ) -> None:
        self._handler = handler
        self._lifecycle = lifecycle
        self._access_log = access_log
        self._options = options
        self._clock = clock
        self._tracing = tracing

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        """Handle one request and write its line."""
        record = RequestRecord(choose_request_id(request), request.method, "", self._clock())
        record.client = client_address(
            request.remote or "", request.headers.getall(hdrs.X_FORWARDED_FOR, ()), self._options.trusted_proxies
        )
        request[RECORD] = record
        span = self._tracing.start(request.headers, record) if self._tracing else None
        try:
            with self._lifecycle.requests.serving(record):
                response = await self._answer(request, record)
                record.status = response.status
                return response
        except ResponseAbortedError:
            record.status = 200
            raise
        finally:
            self._close(record)
            if span is not None:
                span.end(record, self._clock())

    async def _answer(self, request: web.BaseRequest, record: RequestRecord) -> web.StreamResponse:
        try:
            check_header_size(request, self._options)
            return await self._handler(request)
        except ApiError as error:
            return _refused(record, error)
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if not record.cut_off or task is None:
                raise
            task.uncancel()
            text = "the gateway is stopping; another one serves the next request"
            return _refused(record, ApiError(503, text, code="gateway_stopping", retry_after_s=1))
        except ConnectionError:
            raise  # the client has left, or the response cannot be completed
        except web.HTTPException as error:
            if error.status < web.HTTPBadRequest.status_code:
                raise
            return _refused(record, _from_aiohttp(error), error.headers.get("Allow"))
        except Exception as error:  # noqa: BLE001 - the client needs a response to every failure
            # Without the error's message: it may quote a prompt.
            where = "".join(traceback.format_tb(error.__traceback__))
            fields = {"request_id": record.request_id, "error": type(error).__name__, "traceback": where}
            log.error("request failed", extra=fields)  # noqa: TRY400
            return _refused(record, ApiError(500, "the gateway failed to handle this request", code="internal_error"))

    def _close(self, record: RequestRecord) -> None:
        key = record.model
        model, namespace = (key.name, key.namespace) if key else ("", "")
        caller = record.caller.label if record.caller else ""
        if record.status == CLIENT_LEFT_STATUS and not record.outcome:
            record.outcome = "client_left"
        if record.outcome == "client_left":
            metrics.CLIENT_DISCONNECTS.labels(model, namespace).inc()
        if record.code:
            metrics.REFUSALS.labels(model, namespace, record.code).inc()
        if key and record.status == HTTPStatus.OK:
            metrics.of_key(model, namespace, caller).answered.inc()
        else:
            metrics.REQUESTS.labels(model, namespace, metrics.key_label(caller), str(record.status)).inc()
        self._access_log.write(record, self._clock() - record.started_s)


def choose_request_id(request: web.BaseRequest) -> str:
    """The client's id if it has the contract's pattern, otherwise a new one."""
    found = request.headers.get(REQUEST_ID_HEADER)
    return found if found and _REQUEST_ID.fullmatch(found) else os.urandom(16).hex()


def _refused(record: RequestRecord, error: ApiError, allow: str | None = None) -> web.Response:
    record.code = error.code or str(error.status)
    response = error_response(error)
    if allow:
        response.headers["Allow"] = allow
    return response


def _from_aiohttp(error: web.HTTPException) -> ApiError:
    return ApiError(error.status, error.reason, code=_ERROR_CODES.get(error.status))
