"""Handlers of the pages for browsers: the files, which need no key, and the states of models, which do.

Nothing here wakes a model or counts as demand for it.
"""

from collections import Counter
from dataclasses import dataclass
from typing import Final

from aiohttp import hdrs, web

from chatscale_contract.gateway.endpoints import PAGE_MODELS_PATH
from chatscale_contract.openai.errors import ApiError
from chatscale_gateway.dispatch.interface import Dispatcher, ModelStatus
from chatscale_gateway.http.authentication import caller_of
from chatscale_gateway.http.boundary import RECORD
from chatscale_gateway.pages.files import ASSETS_PATH, PageFile, PageFiles

_CONTENT_SECURITY_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""Scripts and styles only from files; no other origin; no frame around a page."""
_HEADERS: Final = {
    "Content-Security-Policy": _CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
_REVALIDATE: Final = "no-cache"
_FOR_EVER: Final = "public, max-age=31536000, immutable"


@dataclass(frozen=True, slots=True)
class PageHandlers:
    """Handlers of the pages on the API port."""

    files: PageFiles
    dispatcher: Dispatcher

    async def page(self, http: web.Request) -> web.Response:
        """GET of a page. A prefix without a slash at its end is redirected: a page's addresses are relative."""
        path = http.match_info.get("page", "")
        if http.path.endswith("/") or path:
            record = http[RECORD]
            record.path = f"/{path}"
            return _respond(http, self.files.pages[record.path], _REVALIDATE)
        return web.Response(status=308, headers={hdrs.LOCATION: http.path.rpartition("/")[2] + "/"})

    async def asset(self, http: web.Request) -> web.Response:
        """GET of an asset. During a rollout a browser may request the version of another gateway."""
        http[RECORD].path = ASSETS_PATH
        found = self.files.assets.get(http.match_info["name"])
        if found is None:
            raise ApiError(404, "the gateway does not serve this path", code="not_found")
        current = http.match_info["version"] == self.files.version
        return _respond(http, found, _FOR_EVER if current else _REVALIDATE)

    async def models(self, http: web.Request) -> web.Response:
        """GET: the models that the key opens, with their replicas and load."""
        http[RECORD].path = PAGE_MODELS_PATH
        caller = caller_of(http)
        found = [status for status in self.dispatcher.statuses() if caller.may_use(status.model.key)]
        uses = Counter(status.model.key.name for status in found)
        entries = [_describe(status, alone=uses[status.model.key.name] == 1) for status in found]
        return web.json_response({"object": "list", "data": entries}, headers={hdrs.CACHE_CONTROL: "no-store"})

    def is_open(self, http: web.Request) -> bool:
        """Whether the request needs no key."""
        return http.match_info.handler in {self.page, self.asset}


def add_page_routes(app: web.Application, handlers: PageHandlers, prefix: str) -> None:
    """prefix: empty, or a path without a slash at its end."""
    if prefix:
        app.router.add_get(prefix, handlers.page)
    app.router.add_get(prefix + "/", handlers.page)
    for path in handlers.files.pages.keys() - {"/"}:
        app.router.add_get(f"{prefix}/{{page:{path[1:]}}}", handlers.page)
    app.router.add_get(f"{prefix}{ASSETS_PATH}/{{version}}/{{name:.+}}", handlers.asset)
    app.router.add_get(prefix + PAGE_MODELS_PATH, handlers.models)


def _respond(http: web.Request, file: PageFile, cache_control: str) -> web.Response:
    headers = {**_HEADERS, hdrs.CACHE_CONTROL: cache_control, hdrs.ETAG: f'"{file.etag}"'}
    if any(tag.value in {file.etag, "*"} for tag in http.if_none_match or ()):
        return web.Response(status=304, headers=headers)
    return web.Response(body=file.content, headers={**headers, hdrs.CONTENT_TYPE: file.content_type})


def _describe(status: ModelStatus, *, alone: bool) -> dict[str, object]:
    key = status.model.key
    return {
        "id": key.name if alone else str(key),
        "state": str(status.state),
        "replicas": status.model.replicas,
        "ready": status.ready,
        "slots": status.slots,
        "in_flight": status.in_flight,
        "held": status.held,
        "start_seconds": status.model.start_s,
        "max_model_len": status.model.max_model_len,
    }
