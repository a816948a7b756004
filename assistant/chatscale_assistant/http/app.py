"""The application: routes, and headers of every response."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from aiohttp import hdrs, web

from chatscale_assistant.http.boundary import RECORD
from chatscale_assistant.http.chat import ChatHandlers
from chatscale_assistant.http.lifecycle import Lifecycle
from chatscale_assistant.http.probes import ProbeHandlers
from chatscale_assistant.http.tasks import TaskHandlers
from chatscale_contract.assistant.endpoints import DESK_PATH, LIVEZ_PATH, READYZ_PATH, STATE_PATH, TASKS_PATH
from chatscale_contract.gateway.endpoints import REQUEST_ID_HEADER
from chatscale_contract.openai.errors import ApiError
from chatscale_contract.server.endpoints import CHAT_COMPLETIONS_PATH, METRICS_PATH, MODELS_PATH
from chatscale_contract.server.load import LOAD_PATH

LIFECYCLE: Final = web.AppKey("lifecycle", Lifecycle)
Route = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True)
class Handlers:
    """All handlers of a pod."""

    chat: ChatHandlers
    probes: ProbeHandlers
    tasks: TaskHandlers | None = None
    desk: Route | None = None
    """Of Chatwoot's webhook; None without that desk."""


def build_app(handlers: Handlers, lifecycle: Lifecycle) -> web.Application:
    """The aiohttp application."""
    app = web.Application()
    app[LIFECYCLE] = lifecycle
    app.on_response_prepare.append(_set_headers)
    app.router.add_post(CHAT_COMPLETIONS_PATH, handlers.chat.chat)
    app.router.add_get(MODELS_PATH, handlers.chat.list_models)
    app.router.add_get(MODELS_PATH + "/{id:.+}", handlers.chat.get_model)
    if handlers.tasks:
        app.router.add_get(TASKS_PATH, handlers.tasks.list_tasks)
        app.router.add_post(TASKS_PATH + "/{name}", handlers.tasks.run)
    if handlers.desk:
        app.router.add_post(DESK_PATH, handlers.desk)
    app.router.add_get(STATE_PATH, handlers.probes.state)
    app.router.add_get(LOAD_PATH, handlers.probes.load)
    app.router.add_get(LIVEZ_PATH, handlers.probes.livez)
    app.router.add_get(READYZ_PATH, handlers.probes.readyz)
    app.router.add_get(METRICS_PATH, handlers.probes.metrics)
    app.router.add_route("*", "/{path:.*}", _not_found)
    return app


async def _not_found(_http: web.Request) -> web.StreamResponse:
    raise ApiError(404, "the assistant does not serve this path and method", code="not_found", retryable=False)


async def _set_headers(http: web.Request, response: web.StreamResponse) -> None:
    record = http.get(RECORD)
    if record is not None:
        response.headers[REQUEST_ID_HEADER] = record.request_id
    if http.app[LIFECYCLE].leaving:
        # The client's next request must not reach a pod that has exited.
        response.force_close()
        response.headers[hdrs.CONNECTION] = "close"
