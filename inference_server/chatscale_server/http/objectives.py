"""Follows the file with the latency objectives, so that a change of the SLO needs no restart.

The kubelet updates the file about a minute after a change of the ChatModel. Where no file is mounted, the objectives of
the environment stay.
"""

import asyncio
import logging
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final, Never

from aiohttp import web

from chatscale_contract.server.slo import LatencyObjectives
from chatscale_server.http.bridge import Bridge

log = logging.getLogger(__name__)

READ_EVERY_S: Final = 5.0
"""Short beside the kubelet's delay. A read of one small file in memory takes microseconds."""


class ObjectivesFile:
    """The file at `path`. Its content replaces the bridge's objectives, for requests that are admitted afterwards."""

    def __init__(self, path: Path, bridge: Bridge, read_every_s: float = READ_EVERY_S) -> None:
        self._path = path
        self._bridge = bridge
        self._read_every_s = read_every_s
        self._last_content: bytes | None = None

    async def follow(self, _app: web.Application) -> AsyncIterator[None]:
        """Read the file before the server listens, and again and again until it stops. For `cleanup_ctx`."""
        await self.refresh()
        async with asyncio.TaskGroup() as group:
            refreshing = group.create_task(self._refresh_forever())
            yield
            refreshing.cancel()

    async def refresh(self) -> None:
        """Read the file. If it is missing or invalid, the last objectives stay; invalid content is logged once."""
        try:
            content = await asyncio.to_thread(self._path.read_bytes)
        except OSError as error:
            log.debug("objectives not read", extra={"path": str(self._path), "why": str(error)})
            return
        if content == self._last_content:
            return
        self._last_content = content
        try:
            objectives = LatencyObjectives.from_json(content.decode())
        except (ValueError, RecursionError) as error:
            log.warning("objectives rejected", extra={"path": str(self._path), "why": str(error)})
            return
        if objectives != self._bridge.objectives:
            self._bridge.objectives = objectives
            log.info("objectives changed", extra={"ttft_s": objectives.ttft_s, "tpot_s": objectives.tpot_s})

    async def _refresh_forever(self) -> Never:
        while True:
            await asyncio.sleep(self._read_every_s)
            await self.refresh()
