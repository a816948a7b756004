"""Connected tools over a session in this process."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import datetime

from chatscale.api.v1alpha1.shopassistant import ToolServer
from chatscale_assistant.evaluation.retail_world import NOW
from chatscale_assistant.gate.proposals import Signer
from chatscale_assistant.tools.guarded_tools import GuardedTools
from chatscale_assistant.tools.session import OpenSession
from tests.support.shop_tools import SIGNING_KEY, ShopSession, is_yes, shop_server


@asynccontextmanager
async def running_tools(
    open_session: OpenSession,
    servers: Sequence[ToolServer],
    *,
    key: bytes = SIGNING_KEY,
    now: Callable[[], datetime] = lambda: NOW,
    pins: dict[str, str] | None = None,
) -> AsyncIterator[GuardedTools]:
    """Running, connected or not."""
    tools = GuardedTools(
        servers,
        pins=pins or {},
        signer=Signer(key),
        is_yes=is_yes,
        open_session=open_session,
        now=now,
        clock=asyncio.get_running_loop().time,
    )
    task = asyncio.create_task(tools.run())
    try:
        yield tools
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


@asynccontextmanager
async def connected_tools(
    session: ShopSession,
    server: ToolServer | None = None,
    *,
    key: bytes = SIGNING_KEY,
    now: Callable[[], datetime] = lambda: NOW,
    pins: dict[str, str] | None = None,
) -> AsyncIterator[GuardedTools]:
    """Connected to the shop in this process."""
    servers = [server or shop_server()]
    async with running_tools(session.open_session, servers, key=key, now=now, pins=pins) as tools:
        await wait_until_connected(tools)
        yield tools


async def wait_until_connected(tools: GuardedTools, within_s: float = 30) -> None:
    """Until every server has a session."""
    async with asyncio.timeout(within_s):
        for connection in tools.connections.values():
            while connection.away:
                await connection.wait_for_change()
