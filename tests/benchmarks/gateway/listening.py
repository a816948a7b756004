"""How the small servers of the benchmark listen."""

import asyncio

from aiohttp import web


async def listen(app: web.Application, port: int) -> None:
    """Serve on localhost until the task is cancelled."""
    runner = web.AppRunner(app, access_log=None, handler_cancellation=True)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", port, backlog=4096).start()
        await asyncio.Event().wait()
    finally:
        await runner.cleanup()
