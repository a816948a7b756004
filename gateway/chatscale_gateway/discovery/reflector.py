"""Keeps the objects of one resource as the API server has them: list, then watch, then list again.

While the API server does not answer, the picture stays as it was. A watch that ends as planned continues from its last
bookmark. After a broken watch, a 410 and every `RELIST_S` it lists again: events may have been lost (production-stack
#1091: a pod whose deletion was missed got requests for 22 hours).
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from typing import Final, Generic, NoReturn, Protocol, TypeVar

from chatscale_gateway import metrics
from chatscale_gateway.discovery.api_server import (
    ApiServerError,
    Event,
    EventType,
    ExpiredError,
    Manifest,
    MissingError,
    Page,
    Resource,
)

RELIST_S: Final = 300.0
FIRST_RETRY_S: Final = 0.5
LONGEST_RETRY_S: Final = 10.0
"""Before jitter. An API server that is back gets a request within this time."""

T = TypeVar("T")
log = logging.getLogger(__name__)


class Source(Protocol):
    """What a reflector needs of an API server."""

    def list_pages(self, resource: Resource) -> AsyncGenerator[Page, None]:
        """Read a list. Raises ApiServerError."""
        ...

    def watch(self, resource: Resource, resource_version: str) -> AsyncGenerator[Event, None]:
        """Yield changes until the watch ends. Raises ExpiredError or ApiServerError."""
        ...


class Backoff:
    """Waits between attempts: twice as long each time, between half and the whole of it by chance.

    random: uniform in [0, 1), so that the gateways do not retry together.
    """

    def __init__(
        self, random: Callable[[], float], first_s: float = FIRST_RETRY_S, longest_s: float = LONGEST_RETRY_S
    ) -> None:
        self._random: Final = random
        self._first_s: Final = first_s
        self._longest_s: Final = longest_s
        self._failures = 0

    def reset(self) -> None:
        """The last attempt succeeded."""
        self._failures = 0

    def next_s(self) -> float:
        """Seconds to wait after one more failure."""
        longest = min(self._first_s * 2.0**self._failures, self._longest_s)
        self._failures = min(self._failures + 1, 30)
        return longest * (0.5 + self._random() / 2)


class Reflector(Generic[T]):
    """The objects of one resource, by UID, reduced to what `keep` returns of a manifest.

    keep: gets the manifest and what was kept of the same object before, or None. It returns None to leave the object
    out.
    changed: called after the first complete list and after each change of `objects`.
    optional: a resource whose CRD is not installed has no objects. Otherwise it is an error, and `listed` stays False.
    """

    def __init__(
        self,
        source: Source,
        resource: Resource,
        *,
        keep: Callable[[Manifest, T | None], T | None],
        changed: Callable[[], None],
        backoff: Backoff,
        relist_s: float = RELIST_S,
        optional: bool = False,
    ) -> None:
        self._source: Final = source
        self._resource: Final = resource
        self._name: Final = resource.path.rpartition("/")[2]
        self._keep: Final = keep
        self._changed: Final = changed
        self._backoff: Final = backoff
        self._relist_s: Final = relist_s
        self._optional: Final = optional
        self._objects: dict[str, T] = {}
        self._fails = False
        self.listed = False
        """True from the first complete list on."""

    @property
    def objects(self) -> Mapping[str, T]:
        """By UID. Stays as it is while the API server does not answer."""
        return self._objects

    async def run(self) -> NoReturn:
        """Follow the resource until cancelled."""
        while True:
            try:
                await self._list_and_watch()
            except ExpiredError as error:
                # Normal after a pause, but an API server that answers only 410 must not be asked in a tight loop.
                log.info("listing again", extra={"path": self._resource.path, "error": str(error)})
                await asyncio.sleep(self._backoff.next_s())
            except MissingError as error:
                self._missing(error)
                await asyncio.sleep(self._backoff.next_s())
            except ApiServerError as error:
                self._failed(error)
                await asyncio.sleep(self._backoff.next_s())
            except Exception:
                # A manifest that the gateway cannot read must not end the streams that it serves.
                log.exception("cannot follow", extra={"path": self._resource.path})
                metrics.DISCOVERY_ERRORS.labels(self._name).inc()
                await asyncio.sleep(self._backoff.next_s())

    def _failed(self, error: ApiServerError) -> None:
        if not self._fails:
            log.warning("API server unavailable", extra={"path": self._resource.path, "error": str(error)})
        self._fails = True
        metrics.DISCOVERY_ERRORS.labels(self._name).inc()

    def _missing(self, error: MissingError) -> None:
        """The CRD is not installed, or was deleted with all objects."""
        if not self._optional:
            self._failed(error)
        elif not self.listed or self._objects:
            log.info("not installed", extra={"path": self._resource.path})
            self.listed, self._objects = True, {}
            self._changed()

    async def _list_and_watch(self) -> None:
        """Return when the next list is due."""
        loop = asyncio.get_running_loop()
        version = await self._list()
        relist_at = loop.time() + self._relist_s
        while (rest_s := relist_at - loop.time()) > 0:
            before = loop.time()
            try:
                async with asyncio.timeout(rest_s):
                    version = await self._watch(version)
            except TimeoutError:
                return
            if loop.time() - before < FIRST_RETRY_S:
                # A proxy or an API server that ends every watch at once.
                await asyncio.sleep(self._backoff.next_s())
            else:
                self._backoff.reset()

    async def _list(self) -> str:
        """Replace all objects. Returns the list's resource version."""
        found: dict[str, T] = {}
        version = ""
        async with aclosing(self._source.list_pages(self._resource)) as pages:
            async for page in pages:
                version = page.resource_version
                for manifest in page.items:
                    self._put(found, manifest)
        is_first, self.listed = not self.listed, True
        if self._fails:
            log.info("API server available", extra={"path": self._resource.path})
        self._fails = False
        if is_first or found != self._objects:
            self._objects = found
            self._changed()
        return version

    async def _watch(self, version: str) -> str:
        """Apply events until the watch ends. Returns the resource version to continue from."""
        async with aclosing(self._source.watch(self._resource, version)) as events:
            async for event in events:
                self._backoff.reset()
                version = event.manifest["metadata"]["resourceVersion"]
                if event.type is not EventType.BOOKMARK:
                    self._apply(event)
        return version

    def _apply(self, event: Event) -> None:
        uid = event.manifest["metadata"]["uid"]
        before = self._objects.get(uid)
        if event.type is EventType.DELETED:
            self._objects.pop(uid, None)
        else:
            self._put(self._objects, event.manifest)
        if self._objects.get(uid) != before:
            self._changed()

    def _put(self, objects: dict[str, T], manifest: Manifest) -> None:
        uid = manifest["metadata"]["uid"]
        kept = self._keep(manifest, self._objects.get(uid))
        if kept is None:
            objects.pop(uid, None)
        else:
            objects[uid] = kept
