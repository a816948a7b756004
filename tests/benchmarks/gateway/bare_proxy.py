"""`python -m tests.benchmarks.gateway.bare_proxy PORT REPLICA_PORT`: the least that an aiohttp proxy can do.

It reads the body, sends it to one address and passes the response on in the parts in which it arrives. It parses
nothing, counts nothing, logs nothing and retries nothing.
"""

import asyncio
import sys

import aiohttp
from aiohttp import web

from tests.benchmarks.gateway.listening import listen


class BareProxy:
    """Forwards every request to one replica."""

    def __init__(self, session: aiohttp.ClientSession, replica: str) -> None:
        self._session = session
        self._replica = replica

    async def forward(self, http: web.Request) -> web.StreamResponse:
        """Any request."""
        data = await http.read()
        headers = {"Content-Type": "application/json"}
        async with self._session.request(
            http.method, self._replica + http.path, data=data, headers=headers
        ) as response:
            answer = web.StreamResponse(status=response.status)
            answer.content_type = response.content_type
            answer.content_length = response.content_length
            await answer.prepare(http)
            async for part in response.content.iter_any():
                await answer.write(part)
            await answer.write_eof()
            return answer


async def main(port: int, replica_port: int) -> None:
    """Serve until the process is ended."""
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0), timeout=aiohttp.ClientTimeout(total=None), auto_decompress=False
    ) as session:
        app = web.Application(client_max_size=2**24)
        app.router.add_route("*", "/{path:.*}", BareProxy(session, f"http://127.0.0.1:{replica_port}").forward)
        await listen(app, port)


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), int(sys.argv[2])))
