"""Handlers for machines: probes, metrics, load for the gateway, state for the operator."""

from collections.abc import Callable
from dataclasses import dataclass

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

from chatscale_assistant.http.admission import Admission
from chatscale_assistant.http.boundary import RECORD
from chatscale_assistant.http.lifecycle import Lifecycle
from chatscale_assistant.http.liveness import Heartbeat
from chatscale_contract.assistant.endpoints import LIVEZ_PATH, READYZ_PATH, STATE_PATH
from chatscale_contract.assistant.state import AssistantState
from chatscale_contract.server.endpoints import METRICS_PATH
from chatscale_contract.server.load import LOAD_PATH, ReplicaLoad


@dataclass(frozen=True, slots=True)
class ProbeHandlers:
    """Each answers from memory."""

    lifecycle: Lifecycle
    admission: Admission
    heartbeat: Heartbeat
    state_of_pod: Callable[[], AssistantState]
    registry: CollectorRegistry

    async def livez(self, http: web.Request) -> web.Response:
        """200 while the event loop keeps its times. A busy, draining or not yet ready pod is alive."""
        http[RECORD].route = LIVEZ_PATH
        alive = self.heartbeat.alive
        return web.Response(status=200 if alive else 500, text="ok\n" if alive else "the event loop was stuck\n")

    async def readyz(self, http: web.Request) -> web.Response:
        """200 from the first index until SIGTERM."""
        http[RECORD].route = READYZ_PATH
        if self.lifecycle.ready:
            return web.Response(text="ready\n")
        return web.Response(status=503, text="leaving\n" if self.lifecycle.leaving else "no index yet\n")

    async def metrics(self, http: web.Request) -> web.Response:
        """The Prometheus text exposition."""
        http[RECORD].route = METRICS_PATH
        return web.Response(body=generate_latest(self.registry), headers={"Content-Type": CONTENT_TYPE_LATEST})

    async def load(self, http: web.Request) -> web.Response:
        """The load for the gateway's routing."""
        http[RECORD].route = LOAD_PATH
        slots = self.admission.options.max_running if self.lifecycle.has_index() else 0
        load = ReplicaLoad(self.admission.running, self.admission.waiting, slots, draining=self.lifecycle.leaving)
        return web.json_response(load.to_json())

    async def state(self, http: web.Request) -> web.Response:
        """An `AssistantState` for the operator."""
        http[RECORD].route = STATE_PATH
        return web.json_response(self.state_of_pod().model_dump(mode="json"))
