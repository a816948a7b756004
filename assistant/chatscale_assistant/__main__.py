"""`python -m chatscale_assistant`: read the settings and the ShopAssistant, serve, map failures to exit codes."""

import asyncio
import gc
import json
import logging
import os
import sys
from pathlib import Path
from typing import Final

import uvloop
from prometheus_client import CollectorRegistry, disable_created_metrics

from chatscale.api.v1alpha1.parse import InvalidSpecError, parse_shopassistant
from chatscale.api.v1alpha1.shopassistant import ShopAssistant
from chatscale_assistant import metrics
from chatscale_assistant.assembly import Pod, assembled
from chatscale_assistant.http.admission import Admission
from chatscale_assistant.http.app import Handlers
from chatscale_assistant.http.chat import ChatHandlers
from chatscale_assistant.http.desk import DeskHandlers
from chatscale_assistant.http.lifecycle import Lifecycle
from chatscale_assistant.http.liveness import Heartbeat
from chatscale_assistant.http.options import HttpOptions
from chatscale_assistant.http.probes import ProbeHandlers
from chatscale_assistant.http.serve import listening, serve
from chatscale_assistant.http.tasks import TaskHandlers
from chatscale_assistant.settings import SecretFiles, Settings
from chatscale_contract.sysexits import SysExit
from chatscale_contract.version import VERSION
from chatscale_process.logs import set_up_logs
from chatscale_process.settings import LogFormat, SettingsError

QUIET: Final = ("asyncio", "aiohttp", "httpx", "httpcore", "mcp", "psycopg")
"""Libraries that log headers and bodies at DEBUG, which hold credentials and conversations."""

HOST: Final = "0.0.0.0"  # noqa: S104 - all addresses of the pod

log = logging.getLogger(__name__)


def main() -> int:
    """Run until SIGTERM and the drain. Returns the exit code."""
    try:
        settings = Settings.from_env(os.environ)
        resource = read_resource(settings.spec_file)
    except (SettingsError, InvalidSpecError) as error:
        sys.stderr.write(f"chatscale-assistant: {error}\n")
        return SysExit.BAD_SETTINGS
    set_up_logs(settings.log_level, as_json=settings.log_format is LogFormat.JSON, quiet=QUIET)
    try:
        # As for the gateway: uvloop needs less CPU time per request than asyncio's own loop.
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(run_assistant(resource, settings))
    except Exception:
        log.exception("the assistant failed")
        return SysExit.BUG
    return 0


def read_resource(file: Path) -> ShopAssistant:
    """The mounted ShopAssistant. Raises InvalidSpecError with the file, or the object, and what is wrong."""
    try:
        manifest = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise InvalidSpecError(f"{file}: expected a ShopAssistant as JSON, found {error}") from error
    if not isinstance(manifest, dict) or not isinstance(manifest.get("metadata"), dict):
        raise InvalidSpecError(f"{file}: expected an object with metadata and spec")
    return parse_shopassistant(manifest)


async def run_assistant(resource: ShopAssistant, settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT, then drain."""
    disable_created_metrics()  # type: ignore[no-untyped-call]  # the library leaves it unannotated
    log.info("starting", extra={"version": VERSION, "assistant": resource.key})
    options = http_options(settings)
    async with assembled(resource, settings) as pod, asyncio.TaskGroup() as background:
        lifecycle, heartbeat = Lifecycle(options, pod.warm.is_set), Heartbeat()
        handlers = build_handlers(pod, settings, lifecycle, heartbeat, background)
        async with listening(handlers, lifecycle, heartbeat, options, host=HOST, port=settings.port) as server:
            # A full garbage collection takes 0.1 s with the objects of the imports, and answers wait for it.
            gc.freeze()
            await serve(server)
    log.info("stopped")


def build_handlers(
    pod: Pod, settings: Settings, lifecycle: Lifecycle, heartbeat: Heartbeat, background: asyncio.TaskGroup
) -> Handlers:
    """The handlers over one pod's parts.  background: answers to webhooks run in it."""
    options, meta = lifecycle.options, pod.resource.metadata
    admission = Admission(options, meta.name)
    registry = CollectorRegistry()
    registry.register(metrics.REGISTRY)
    desk = None
    if pod.chatwoot is not None:
        secret_files = SecretFiles(settings.secrets_folder)
        desk = DeskHandlers(
            pod.chatwoot, pod.responder, lambda: secret_files.read("desk/signature"), background, lifecycle, options
        )
    return Handlers(
        ChatHandlers(
            pod.responder, pod.identify, admission, options, meta.name, meta.namespace or "",
            max_characters=pod.resource.spec.guardrails.max_message_characters,
        ),
        ProbeHandlers(lifecycle, admission, heartbeat, pod.state, registry),
        TaskHandlers(pod.tasks, admission, options),
        desk.receive if desk else None,
    )  # fmt: skip


def http_options(settings: Settings) -> HttpOptions:
    """The options that the settings determine."""
    return HttpOptions(
        max_running=settings.max_running,
        max_waiting=settings.max_waiting,
        drain_delay_s=settings.drain_delay_seconds,
        grace_period_s=settings.grace_seconds,
    )


if __name__ == "__main__":
    sys.exit(main())
