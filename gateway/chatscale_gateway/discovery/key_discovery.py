"""Follows the Secrets with keys, and reports those that are off: an Event, a log line and a gauge.

While the API server does not answer, the last keys stay valid; their expiry still counts.
"""

import asyncio
import logging
import random
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import partial
from typing import Final, NoReturn, Protocol

from chatscale_contract.gateway.keys import KEY_LABEL, KEY_LABEL_VALUE
from chatscale_gateway import metrics
from chatscale_gateway.discovery.api_server import ApiServerError, ExistsError, Manifest, Resource
from chatscale_gateway.discovery.key_secrets import (
    DUPLICATE,
    MALFORMED,
    KeyFault,
    KeySecret,
    build_event,
    find_faults,
    read_key_secret,
)
from chatscale_gateway.discovery.reflector import Backoff, Reflector, Source
from chatscale_gateway.keys.caller import Caller
from chatscale_gateway.keys.key_ring import KeyRing

LONGEST_RETRY_S: Final = 4.0
"""A changed key counts within 5 s, also after an outage of the API server."""
EVENT_RETRY_S: Final = 30.0
RECHECK_S: Final = 1.0
"""Between two checks of the keys of held requests. They can expire without a change of a Secret."""
PAGE_ITEMS: Final = 20
"""Anyone who may create a Secret can give it the label and 1 MiB of data."""

Recheck = Callable[[Callable[[Caller], Caller | None]], None]
log = logging.getLogger(__name__)


class EventSink(Protocol):
    """The part of the API server that takes Events."""

    async def create(self, path: str, manifest: Manifest) -> None:
        """Raises ExistsError or ApiServerError."""
        ...


class KeyDiscovery:
    """The keys of the cluster.

    namespaces: of the Secrets; empty means all.  own_namespace: of the gateway; its keys open all ChatModels.
    recheck: called each second with the current state of a caller, None for a key that is not valid any more.
    """

    def __init__(
        self,
        source: Source,
        events: EventSink,
        namespaces: tuple[str, ...],
        own_namespace: str,
        *,
        recheck: Recheck | None = None,
        wall_clock: Callable[[], float] = time.time,
        event_retry_s: float = EVENT_RETRY_S,
    ) -> None:
        self._events: Final = events
        self._own_namespace: Final = own_namespace
        self._recheck: Final = recheck
        self._wall_clock: Final = wall_clock
        self._event_retry_s: Final = event_retry_s
        self._listed: Final = asyncio.Event()
        self._unreported: Final = asyncio.Event()
        self._faults: dict[str, KeyFault] = {}
        """By the name of the Event."""
        self._reported: set[str] = set()
        self._ring: KeyRing | None = None
        paths = [f"/api/v1/namespaces/{each}/secrets" for each in namespaces] or ["/api/v1/secrets"]
        self._reflectors: Final = [
            Reflector(
                source,
                Resource(path, f"{KEY_LABEL}={KEY_LABEL_VALUE}", page_items=PAGE_ITEMS),
                keep=read_key_secret,
                changed=self._rebuild,
                backoff=Backoff(random.random, longest_s=LONGEST_RETRY_S),
            )
            for path in paths
        ]

    @property
    def ring(self) -> KeyRing | None:
        """The current keys; None before the first complete list."""
        return self._ring

    async def wait_until_ready(self) -> None:
        """Return after the first complete list of all namespaces."""
        await self._listed.wait()

    async def run(self) -> None:
        """Follow the Secrets until cancelled."""
        async with asyncio.TaskGroup() as group:
            for each in self._reflectors:
                group.create_task(each.run())
            group.create_task(self._report_forever())
            if self._recheck is not None:
                group.create_task(self._recheck_forever(self._recheck))

    def _secrets(self) -> Iterator[KeySecret]:
        for reflector in self._reflectors:
            yield from reflector.objects.values()

    def _rebuild(self) -> None:
        """Make the keys of all Secrets valid at once, so that a rotation has no moment without a valid key."""
        if not all(each.listed for each in self._reflectors):
            return
        ring = KeyRing((each.key for each in self._secrets() if each.key), self._own_namespace)
        self._ring = ring
        self._note_faults(find_faults(self._secrets(), ring.duplicates))
        if not self._listed.is_set():
            log.info("API keys read", extra={"secrets": sum(1 for _ in self._secrets()), "off": len(self._faults)})
            self._listed.set()

    def _note_faults(self, faults: Iterator[KeyFault]) -> None:
        now = self._now()
        found = {build_event(fault, now)["metadata"]["name"]: fault for fault in faults}
        for name in found.keys() - self._faults.keys():
            fault = found[name]
            fields = {"secret": str(fault.secret.id), "reason": fault.reason, "error": fault.message}
            log.warning("API key is off", extra=fields)
        for reason, label in ((MALFORMED, "malformed"), (DUPLICATE, "duplicate")):
            metrics.KEY_ERRORS.labels(label).set(sum(fault.reason == reason for fault in found.values()))
        self._faults = found
        self._reported &= found.keys()
        if found.keys() - self._reported:
            self._unreported.set()

    async def _recheck_forever(self, recheck: Recheck) -> NoReturn:
        while True:
            await asyncio.sleep(RECHECK_S)
            if (ring := self._ring) is None:
                continue
            try:
                recheck(partial(ring.current, wall_now=self._now()))
            except Exception:
                # A bug in the check must not end the streams that the gateway serves.
                metrics.DISCOVERY_ERRORS.labels("secrets").inc()
                log.exception("the keys of held requests were not checked")

    async def _report_forever(self) -> NoReturn:
        while True:
            await self._unreported.wait()
            self._unreported.clear()
            failed = False
            for name in sorted(self._faults.keys() - self._reported):
                if name in self._faults:  # it may have been mended meanwhile
                    failed |= not await self._report(name, self._faults[name])
            if failed:
                await asyncio.sleep(self._event_retry_s)
                self._unreported.set()

    async def _report(self, name: str, fault: KeyFault) -> bool:
        """Create the Event. Returns False if the API server refuses it or does not answer."""
        event = build_event(fault, self._now())
        try:
            await self._events.create(f"/api/v1/namespaces/{fault.secret.id.namespace}/events", event)
        except ExistsError:
            pass  # of another gateway, or of an earlier start
        except ApiServerError as error:
            metrics.DISCOVERY_ERRORS.labels("events").inc()
            log.warning("no Event for an API key", extra={"secret": str(fault.secret.id), "error": str(error)})
            return False
        except Exception:
            # An Event that cannot be made must not end the streams that the gateway serves.
            metrics.DISCOVERY_ERRORS.labels("events").inc()
            log.exception("no Event for an API key", extra={"secret": str(fault.secret.id)})
            return False
        self._reported.add(name)
        return True

    def _now(self) -> datetime:
        return datetime.fromtimestamp(self._wall_clock(), UTC)
