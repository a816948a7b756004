"""The aiohttp application: routes, probes and metrics around an engine that may still be loading."""

import time

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry

from chatscale_contract.server import endpoints
from chatscale_server.engine.protocol import Engine
from chatscale_server.http.body import MAX_BODY_BYTES, Uploads
from chatscale_server.http.bridge import Bridge
from chatscale_server.http.completions import Completions
from chatscale_server.http.intake import Intake
from chatscale_server.http.lifecycle import Lifecycle, Phase
from chatscale_server.http.structured import Schemas
from chatscale_server.http.tokenize import Tokenizing
from chatscale_server.http.tracing import Tracing
from chatscale_server.metrics import build_registry, render
from chatscale_server.settings import Settings


class Probes:
    """/livez, /readyz and /metrics: never wait for the engine."""

    def __init__(self, lifecycle: Lifecycle, registry: CollectorRegistry) -> None:
        self._lifecycle = lifecycle
        self._registry = registry

    async def livez(self, _request: web.Request) -> web.Response:
        """500 once the engine has failed or hangs with work pending."""
        if self._lifecycle.phase is Phase.FAILED:
            return web.Response(status=500, text="the engine has failed\n")
        if self._lifecycle.bridge.stuck():
            return web.Response(status=500, text="the engine has work and does not step\n")
        return web.Response(text="ok\n")

    async def readyz(self, _request: web.Request) -> web.Response:
        """200 only between warm-up and SIGTERM."""
        phase = self._lifecycle.phase
        return web.Response(status=200 if phase is Phase.READY else 503, text=f"{phase}\n")

    async def metrics(self, _request: web.Request) -> web.Response:
        """The Prometheus text exposition."""
        return web.Response(body=render(self._registry), headers={"Content-Type": CONTENT_TYPE_LATEST})


def build_app(
    engine: Engine, bridge: Bridge, lifecycle: Lifecycle, settings: Settings, tracing: Tracing | None
) -> web.Application:
    """Wire the routes to their handlers."""
    registry = build_registry(
        bridge.counts, lifecycle.state, model_name=settings.served_name, chatmodel=settings.chatmodel_name
    )
    probes = Probes(lifecycle, registry)
    intake = Intake(engine, bridge, lifecycle, settings.served_name, Uploads(bridge.counts))
    completions = Completions(intake, Schemas(engine), int(time.time()), tracing)
    tokenizing = Tokenizing(intake)

    async def close_when_leaving(_request: web.Request, response: web.StreamResponse) -> None:
        """A kept-alive connection would bring the client's next request to a server that is gone."""
        if lifecycle.leaving:
            response.force_close()
            response.headers["Connection"] = "close"

    app = web.Application(client_max_size=MAX_BODY_BYTES)
    app.on_response_prepare.append(close_when_leaving)
    app.router.add_post(endpoints.CHAT_COMPLETIONS_PATH, completions.chat)
    app.router.add_post(endpoints.COMPLETIONS_PATH, completions.complete)
    app.router.add_post(endpoints.TOKENIZE_PATH, tokenizing.tokenize)
    app.router.add_post(endpoints.DETOKENIZE_PATH, tokenizing.detokenize)
    app.router.add_get(endpoints.MODELS_PATH, completions.models)
    app.router.add_get(endpoints.METRICS_PATH, probes.metrics)
    app.router.add_get(endpoints.LIVEZ_PATH, probes.livez)
    app.router.add_get(endpoints.READYZ_PATH, probes.readyz)
    return app
