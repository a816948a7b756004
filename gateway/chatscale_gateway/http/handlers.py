"""Handlers of the API: generation, models, and paths that a ChatModel allows."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Final

from aiohttp import web

from chatscale.api.v1alpha1.routing import RoutingStrategy
from chatscale_contract.openai.errors import ApiError
from chatscale_contract.openai.models import model_list, model_object
from chatscale_contract.server.endpoints import (
    CHAT_COMPLETIONS_PATH,
    CLASSIFY_PATH,
    COMPLETIONS_PATH,
    EMBEDDINGS_PATH,
    MODELS_PATH,
)
from chatscale_gateway import metrics
from chatscale_gateway.dispatch.interface import Arrival, Dispatcher
from chatscale_gateway.http.access_log import RequestRecord
from chatscale_gateway.http.authentication import caller_of
from chatscale_gateway.http.boundary import RECORD
from chatscale_gateway.http.extraction import RequestFacts, read_prefix
from chatscale_gateway.http.intake import BodySize, Intake, ReceivedRequest
from chatscale_gateway.http.relay import Call, Relay
from chatscale_gateway.http.rewriting import rewrite
from chatscale_gateway.http.spending import GENERATING_PATHS
from chatscale_gateway.keys.caller import Caller
from chatscale_gateway.routing.catalog import Model, ModelKey
from chatscale_gateway.routing.overload import Capped, Fallback, OverloadMode, decide_overload

POST_PATHS: Final = (CHAT_COMPLETIONS_PATH, COMPLETIONS_PATH, EMBEDDINGS_PATH, CLASSIFY_PATH)
_MAX_SESSION_CHARS: Final = 256


@dataclass(frozen=True, slots=True)
class ApiHandlers:
    """Handlers of the API port."""

    dispatcher: Dispatcher
    relay: Relay
    intake: Intake
    clock: Callable[[], float]

    async def forward(self, http: web.Request, path: str) -> web.StreamResponse:
        """POST of a path that all models have."""
        http[RECORD].path = path
        with self.intake.counting(caller_of(http).key) as size:
            return await self.relay.run(await self._receive(http, path, size))

    async def forward_extra(self, http: web.Request, path: str) -> web.StreamResponse:
        """POST of a path in `spec.routing.extraPaths`, or of an assistant's task. 404 if the model does not have it."""
        if not self.has_extra_path(path, caller_of(http)):
            raise _unknown_path()
        with self.intake.counting(caller_of(http).key) as size:
            call = await self._receive(http, path, size)
            if not call.model.has_extra_path(path):
                raise _unknown_path()
            http[RECORD].path = path
            return await self.relay.run(call)

    async def list_models(self, http: web.Request) -> web.Response:
        """GET /v1/models: those that the key opens. A name that several namespaces use is listed with its namespace."""
        http[RECORD].path = MODELS_PATH
        caller = caller_of(http)
        models = [model for model in self.dispatcher.models() if caller.may_use(model.key)]
        uses = Counter(model.key.name for model in models)
        return web.json_response(
            model_list(
                _describe(model, model.key.name if uses[model.key.name] == 1 else str(model.key)) for model in models
            )
        )

    async def get_model(self, http: web.Request) -> web.Response:
        """GET /v1/models/{id}; an id may contain slashes."""
        record = http[RECORD]
        record.path = MODELS_PATH
        name = http.match_info["id"]
        model = self._resolve(name, caller_of(http))
        record.model = model.key
        return web.json_response(_describe(model, name))

    def has_extra_path(self, path: str, caller: Caller) -> bool:
        """Whether a model of the caller has it."""
        models = self.dispatcher.models()
        return any(model.has_extra_path(path) and caller.may_use(model.key) for model in models)

    def _resolve(self, name: str, caller: Caller) -> Model:
        return self.dispatcher.resolve(name, caller.namespace, caller.may_use)

    def _apply_overload(
        self, model: Model, received: ReceivedRequest, caller: Caller, record: RequestRecord
    ) -> tuple[Model, RequestFacts, Mapping[str, int]]:
        """The model that answers, the facts of the changed request, and the fields of the body to set."""
        facts = received.facts

        def find(key: ModelKey) -> Model | None:
            found = self.dispatcher.available(key, wakes=caller.policy.wake) if caller.may_use(key) else None
            return None if found is None or found.is_assistant else found

        found = decide_overload(model, self.dispatcher.held(model.key), received.body, facts.prompt_tokens, find)
        match found:
            case None:
                return model, facts, {}
            case Capped(limit, changes):
                mode, detail = OverloadMode.CAPPED, f"max_tokens={limit}"
                stated = limit if facts.max_tokens is None else facts.max_tokens
                answers, facts = model, replace(facts, max_tokens=min(limit, stated))
            case Fallback(answers):
                mode, detail, changes = OverloadMode.FALLBACK, f"model={answers.key.name}", {}
                record.requested_model, record.model = model.key, answers.key
        record.overload, record.overload_header = str(mode), f"{mode}; {detail}"
        metrics.OVERLOAD_ANSWERS.labels(model.key.name, model.key.namespace, str(mode)).inc()
        return answers, facts, changes

    async def _receive(self, http: web.Request, path: str, size: BodySize) -> Call:
        """The request with its body as a replica gets it. The parsed body is dropped here."""
        record = http[RECORD]
        received = await self.intake.receive(http, size)
        facts = received.facts
        caller = caller_of(http)
        model = self._resolve(facts.model, caller)
        record.model, record.streamed = model.key, facts.streamed
        changes: Mapping[str, int] = {}
        if model.routing.overload is not None and path in GENERATING_PATHS:
            model, facts, changes = self._apply_overload(model, received, caller, record)
        routing = model.routing
        body = rewrite(
            received.raw,
            received.body,
            served_name=model.served_name,
            ask_for_usage=facts.streamed and path in GENERATING_PATHS and not facts.wants_usage,
            changes=changes,
        )
        arrival = Arrival(
            model=model.key,
            body_bytes=len(body),
            prompt_tokens=facts.prompt_tokens,
            streamed=facts.streamed,
            arrived_s=record.started_s,
            prefix=read_prefix(received.body) if routing.strategy is RoutingStrategy.PREFIX_HASH else b"",
            session=http.headers.get(routing.session_header, "")[:_MAX_SESSION_CHARS] if routing.session_header else "",
            caller=caller,
        )
        metrics.of_model(model.key.name, model.key.namespace).overhead_s.observe(self.clock() - record.started_s)
        return Call(http, path, model, body, facts, arrival, record)


def _describe(model: Model, name: str) -> dict[str, object]:
    created = int(model.created.timestamp())
    return model_object(name, created, max_model_len=model.max_model_len, root=model.weights)


def _unknown_path() -> ApiError:
    return ApiError(404, "the gateway does not serve this path", code="not_found")
