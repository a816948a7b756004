"""Headers that every response carries: the request's id and, if a setting allows it, CORS."""

import re
import uuid
from collections.abc import Awaitable, Callable, Collection
from typing import Final

from aiohttp import hdrs, web

from chatscale_contract.gateway.endpoints import REQUEST_ID_HEADER, REQUEST_ID_PATTERN

_REQUEST_ID: Final = re.compile(REQUEST_ID_PATTERN)
_ID: Final = web.RequestKey("request_id", str)
_PREFLIGHT_AGE_S: Final = 600
_EXPOSED_HEADERS: Final = f"{REQUEST_ID_HEADER}, {hdrs.RETRY_AFTER}"
_REQUESTED_HEADERS: Final = re.compile(r"[A-Za-z0-9, -]{1,1000}")
_DEFAULT_HEADERS: Final = "authorization, content-type"

PrepareHook = Callable[[web.Request, web.StreamResponse], Awaitable[None]]


def request_id(request: web.BaseRequest) -> str:
    """The client's `X-Request-Id`, or a new one if it has none or an unsafe one. Equal for all calls of a request."""
    if _ID not in request:
        given = request.headers.get(REQUEST_ID_HEADER, "")
        request[_ID] = given if _REQUEST_ID.fullmatch(given) else uuid.uuid4().hex
    return request[_ID]


def headers_hook(cors_origins: Collection[str], is_leaving: Callable[[], bool]) -> PrepareHook:
    """A hook for `on_response_prepare`. cors_origins: origins whose pages may call the API; `*` allows all."""

    async def set_headers(request: web.Request, response: web.StreamResponse) -> None:
        response.headers[REQUEST_ID_HEADER] = request_id(request)
        if is_leaving():
            # Close connections, so that the client's next request does not reach a server that has exited.
            response.force_close()
            response.headers[hdrs.CONNECTION] = "close"
        if cors_origins:
            response.headers[hdrs.VARY] = hdrs.ORIGIN
            origin = request.headers.get(hdrs.ORIGIN, "")
            if origin and ("*" in cors_origins or origin in cors_origins):
                response.headers[hdrs.ACCESS_CONTROL_ALLOW_ORIGIN] = "*" if "*" in cors_origins else origin
                response.headers[hdrs.ACCESS_CONTROL_EXPOSE_HEADERS] = _EXPOSED_HEADERS

    return set_headers


async def preflight(request: web.Request) -> web.Response:
    """OPTIONS of any path: the answer to a CORS preflight. Registered only if a setting allows origins."""
    wanted = request.headers.get(hdrs.ACCESS_CONTROL_REQUEST_HEADERS, "")
    headers = {
        hdrs.ACCESS_CONTROL_ALLOW_METHODS: "GET, POST",
        hdrs.ACCESS_CONTROL_ALLOW_HEADERS: wanted if _REQUESTED_HEADERS.fullmatch(wanted) else _DEFAULT_HEADERS,
        hdrs.ACCESS_CONTROL_MAX_AGE: str(_PREFLIGHT_AGE_S),
    }
    return web.Response(status=204, headers=headers)
