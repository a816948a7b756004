"""The operator process: connect, wait for the CRD, fill the cache, then run kopf's watches and the controller.

Only the process that holds the Lease runs passes and writes.

Shutdown on SIGTERM: kopf stops its watches, then the controller cancels the running passes, then the process gives the
Lease up, then connections close.
"""

import asyncio
import logging
import secrets
import socket
import time
import uuid
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final

import aiohttp
import kopf
from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, disable_created_metrics, generate_latest

from chatscale import __version__
from chatscale.cluster.cache import WatchCache
from chatscale.cluster.client import KubernetesCluster, connect
from chatscale.cluster.connection import bearer_token, load_configuration
from chatscale.cluster.guarded import Guarded
from chatscale.cluster.interface import CHATMODEL, POD, SHOPASSISTANT, Watch
from chatscale.cluster.lease import Lease
from chatscale.cluster.write_through import WriteThrough
from chatscale.desired.assistant.workload import AssistantPods
from chatscale.desired.manifest import ObjectKey
from chatscale.desired.network_policy import PodAccess
from chatscale.desired.workload import ServerImages
from chatscale.errors import ClusterUnavailableError
from chatscale.handlers.caches import Namespaces, fill_cache, remove_vanished_forever
from chatscale.handlers.events import register, watch_settings
from chatscale.handlers.leadership import lead_forever
from chatscale.handlers.signals import Stopped, StopSignal
from chatscale.observe.assistants import HttpStateReader
from chatscale.observe.gateways import GatewayReader
from chatscale.observe.source import ConfiguredReader, metrics_session
from chatscale.reconcile.chatmodel.reconciler import ChatModelReconciler
from chatscale.reconcile.controller import Controller
from chatscale.reconcile.shopassistant.reconciler import ShopAssistantReconciler
from chatscale.reconcile.watches import WATCHES, resources_concerned
from chatscale.settings import Settings

START_RETRY_S: Final = 2.0
SECOND_CRD_WAIT_S: Final = 20.0
"""`helm upgrade` creates a new CRD together with the operator's new pod."""
CRD_CHECK_S: Final = 60.0
SIGNING_KEY_BYTES: Final = 32
"""Of an assistant: as long as the output of SHA-256."""
EXIT_TIMEOUT_S: Final = 20
"""After SIGTERM; below the 30 s of terminationGracePeriodSeconds."""

log = logging.getLogger(__name__)


async def run_operator(settings: Settings) -> None:
    """Run until SIGTERM or SIGINT.

    Raises ClusterUnavailableError, alone or in an ExceptionGroup, without credentials or if kopf gives up watching.
    """
    disable_created_metrics()  # type: ignore[no-untyped-call]  # the library leaves it unannotated
    with suppress(Stopped):
        await _run(settings, StopSignal())
    log.info("stopped")


async def _run(settings: Settings, stop: StopSignal) -> None:
    async with stop.cancels():
        configuration = await load_configuration(settings.kube_context)
    async with connect(configuration) as client, metrics_session() as session, _metrics(settings.metrics_port):
        log.info("starting", extra={"version": __version__, "namespaces": ",".join(settings.namespaces) or "all"})
        cache = WatchCache(owners_of=resources_concerned)
        lease = _lease(client, settings)
        cluster = WriteThrough(Guarded(client, lease), cache)
        namespaces = settings.namespaces or (None,)
        async with stop.cancels():
            watches = await _served_watches(client)
            await _fill_cache(cluster, cache, watches, namespaces)
        access = PodAccess(settings.network_policy_peers, settings.network_policy_extra_ingress)
        images = ServerImages(transformers=settings.server_image, simulated=settings.simulated_server_image)
        reader = ConfiguredReader(session)
        controller = Controller({})
        gateways = _gateways(client, session, settings, controller, cache)
        chatmodels = ChatModelReconciler(
            cluster, cache, reader, images, _clock, time.monotonic, gateways,
            access=access, max_updates=settings.max_concurrent_model_rollouts, wake=controller.wake,
        )  # fmt: skip
        assistants = ShopAssistantReconciler(
            cluster, cache, HttpStateReader(session), AssistantPods(settings.assistant_image, settings.gateway_url),
            _clock, time.monotonic, partial(secrets.token_bytes, SIGNING_KEY_BYTES), gateways, access=access,
        )  # fmt: skip
        controller.add(CHATMODEL.name, chatmodels)
        controller.add(SHOPASSISTANT.name, assistants)

        def existing() -> list[ObjectKey]:
            return [*cache.keys(CHATMODEL.name), *cache.keys(SHOPASSISTANT.name)]

        def forget() -> None:
            chatmodels.forget_all()
            assistants.forget_all()

        async with lease.kept(), asyncio.TaskGroup() as group:
            terms = group.create_task(lead_forever(lease, controller, existing, forget))
            check = group.create_task(remove_vanished_forever(cluster, cache, watches, namespaces, controller.wake))
            crds = group.create_task(_end_when_served(client, watches))
            # Always, so that a process that takes over has a complete picture.
            demand = group.create_task(gateways.run()) if gateways else None
            try:
                await _watch(settings, configuration, watches, cache, controller)
            finally:
                if demand:
                    demand.cancel()
                crds.cancel()
                check.cancel()
                terms.cancel()


def _clock() -> datetime:
    return datetime.now(UTC)  # noqa: TID251 - the clock enters here


def _lease(client: KubernetesCluster, settings: Settings) -> Lease:
    """The Lease of this installation. Two processes on one host have different identities."""
    namespace = settings.lease_namespace or next(iter(settings.namespaces), "default")
    identity = f"{socket.gethostname()}_{uuid.uuid4()}"
    return Lease(client, namespace, settings.lease_name, identity, _clock)


def _gateways(
    client: KubernetesCluster,
    session: aiohttp.ClientSession,
    settings: Settings,
    controller: Controller,
    cache: WatchCache,
) -> GatewayReader | None:
    """Reads the gateways; None if there are none."""
    if not settings.gateway_namespace:
        return None

    list_pods = partial(client.list, POD, settings.gateway_namespace, settings.gateway_selector)
    return GatewayReader(session, list_pods, partial(wake_reported, cache, controller.wake))


def wake_reported(cache: WatchCache, wake: Callable[[ObjectKey], None], model: str) -> None:
    """Wake what gateways report by namespace/name: a ChatModel, or else a ShopAssistant.

    A name of neither, such as of an object that has just been deleted, wakes nothing.
    """
    namespace, _, name = model.partition("/")
    keys = (ObjectKey(kind.name, namespace, name) for kind in (CHATMODEL, SHOPASSISTANT))
    if found := next((key for key in keys if cache.get(key) is not None), None):
        wake(found)


async def _watch(
    settings: Settings, configuration: Any, watches: Sequence[Watch], cache: WatchCache, controller: Controller
) -> None:
    """Run kopf until a signal. Raises ClusterUnavailableError if kopf gives up on the API server."""
    registry = kopf.OperatorRegistry()
    register(registry, watches, cache, controller)
    _register_login(registry, configuration)
    kopf_settings = kopf.OperatorSettings()
    watch_settings(kopf_settings, watches)
    kopf_settings.process.ultimate_exiting_timeout = EXIT_TIMEOUT_S
    try:
        await kopf.operator(
            registry=registry,
            settings=kopf_settings,
            standalone=True,
            clusterwide=not settings.namespaces,
            namespaces=settings.namespaces,
            liveness_endpoint=f"http://0.0.0.0:{settings.probes_port}/healthz" if settings.probes_port else None,
        )
    except (aiohttp.ClientError, TimeoutError, kopf.LoginError) as error:
        raise ClusterUnavailableError(f"the watches ended: {str(error) or type(error).__name__}") from error


def _register_login(registry: kopf.OperatorRegistry, configuration: Any) -> None:
    """Give kopf our credentials; it asks again when the API server rejects them as expired."""

    @kopf.on.login(registry=registry)
    async def login(**_: Any) -> kopf.ConnectionInfo:
        return kopf.ConnectionInfo(
            server=configuration.host,
            ca_path=configuration.ssl_ca_cert,
            ca_data=configuration.ca_cert_data,
            insecure=not configuration.verify_ssl,
            token=await bearer_token(configuration),
            certificate_path=configuration.cert_file,
            private_key_path=configuration.key_file,
        )


async def _served_watches(client: KubernetesCluster) -> tuple[Watch, ...]:
    """Return once the API server serves ChatModels: kopf looks for its kinds only at its start.

    Without the CRD of ShopAssistants, as after an upgrade with `crds.install: false`, ChatModels are served alone.
    """
    logged, waited_s = "", 0.0
    while True:
        try:
            served = await client.served_kinds()
            if {CHATMODEL.plural, SHOPASSISTANT.plural} <= served:
                return WATCHES
            waited_s += START_RETRY_S
            if CHATMODEL.plural in served and waited_s > SECOND_CRD_WAIT_S:
                log.warning("the ShopAssistant CRD is not installed: only ChatModels are served")
                return tuple(watch for watch in WATCHES if watch.kind is not SHOPASSISTANT)
            why = "the ChatModel CRD is not installed"
        except ClusterUnavailableError as error:
            why = str(error)
        if why != logged:
            log.warning("waiting", extra={"why": why})
            logged = why
        await asyncio.sleep(START_RETRY_S)


async def _end_when_served(client: KubernetesCluster, watches: Sequence[Watch]) -> None:
    """Raise ClusterUnavailableError once a CRD is installed that this process does not watch: the next process does."""
    while len(watches) < len(WATCHES):
        await asyncio.sleep(CRD_CHECK_S)
        try:
            served = await client.served_kinds()
        except ClusterUnavailableError:
            continue
        if SHOPASSISTANT.plural in served:
            raise ClusterUnavailableError("the ShopAssistant CRD is installed now: the operator restarts to watch it")


async def _fill_cache(
    cluster: WriteThrough, cache: WatchCache, watches: Sequence[Watch], namespaces: Namespaces
) -> None:
    """Return once every watched kind was listed."""
    while True:
        try:
            return await fill_cache(cluster, cache, watches, namespaces)
        except ClusterUnavailableError as error:
            log.warning("waiting", extra={"why": str(error)})
        await asyncio.sleep(START_RETRY_S)


@asynccontextmanager
async def _metrics(port: int) -> AsyncIterator[None]:
    """Serve the operator's own metrics inside the context."""
    if port == 0:
        yield
        return
    app = web.Application()
    app.router.add_get("/metrics", _exposition)
    runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=1.0)
    await runner.setup()
    try:
        await web.TCPSite(runner, port=port).start()
        yield
    finally:
        await runner.cleanup()


async def _exposition(_: web.Request) -> web.Response:
    return web.Response(body=generate_latest(), headers={"Content-Type": CONTENT_TYPE_LATEST})
