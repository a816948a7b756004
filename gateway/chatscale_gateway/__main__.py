"""`python -m chatscale_gateway`: read the settings, run the gateway, map failures to exit codes."""

import asyncio
import gc
import logging
import os
import random
import sys
import time
import uuid
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import uvloop
from prometheus_client import disable_created_metrics

from chatscale import __version__
from chatscale_contract.sysexits import SysExit
from chatscale_gateway.discovery.api_server import ApiServer, ApiServerError
from chatscale_gateway.discovery.connection import connect
from chatscale_gateway.discovery.discover import Discovery, Scope
from chatscale_gateway.discovery.fan_out import FanOut
from chatscale_gateway.discovery.key_discovery import KeyDiscovery, Recheck
from chatscale_gateway.discovery.pod_http import pod_session
from chatscale_gateway.dispatch.dispatcher import HoldingDispatcher
from chatscale_gateway.http.authentication import Authentication
from chatscale_gateway.http.lifecycle import Lifecycle
from chatscale_gateway.http.memory import USUAL_LIMIT_BYTES, bytes_for_bodies
from chatscale_gateway.http.metric_events import MetricEvents
from chatscale_gateway.http.options import HttpOptions
from chatscale_gateway.http.serve import Ports, listening, serve
from chatscale_gateway.http.tls import Certificates, TlsError
from chatscale_gateway.http.tracing import Tracing, build_tracing
from chatscale_gateway.live.board import LiveBoard
from chatscale_gateway.settings import AuthMode, Settings
from chatscale_gateway.upstream.client import ReplicaClient
from chatscale_process.logs import set_up_logs
from chatscale_process.settings import LogFormat, SettingsError

QUIET: Final = ("asyncio", "aiohttp", "kubernetes")
"""Libraries that log headers and bodies at DEBUG, which hold credentials and prompts."""

HOST: Final = "0.0.0.0"  # noqa: S104 - all addresses of the pod

log = logging.getLogger(__name__)


def main() -> int:
    """Run until SIGTERM and the drain. Returns the exit code."""
    try:
        settings = Settings.from_env(os.environ)
        tracing = build_tracing(
            settings.otlp_endpoint, pod_name=settings.pod_name, pod_namespace=settings.pod_namespace
        )  # fmt: skip
        certificates = load_certificates(settings)
    except (SettingsError, TlsError) as error:
        sys.stderr.write(f"chatscale-gateway: {error}\n")
        return SysExit.BAD_SETTINGS
    set_up_logs(settings.log_level, as_json=settings.log_format is LogFormat.JSON, quiet=QUIET)
    code = 0
    # A task group raises a group even if a single task failed, so both clauses look into groups.
    try:
        # uvloop needs about a tenth less CPU time per request than asyncio's own loop (docs/design/0017-gateway.md).
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(run_gateway(settings, tracing, certificates))
    except* ApiServerError as group:
        sys.stderr.writelines(f"chatscale-gateway: {error}\n" for error in _errors_in(group))
        code = SysExit.UNAVAILABLE
    except* Exception:
        log.exception("the gateway failed")
        code = SysExit.BUG
    if tracing is not None:
        tracing.close()
    return code


async def run_gateway(settings: Settings, tracing: Tracing | None, certificates: Certificates | None = None) -> None:
    """Run until SIGTERM or SIGINT, then drain. Discovery goes on while the gateway drains.

    Raises ApiServerError without credentials. An API server that does not answer is no error: the gateway waits.
    """
    disable_created_metrics()  # type: ignore[no-untyped-call]  # the library leaves it unannotated
    log.info("starting", extra={"version": __version__, "namespaces": ",".join(settings.namespaces) or "all"})
    options = http_options(settings)
    if settings.max_held_bytes > options.max_bodies_bytes:
        fields = {"max_held_bytes": settings.max_held_bytes, "max_bodies_bytes": options.max_bodies_bytes}
        log.warning("the memory limit lowers the limit of held bytes", extra=fields)
    dispatcher = HoldingDispatcher(
        gateway=settings.pod_name,
        instance=uuid.uuid4().hex,
        now=time.monotonic,
        rng=random.Random(),  # noqa: S311 - for ties between replicas
        max_held_bytes=min(settings.max_held_bytes, options.max_bodies_bytes),
        events=MetricEvents(),
    )
    board = LiveBoard(dispatcher.demand, time.monotonic, time.time)
    ports = Ports(settings.api_port, settings.admin_port, settings.liveness_port)
    async with (
        connect(settings.kube_context) as api_server,
        pod_session() as session,
        ReplicaClient(response_timeout_s=settings.response_timeout_seconds) as upstream,
        authenticating(api_server, settings, dispatcher.refuse_revoked) as access,
        listening(
            dispatcher, upstream, options,
            host=HOST, ports=ports, tracing=tracing, authentication=access.authentication,
            certificates=certificates, live=board,
        ) as gateway,
        asyncio.TaskGroup() as group,
    ):  # fmt: skip
        # A full garbage collection takes 0.1 s with the 70,000 objects of the imports, and streams wait for it.
        gc.freeze()
        discovery = Discovery(
            api_server, session, FanOut(dispatcher, board), _scope(settings), admin_port=settings.admin_port
        )
        tasks = (
            group.create_task(discovery.run()),
            group.create_task(_become_ready(discovery, access.keys, gateway.lifecycle)),
            *(group.create_task(run()) for run in access.runs),
            *([group.create_task(certificates.reload_forever())] if certificates else []),
        )
        try:
            await serve(gateway)
        finally:
            for task in tasks:
                task.cancel()
    log.info("stopped")


def load_certificates(settings: Settings) -> Certificates | None:
    """The certificate of the API port; None for plain HTTP. Raises TlsError."""
    if not settings.tls_cert_file:
        return None
    return Certificates(Path(settings.tls_cert_file), Path(settings.tls_key_file))


def http_options(settings: Settings) -> HttpOptions:
    """The options that the settings determine."""
    return HttpOptions(
        max_body_bytes=settings.max_body_bytes,
        max_bodies_bytes=bytes_for_bodies(settings.memory_limit_bytes or USUAL_LIMIT_BYTES, settings.max_body_bytes),
        path_prefix=settings.path_prefix,
        pages=settings.pages,
        trusted_proxies=settings.trusted_proxies,
        cors_origins=frozenset(settings.cors_origins),
        endpoint_delay_s=settings.endpoint_delay_seconds,
        grace_period_s=settings.grace_seconds,
    )


@dataclass(frozen=True, slots=True)
class Access:
    """Who may use the API. All fields are empty where authentication is off."""

    authentication: Authentication | None = None
    keys: KeyDiscovery | None = None
    runs: tuple[Callable[[], Coroutine[None, None, None]], ...] = ()
    """They follow the keys until cancelled."""


@asynccontextmanager
async def authenticating(api_server: ApiServer, settings: Settings, recheck: Recheck) -> AsyncIterator[Access]:
    """Yield what the settings determine. recheck: as for `KeyDiscovery`."""
    if settings.auth is AuthMode.NONE:
        log.warning("authentication is off: everybody who reaches the gateway may use all models")
        yield Access()
        return
    keys = KeyDiscovery(api_server, api_server, key_namespaces(settings), settings.pod_namespace, recheck=recheck)
    if not settings.oidc_issuer:
        yield Access(Authentication(keys), keys, (keys.run,))
        return
    # The libraries for signatures take memory, so only gateways with an identity provider import them.
    from chatscale_gateway.discovery.oidc import OidcVerifier, fetching
    from chatscale_gateway.keys.claims import ClaimMapping
    from chatscale_gateway.keys.tokens import TokenRules

    async with pod_session() as session:
        tokens = OidcVerifier(
            fetching(session),
            TokenRules(settings.oidc_issuer, settings.oidc_audience),
            ClaimMapping(settings.pod_namespace, settings.oidc_claims, settings.oidc_policy),
            jwks_url=settings.oidc_jwks_url,
            clock=time.monotonic,
        )
        yield Access(Authentication(keys, tokens), keys, (keys.run, tokens.run))


def key_namespaces(settings: Settings) -> tuple[str, ...]:
    """Namespaces of the Secrets with keys; empty means all."""
    if "*" in settings.key_namespaces:
        return ()
    if settings.key_namespaces:
        return settings.key_namespaces
    return (settings.pod_namespace,) if settings.pod_namespace else settings.namespaces


async def _become_ready(discovery: Discovery, keys: KeyDiscovery | None, lifecycle: Lifecycle) -> None:
    await discovery.wait_until_ready()
    if keys is not None:
        await keys.wait_until_ready()
    lifecycle.catalog_complete()


def _scope(settings: Settings) -> Scope:
    return Scope(settings.namespaces, settings.pod_namespace, settings.pod_name, settings.instance)


def _errors_in(group: BaseExceptionGroup[Exception]) -> Iterator[Exception]:
    """The errors themselves, out of nested groups."""
    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup):
            yield from _errors_in(error)
        else:
            yield error


if __name__ == "__main__":
    sys.exit(main())
