"""The application of the API port: routes, and headers of every response."""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final

from aiohttp import hdrs, web

from chatscale_contract.gateway.endpoints import HELD_SECONDS_HEADER, OVERLOAD_HEADER, REQUEST_ID_HEADER
from chatscale_contract.openai.errors import ApiError
from chatscale_contract.server.endpoints import MODELS_PATH
from chatscale_gateway.http.authentication import Authentication, build_expectation, build_middleware
from chatscale_gateway.http.boundary import RECORD
from chatscale_gateway.http.handlers import POST_PATHS, ApiHandlers
from chatscale_gateway.http.lifecycle import Lifecycle
from chatscale_gateway.http.live import LiveFeed, LiveHandlers, add_live_routes
from chatscale_gateway.http.options import HttpOptions
from chatscale_gateway.http.pages import PageHandlers, add_page_routes
from chatscale_gateway.keys.caller import Caller
from chatscale_gateway.limits.rate_headers import RATE_LIMIT_HEADERS
from chatscale_gateway.pages.files import load_page_files

HANDLERS: Final = web.AppKey("handlers", ApiHandlers)
LIFECYCLE: Final = web.AppKey("lifecycle", Lifecycle)
OPTIONS: Final = web.AppKey("options", HttpOptions)
_EXPOSED_HEADERS: Final = ", ".join(
    (REQUEST_ID_HEADER, HELD_SECONDS_HEADER, OVERLOAD_HEADER, hdrs.RETRY_AFTER, *RATE_LIMIT_HEADERS)
)
_PREFLIGHT_AGE_S: Final = 600

Route = Callable[[web.Request], Awaitable[web.StreamResponse]]


def build_app(
    handlers: ApiHandlers,
    lifecycle: Lifecycle,
    options: HttpOptions,
    authentication: Authentication | None = None,
    feed: LiveFeed | None = None,
) -> web.Application:
    """The aiohttp application of the API port.

    authentication: None lets everybody in.  feed: None serves no live state.
    """
    live = LiveHandlers(feed, lifecycle, authentication, handlers.clock) if feed else None
    pages = PageHandlers(load_page_files(), handlers.dispatcher) if options.pages else None
    is_open = pages.is_open if pages else _needs_key
    app = web.Application(
        client_max_size=options.max_body_bytes, middlewares=[build_middleware(authentication, is_open)]
    )
    app[HANDLERS], app[LIFECYCLE], app[OPTIONS] = handlers, lifecycle, options
    app.on_response_prepare.append(_set_headers)
    expect = build_expectation(authentication)
    for prefix in dict.fromkeys(("", options.path_prefix.rstrip("/"))):
        for path in POST_PATHS:
            app.router.add_post(prefix + path, partial(handlers.forward, path=path), expect_handler=expect)
        app.router.add_get(prefix + MODELS_PATH, handlers.list_models)
        app.router.add_get(prefix + MODELS_PATH + "/{id:.+}", handlers.get_model)
        if pages:
            add_page_routes(app, pages, prefix)
        if live:
            add_live_routes(app, live, prefix)
    app.router.add_route("*", "/{path:.*}", _other, expect_handler=expect)
    return app


def _needs_key(_http: web.Request) -> bool:
    return False


async def _other(http: web.Request) -> web.StreamResponse:
    """Paths and methods without a route of their own."""
    options = http.app[OPTIONS]
    path = http.rel_url.raw_path
    prefix = options.path_prefix.rstrip("/")
    if prefix and path.startswith(prefix + "/"):
        path = path.removeprefix(prefix)
    if http.method == hdrs.METH_OPTIONS and _allowed_origin(http):
        return web.Response(status=204)
    allowed = _methods(path, http.app[HANDLERS], http[RECORD].caller)
    if http.method == hdrs.METH_POST and allowed == hdrs.METH_POST:
        return await http.app[HANDLERS].forward_extra(http, path)
    if not allowed:
        raise ApiError(404, "the gateway does not serve this path", code="not_found")
    raise web.HTTPMethodNotAllowed(http.method, allowed.split(", "))


def _methods(path: str, handlers: ApiHandlers, caller: Caller | None) -> str:
    """caller: None for a preflight of a page that may not call the API."""
    if path == MODELS_PATH or path.startswith(MODELS_PATH + "/"):
        return f"{hdrs.METH_GET}, {hdrs.METH_HEAD}"
    extra = caller is not None and handlers.has_extra_path(path, caller)
    return hdrs.METH_POST if path in POST_PATHS or extra else ""


async def _set_headers(http: web.Request, response: web.StreamResponse) -> None:
    record = http.get(RECORD)
    if record is not None:
        response.headers[REQUEST_ID_HEADER] = record.request_id
        if record.overload_header:
            response.headers[OVERLOAD_HEADER] = record.overload_header
        if record.caller is not None:
            handlers = http.app[HANDLERS]
            response.headers.update(handlers.dispatcher.limiter.headers(record.caller, handlers.clock()))
    if http.app[LIFECYCLE].leaving:
        # The client's next request must not reach a gateway that has exited.
        response.force_close()
        response.headers[hdrs.CONNECTION] = "close"
    if http.app[OPTIONS].cors_origins:
        response.headers[hdrs.VARY] = hdrs.ORIGIN
        if origin := _allowed_origin(http):
            response.headers[hdrs.ACCESS_CONTROL_ALLOW_ORIGIN] = origin
            response.headers[hdrs.ACCESS_CONTROL_EXPOSE_HEADERS] = _EXPOSED_HEADERS
            if http.method == hdrs.METH_OPTIONS:
                response.headers[hdrs.ACCESS_CONTROL_ALLOW_METHODS] = "GET, POST"
                response.headers[hdrs.ACCESS_CONTROL_ALLOW_HEADERS] = http.headers.get(
                    hdrs.ACCESS_CONTROL_REQUEST_HEADERS, "authorization, content-type"
                )
                response.headers[hdrs.ACCESS_CONTROL_MAX_AGE] = str(_PREFLIGHT_AGE_S)


def _allowed_origin(http: web.BaseRequest) -> str:
    """The request's Origin if it may call the API, otherwise empty."""
    origins = http.app[OPTIONS].cors_origins if isinstance(http, web.Request) else frozenset()
    origin = http.headers.get(hdrs.ORIGIN, "")
    return origin if origin and (origin in origins or "*" in origins) else ""
