"""Reads GET `LOAD_PATH` of ready replicas.

Replicas are untrusted: redirects are not followed and answers are bounded. A replica that cannot be read is None, never
a load of zero.
"""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import aiohttp

from chatscale_contract.server.load import LOAD_PATH, ReplicaLoad
from chatscale_gateway.discovery.pod_http import UnexpectedStatusError, get_json, url_of
from chatscale_gateway.routing.catalog import Replica

READ_TIMEOUT_S: Final = 1.0
AT_ONCE: Final = 64
"""Concurrent readings. 1,000 replicas that answer in 20 ms take 0.3 s."""
MAX_BYTES: Final = 16_384
"""Of one answer; a load has about 120 bytes."""
_NOT_FOUND: Final = 404


@dataclass(frozen=True, slots=True)
class LoadTarget:
    """One replica to read."""

    replica: Replica
    slots: int
    """Reported for a replica that answers 404; 0 if unknown."""


class LoadReader:
    """Reads the loads of many replicas concurrently."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session: Final = session
        self._places: Final = asyncio.Semaphore(AT_ONCE)

    async def read(self, targets: Iterable[LoadTarget]) -> dict[str, ReplicaLoad | None]:
        """One reading, by pod UID. None: no valid answer within `READ_TIMEOUT_S`."""
        async with asyncio.TaskGroup() as group:
            tasks = {target.replica.uid: group.create_task(self._read(target)) for target in targets}
        return {uid: task.result() for uid, task in tasks.items()}

    async def _read(self, target: LoadTarget) -> ReplicaLoad | None:
        url = url_of(target.replica.address, target.replica.port, LOAD_PATH)
        async with self._places:
            try:
                answer = await get_json(self._session, url, READ_TIMEOUT_S, MAX_BYTES)
                return ReplicaLoad.from_json(answer)
            except UnexpectedStatusError as error:
                return ReplicaLoad(running=0, waiting=0, slots=target.slots) if error.status == _NOT_FOUND else None
            except (TimeoutError, aiohttp.ClientError, OSError, ValueError):
                return None
