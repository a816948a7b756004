"""A Lease (coordination.k8s.io): of all operators that use it, one at a time writes to the cluster.

The holder renews the Lease. If it cannot, it stops writing `WRITE_FOR_S` after its last renewal, before another process
takes the Lease over after `LEASE_S`. All ages are measured on the event loop's monotonic clock, each by the process
that needs it, so wrong or changed wall clocks do no harm. The times in the Lease are for readers.

`kubernetes.aio.leaderelection` is not used: it measures its deadline by wall clock, and cancels the leader's task
without waiting for its end.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any, Final

from typing_extensions import override

from chatscale.cluster.interface import LEASE, Cluster, Manifest
from chatscale.errors import ClusterUnavailableError, ConflictError, NotFoundError, RejectedRequestError

LEASE_S: Final = 15.0
"""Another process takes the Lease over when it has seen no renewal for this long."""
WRITE_FOR_S: Final = 10.0
"""The holder writes for this long after it began its last successful renewal. The rest of `LEASE_S` covers requests
that the API server still processes."""
RENEW_EVERY_S: Final = 5.0
"""Also how often a process that waits reads the Lease: 12 requests a minute."""
RETRY_S: Final = 1.0
"""After a failed request. A holder has two to five tries before `WRITE_FOR_S` ends."""
REQUEST_TIMEOUT_S: Final = 3.0

log = logging.getLogger(__name__)


class Lease:
    """The Lease as one process sees it. Use it inside `kept`.

    identity: unique to the process, even on one host. clock: the wall clock, for the times in the Lease.
    """

    def __init__(
        self, cluster: Cluster, namespace: str, name: str, identity: str, clock: Callable[[], datetime]
    ) -> None:
        self._cluster = cluster
        self._namespace = namespace
        self._name = name
        self._identity = identity
        self._clock = clock
        self._known: Manifest | None = None
        """The Lease as last read or written; None if it did not exist."""
        self._is_stale = True
        self._seen_at = 0.0
        """When this process first saw the present state of the Lease, in the event loop's time."""
        self._held = asyncio.Event()
        self._taken = asyncio.Event()
        self._taken.set()
        self._write_until = 0.0
        """End of the right to write, in the event loop's time."""
        self._writes: set[asyncio.Timeout] = set()

    @override
    def __str__(self) -> str:
        return f"Lease {self._namespace}/{self._name}"

    @asynccontextmanager
    async def kept(self) -> AsyncIterator[None]:
        """Acquire and renew the Lease inside the context; give it up afterwards, so that another need not wait."""
        try:
            async with asyncio.TaskGroup() as group:
                renewal = group.create_task(self._keep())
                try:
                    yield
                finally:
                    renewal.cancel()
        finally:
            await self._give_up()

    async def wait_until_held(self) -> None:
        """Return once this process holds the Lease."""
        await self._held.wait()

    async def wait_until_taken(self) -> None:
        """Return once another process may hold the Lease. A failed renewal alone does not mean that."""
        await self._taken.wait()

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[None]:
        """A context for one write to the cluster. It is cancelled when the right to write ends.

        Raises ClusterUnavailableError then, and at once if this process has no such right.
        """
        if _now() >= self._write_until:
            raise ClusterUnavailableError(f"nothing is written: this process has not renewed {self}")
        deadline = asyncio.timeout_at(self._write_until)
        try:
            async with deadline:
                self._writes.add(deadline)
                try:
                    yield
                finally:
                    self._writes.discard(deadline)
        except TimeoutError as error:
            raise ClusterUnavailableError(f"a write was cancelled: this process has not renewed {self}") from error

    async def _keep(self) -> None:
        while True:
            try:
                async with asyncio.timeout(REQUEST_TIMEOUT_S):
                    await self._try()
            except (ConflictError, NotFoundError):
                # Someone else wrote or deleted it, so the next try reads it. The last renewal stays valid.
                self._is_stale = True
                wait_s = RETRY_S
            except (ClusterUnavailableError, RejectedRequestError, TimeoutError) as error:
                log.warning("lease not reached", extra={"lease": str(self), "why": str(error) or "timeout"})
                wait_s = RETRY_S
            else:
                wait_s = RENEW_EVERY_S if self._held.is_set() else min(RENEW_EVERY_S, self._expires_in_s)
            await asyncio.sleep(wait_s)

    async def _try(self) -> None:
        """Renew the Lease if this process holds it; take it if nobody does."""
        began = _now()
        if not self._held.is_set() or self._is_stale:
            await self._read()
        if self._known is None:
            self._wrote(await self._cluster.create(self._manifest(None)), began)
        elif self._holder in ("", self._identity) or self._expires_in_s <= 0:
            self._wrote(await self._cluster.replace(self._manifest(self._known)), began)

    async def _read(self) -> None:
        try:
            found = await self._cluster.get(LEASE, self._namespace, self._name)
        except NotFoundError:
            self._known = None
        else:
            # Not `renewTime`: the holder's wall clock may have been set back to the same time.
            if self._known is None or _version(found) != _version(self._known):
                self._seen_at = _now()
            self._known = found
        self._is_stale = False
        if self._holder != self._identity:
            if self._held.is_set():
                log.warning("lease lost", extra={"lease": str(self), "holder": self._holder})
            self._lose()

    def _wrote(self, result: Manifest, began: float) -> None:
        """began: when the request was started. Others saw the renewal later, so they wait for longer."""
        self._known, self._seen_at = result, _now()
        self._set_write_until(began + WRITE_FOR_S)
        if not self._held.is_set():
            log.info("leading", extra={"lease": str(self), "identity": self._identity})
        self._taken.clear()
        self._held.set()

    def _lose(self) -> None:
        self._set_write_until(0.0)
        self._held.clear()
        self._taken.set()

    def _set_write_until(self, time: float) -> None:
        self._write_until = time
        for deadline in self._writes:
            if not deadline.expired():
                deadline.reschedule(time)

    async def _give_up(self) -> None:
        """Leave a Lease without a holder. The caller has stopped writing."""
        if not self._held.is_set() or self._known is None:
            return
        released = self._manifest(self._known)
        released["spec"]["holderIdentity"] = ""
        self._lose()
        try:
            async with asyncio.timeout(REQUEST_TIMEOUT_S):
                await self._cluster.replace(released)
        except (ClusterUnavailableError, ConflictError, RejectedRequestError, NotFoundError, TimeoutError) as error:
            log.info("lease not given up", extra={"lease": str(self), "why": str(error) or "timeout"})

    @property
    def _holder(self) -> str:
        return _record(self._known).get("holderIdentity") or ""

    @property
    def _expires_in_s(self) -> float:
        """Seconds until this process may take the Lease from its holder."""
        duration_s = float(_record(self._known).get("leaseDurationSeconds") or LEASE_S)
        return self._seen_at + duration_s - _now()

    def _manifest(self, before: Manifest | None) -> Manifest:
        """The Lease with this process as the holder."""
        now = self._clock().strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        record = _record(before)
        is_renewal = record.get("holderIdentity") == self._identity
        transitions = int(record.get("leaseTransitions") or 0)
        metadata: dict[str, Any] = {"name": self._name, "namespace": self._namespace}
        if before is not None:
            metadata = {**before["metadata"]}
        return {
            "apiVersion": LEASE.api_version,
            "kind": LEASE.name,
            "metadata": metadata,
            "spec": {
                "holderIdentity": self._identity,
                "leaseDurationSeconds": round(LEASE_S),
                "acquireTime": record.get("acquireTime") if is_renewal else now,
                "renewTime": now,
                "leaseTransitions": transitions if is_renewal or before is None else transitions + 1,
            },
        }


def _record(manifest: Manifest | None) -> dict[str, Any]:
    return (manifest or {}).get("spec") or {}


def _version(manifest: Manifest) -> str:
    return str(manifest["metadata"]["resourceVersion"])


def _now() -> float:
    return asyncio.get_running_loop().time()
