"""Around every request: its id, its record, and an OpenAI error body for every failure before the first byte."""

import asyncio
import logging
import os
import re
from collections.abc import Awaitable, Callable
from typing import Any, Final

from aiohttp import web

from chatscale_assistant import metrics
from chatscale_assistant.conversation.deadlines import where
from chatscale_assistant.errors import InvalidRequestError
from chatscale_assistant.http.lifecycle import Lifecycle
from chatscale_assistant.http.options import HttpOptions
from chatscale_assistant.http.record import AccessLog, RequestRecord
from chatscale_contract.gateway.endpoints import REQUEST_ID_HEADER, REQUEST_ID_PATTERN
from chatscale_contract.openai.errors import ApiError, bad_request
from chatscale_process.http.connection import check_header_size, error_response

log = logging.getLogger(__name__)

Handler = Callable[[Any], Awaitable[web.StreamResponse]]
RECORD: Final = web.RequestKey("record", RequestRecord)
PROBE_ROUTES: Final = frozenset({"/livez", "/readyz", "/metrics", "/load", "/state"})
"""Requests of machines each few seconds. They get no line and no metric."""
_REQUEST_ID: Final = re.compile(REQUEST_ID_PATTERN)
_ERROR_CODES: Final = {404: "not_found", 405: "method_not_allowed", 413: "body_too_large", 417: "expectation_failed"}


class RequestBoundary:
    """Wraps aiohttp's whole request handling: aiohttp rejects an invalid `Expect` header before middlewares."""

    def __init__(
        self,
        handler: Handler,
        lifecycle: Lifecycle,
        access_log: AccessLog,
        options: HttpOptions,
        clock: Callable[[], float],
    ) -> None:
        self._handler = handler
        self._lifecycle = lifecycle
        self._access_log = access_log
        self._options = options
        self._clock = clock

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        """Handle one request and write its line."""
        record = RequestRecord(choose_request_id(request), request.method, self._clock())
        request[RECORD] = record
        try:
            with self._lifecycle.requests.serving(record):
                response = await self._answer(request, record)
                record.status = response.status
                return response
        finally:
            if record.route not in PROBE_ROUTES:
                metrics.REQUESTS.labels(record.route, str(record.status)).inc()
                self._access_log.write(record, self._clock() - record.started_s)

    async def _answer(self, request: web.BaseRequest, record: RequestRecord) -> web.StreamResponse:
        try:
            check_header_size(request, self._options)
            return await self._handler(request)
        except ApiError as error:
            return _refused(record, error)
        except InvalidRequestError as error:
            return _refused(record, bad_request(str(error), param=error.param))
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if not record.cut_off or task is None:
                raise
            task.uncancel()
            text = "the assistant's pod is stopping; another one serves the next request"
            return _refused(record, ApiError(503, text, code="stopping", retry_after_s=1))
        except ConnectionError:
            raise  # the client has left
        except web.HTTPException as error:
            if error.status < web.HTTPBadRequest.status_code:
                raise
            code = _ERROR_CODES.get(error.status)
            return _refused(record, ApiError(error.status, error.reason, code=code), error.headers.get("Allow"))
        except Exception as error:  # noqa: BLE001 - the client needs a response to every failure
            log.error("request failed", extra={"request_id": record.request_id, **where(error)})  # noqa: TRY400
            return _refused(record, ApiError(500, "the assistant failed to handle this request", code="internal_error"))


def choose_request_id(request: web.BaseRequest) -> str:
    """The client's id if it has the contract's pattern, otherwise a new one."""
    found = request.headers.get(REQUEST_ID_HEADER)
    return found if found and _REQUEST_ID.fullmatch(found) else os.urandom(16).hex()


def _refused(record: RequestRecord, error: ApiError, allow: str | None = None) -> web.Response:
    record.code = error.code or str(error.status)
    response = error_response(error)
    response.headers[REQUEST_ID_HEADER] = record.request_id
    if allow:
        response.headers["Allow"] = allow
    return response
