"""Puts one pod's assistant together from its ShopAssistant, its settings and its mounted files."""

import asyncio
import contextlib
import logging
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from aiohttp import ClientSession

from chatscale.api.v1alpha1.shopassistant import DeskType, ShopAssistant
from chatscale_assistant import metrics
from chatscale_assistant.answers.hours import zone_problem
from chatscale_assistant.conversation.bounded_search import BoundedSearch
from chatscale_assistant.conversation.knowledge_step import KnowledgeStep
from chatscale_assistant.conversation.observed import ObservedTools
from chatscale_assistant.conversation.order_consent import is_yes
from chatscale_assistant.conversation.order_flow import ShopOrders
from chatscale_assistant.conversation.shop_wording import ShopComposer, ShopWording
from chatscale_assistant.conversation.turn import ShopResponder
from chatscale_assistant.desk.chatwoot import ChatwootDesk
from chatscale_assistant.desk.chatwoot_api import ChatwootApi
from chatscale_assistant.desk.outgoing import Outgoing, desk_session
from chatscale_assistant.desk.webhook import WebhookDesk
from chatscale_assistant.domain.conversation import Customer
from chatscale_assistant.domain.interfaces import Encoder
from chatscale_assistant.gate.proposals import MIN_KEY_BYTES, Signer
from chatscale_assistant.http.identity import CustomerIdentity
from chatscale_assistant.http.task_runner import PodTasks
from chatscale_assistant.index.configured import default_encoders, make_knowledge
from chatscale_assistant.index.knowledge import Knowledge
from chatscale_assistant.index.store import Store
from chatscale_assistant.index.worker import Worker
from chatscale_assistant.intent import Intent
from chatscale_assistant.intent.person_head import needed_score, packaged_person_head
from chatscale_assistant.settings import SecretFiles, Settings
from chatscale_assistant.tools.guarded_tools import GuardedTools
from chatscale_assistant.tools.session import OpenSession, opening
from chatscale_assistant.upstream.client import ModelClient, model_session, target_of
from chatscale_assistant.upstream.guarded import GuardedModel
from chatscale_assistant.upstream.permission import ModelPermission
from chatscale_assistant.upstream.weights import NotKnown
from chatscale_contract.assistant.state import AssistantState

log = logging.getLogger(__name__)

DESK_TIMEOUT_S: Final = 5.0
INDEX_CHECK_S: Final = 1.0
FIRST_VECTORS_S: Final = 60.0
"""A new pod waits so long at most for the vectors of its first index. Without them it finds text by words only, so a
rollout would make answers worse for a while. A large shop is embedded for longer; its pods answer meanwhile."""


@dataclass(frozen=True, slots=True)
class Pod:
    """The running parts of one pod."""

    resource: ShopAssistant
    responder: ShopResponder
    knowledge: Knowledge
    permission: ModelPermission
    tasks: PodTasks
    warm: asyncio.Event
    """Set once a first index is there, with its vectors unless they take longer than `FIRST_VECTORS_S`."""
    model_address: bool
    """Whether the chat model can be addressed."""
    tools: GuardedTools | None = None
    identity: CustomerIdentity | None = None
    chatwoot: ChatwootDesk | None = None
    desk_problem: Callable[[], str] | None = None
    """Why the Secret of the desk cannot be used; returns an empty text if it can."""

    def state(self) -> AssistantState:
        """What this pod serves with."""
        permission = self.permission.current
        message = permission.message
        if permission.allowed and not self.model_address:
            message = "there is no address of the gateway: CHATSCALE_ASSISTANT_GATEWAY_URL is empty"
        return AssistantState(
            index=self.knowledge.version,
            embedded=self.knowledge.is_complete or not self.knowledge.version,
            sources=self.knowledge.states,
            tools=self.tools.states if self.tools else (),
            model_writes=permission.allowed and self.model_address,
            model_message=message,
            problems=tuple(problem[:1024] for problem in self._problems() if problem),
        )

    def _problems(self) -> Iterator[str]:
        """Of the settings and Secrets that no other condition covers."""
        if self.identity is not None:
            yield self.identity.problem()
        hand_over = self.resource.spec.guardrails.hand_over
        if hand_over is None:
            return
        place = "spec.guardrails.handOver"
        if self.desk_problem is not None and (problem := self.desk_problem()):
            yield f"{place}.urlSecretRef: {problem}; no case reaches the desk"
        if hand_over.opening_hours is not None and (problem := zone_problem(hand_over.opening_hours)):
            yield f"{place}.openingHours.{problem}"

    async def identify(self, token: str) -> Customer | None:
        """The customer of the shop's token; None without `spec.identity`."""
        return await self.identity.identify(token) if self.identity else None


@asynccontextmanager
async def assembled(
    resource: ShopAssistant,
    settings: Settings,
    *,
    encoders: Sequence[Encoder] | None = None,
    open_session: OpenSession | None = None,
) -> AsyncIterator[Pod]:
    """Run the parts while the context lasts. The index may come later: wait for `warm`.

    encoders, open_session: other ones than those of a pod, for tests.
    """
    spec, secret_files = resource.spec, SecretFiles(settings.secrets_folder)
    used = encoders if encoders is not None else default_encoders()
    async with AsyncExitStack() as stack:
        session = await stack.enter_async_context(ClientSession(trust_env=False))
        outgoing = Outgoing(await stack.enter_async_context(desk_session()), DESK_TIMEOUT_S)
        target = target_of(spec.model, settings.gateway_url, resource.metadata.namespace or "")
        model, read_weights = None, _states_no_weights
        if target is not None:
            client = ModelClient(
                await stack.enter_async_context(model_session()), target, lambda: secret_files.read("model/key")
            )
            model, read_weights = GuardedModel(client, settings.max_model_calls), client.weights
        worker = Worker()
        knowledge = make_knowledge(
            spec,
            session,
            encoders=used,
            store=_store(resource, secret_files),
            mounts=settings.knowledge_folder,
            folder=settings.index_folder,
            worker=worker,
        )
        await stack.enter_async_context(knowledge.running())
        tools = _tools(resource, secret_files, open_session or _opening(resource, settings))
        chatwoot, webhook = _chatwoot(resource, outgoing, secret_files), _webhook(resource, outgoing, secret_files)
        identity = (
            CustomerIdentity(spec.identity, resource.metadata.name, secret_files, session) if spec.identity else None
        )
        hand_over = spec.guardrails.hand_over
        permission = ModelPermission(spec.model, settings.evaluation_file, read_weights)
        responder = ShopResponder(
            tuple(spec.languages),
            ShopWording(spec.persona, spec.guardrails),
            KnowledgeStep(
                BoundedSearch(knowledge),
                ShopComposer(spec.persona, spec.guardrails.facts),
                model,
                lambda: permission.current.allowed,
                spec.model.timeout_seconds,
            ),
            orders=ShopOrders(ObservedTools(tools), spec.tools, spec.persona.currency) if tools else None,
            desk=chatwoot or webhook,
            needs_person=_needs_person(used, worker),
            after_misses=hand_over.after_misses if hand_over else 2,
            model_timeout_s=spec.model.timeout_seconds,
        )
        pod = Pod(
            resource, responder, knowledge, permission,
            PodTasks(used, worker, model, lambda: permission.current.allowed),
            asyncio.Event(), target is not None, tools,
            identity, chatwoot, chatwoot.problem if chatwoot else webhook.problem if webhook else None,
        )  # fmt: skip
        async with asyncio.TaskGroup() as group:
            running = [
                group.create_task(permission.follow()),
                group.create_task(_follow_index(knowledge)),
                group.create_task(_warm_up(pod)),
                *([group.create_task(tools.run())] if tools else []),
                *([group.create_task(identity.follow())] if identity else []),
            ]
            try:
                yield pod
            finally:
                for task in running:
                    task.cancel()


async def _states_no_weights() -> str | NotKnown:
    """Of a model without an address."""
    return ""


def _needs_person(encoders: Sequence[Encoder], worker: Worker) -> Callable[[str, Intent], Awaitable[bool]] | None:
    """The second sign of a request for a person; None without the encoder of its head."""
    head = packaged_person_head()
    encoder = next((each for each in encoders if each.name == head.encoder), None)
    if encoder is None:
        return None

    async def needs_person(text: str, intent: Intent) -> bool:
        needed = needed_score(text, intent)
        if needed is None:
            return False
        vectors = await worker.call(lambda: encoder.queries([text]))
        return head.score(vectors[0]) >= needed

    return needs_person


async def _warm_up(pod: Pod) -> None:
    """Load what the first question would otherwise wait for."""
    await pod.knowledge.ready.wait()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(FIRST_VECTORS_S):
            await pod.knowledge.settled.wait()
    await pod.knowledge.search("hello")
    pod.warm.set()
    index = {"index": pod.knowledge.version, "embedded": pod.knowledge.is_complete}
    log.info("ready", extra=index | {"assistant": pod.resource.key})


async def _follow_index(knowledge: Knowledge) -> None:
    """Keep the metrics of the index current."""
    version, since_s = "", time.monotonic()
    metrics.INDEX_AGE_SECONDS.set(0)
    while True:
        if knowledge.version != version:
            metrics.INDEX_VERSION.clear()
            version, since_s = knowledge.version, time.monotonic()
            if version:
                metrics.INDEX_VERSION.labels(version).set(1)
        metrics.INDEX_AGE_SECONDS.set(time.monotonic() - since_s if version else 0)
        await asyncio.sleep(INDEX_CHECK_S)


def _store(resource: ShopAssistant, secret_files: SecretFiles) -> Store | None:
    """Postgres where the spec names one; None for the pod's own file."""
    if resource.spec.store is None:
        return None
    from chatscale_assistant.index.postgres import PostgresStore  # psycopg takes 15 MB

    return PostgresStore(secret_files.read("store/url"), resource.key)


def _tools(resource: ShopAssistant, secret_files: SecretFiles, open_session: OpenSession) -> GuardedTools | None:
    servers = resource.spec.tools
    if not servers:
        return None
    pins: Mapping[str, str] = {each.name: each.digest for each in resource.status.tools if each.digest}
    return GuardedTools(
        servers,
        pins=pins,
        signer=Signer(_signing_key(secret_files)),
        is_yes=is_yes,
        open_session=open_session,
        now=lambda: datetime.fromtimestamp(time.time(), UTC),
        clock=time.monotonic,
    )


def _opening(resource: ShopAssistant, settings: Settings) -> OpenSession:
    """Sessions over HTTP, with the token of each server that has one."""
    with_token = {server.name for server in resource.spec.tools if server.token_secret_ref}
    return opening(lambda name: settings.secrets_folder / "tools" / name / "token" if name in with_token else None)


def _signing_key(secret_files: SecretFiles) -> bytes:
    """The key that all pods share. Without one a confirmation counts only at the pod that proposed the change."""
    key = secret_files.read_bytes("signing/key")
    if len(key) < MIN_KEY_BYTES:
        log.warning("no signing key", extra={"file": "signing/key", "expected_bytes": MIN_KEY_BYTES})
        return secrets.token_bytes(MIN_KEY_BYTES)
    return key


def _chatwoot(resource: ShopAssistant, outgoing: Outgoing, secret_files: SecretFiles) -> ChatwootDesk | None:
    hand_over = resource.spec.guardrails.hand_over
    if hand_over is None or hand_over.type is not DeskType.CHATWOOT:
        return None
    return ChatwootDesk(ChatwootApi(outgoing, secret_files))


def _webhook(resource: ShopAssistant, outgoing: Outgoing, secret_files: SecretFiles) -> WebhookDesk | None:
    hand_over = resource.spec.guardrails.hand_over
    if hand_over is None or hand_over.type is not DeskType.WEBHOOK:
        return None
    return WebhookDesk(outgoing, secret_files, resource.key, hand_over.opening_hours)
