"""A reverse proxy in front of an API server that counts every request that passes through it.

The operator has two HTTP clients, its own and kopf's. Both use the same kubeconfig, so a kubeconfig that names this
proxy as the server makes the count complete.
"""

import asyncio
import base64
import ssl
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any

import aiohttp
from aiohttp import web

Stop = Callable[[], object]

NOT_FORWARDED = {"host", "connection", "transfer-encoding", "content-length", "content-encoding"}
"""Headers that belong to one connection, or that the proxy's own HTTP library sets."""


class CountingProxy:
    """Counts by method and kind of request, such as `GET pods`, `WATCH pods` and `PATCH chatmodels/status`."""

    def __init__(self, upstream: str, tls: ssl.SSLContext) -> None:
        self._upstream = upstream
        self._tls = tls
        self._lock = threading.Lock()
        self._counts: Counter[str] = Counter()
        self.url = ""

    def counts(self) -> Counter[str]:
        """All requests since the start or the last `reset`."""
        with self._lock:
            return Counter(self._counts)

    def reset(self) -> None:
        with self._lock:
            self._counts.clear()

    async def serve(self, started: "Future[Stop]") -> None:
        """Forward requests until the stop function in `started` is called."""
        loop, stopping = asyncio.get_running_loop(), asyncio.Event()
        connector = aiohttp.TCPConnector(ssl=self._tls, limit=0)
        timeout = aiohttp.ClientTimeout(total=None)
        async with aiohttp.ClientSession(connector=connector, timeout=timeout, auto_decompress=False) as session:
            app = web.Application(client_max_size=2**24)
            app.router.add_route("*", "/{path:.*}", partial(self._forward, session))
            runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.5)
            await runner.setup()
            site = web.TCPSite(runner, "127.0.0.1", 0)
            await site.start()
            self.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
            started.set_result(lambda: loop.call_soon_threadsafe(stopping.set))
            await stopping.wait()
            await runner.cleanup()

    async def _forward(self, session: aiohttp.ClientSession, request: web.Request) -> web.StreamResponse:
        with self._lock:
            self._counts[describe(request)] += 1
        headers = {name: value for name, value in request.headers.items() if name.lower() not in NOT_FORWARDED}
        url = f"{self._upstream}{request.raw_path}"
        body = await request.read()
        async with session.request(request.method, url, headers=headers, data=body or None) as answer:
            kept = {name: value for name, value in answer.headers.items() if name.lower() not in NOT_FORWARDED}
            if encoding := answer.headers.get("Content-Encoding"):
                kept["Content-Encoding"] = encoding
            response = web.StreamResponse(status=answer.status, headers=kept)
            with suppress(ConnectionResetError):  # the client has closed its connection
                await response.prepare(request)
                async for chunk in answer.content.iter_any():
                    await response.write(chunk)
                await response.write_eof()
            return response


def describe(request: web.Request) -> str:
    """Method and resource, without names: `PATCH chatmodels/status`. A watch counts as WATCH."""
    parts = request.path.strip("/").split("/")
    method = "WATCH" if "watch" in request.query else request.method
    if "namespaces" in parts:
        parts = parts[parts.index("namespaces") + 2 :]
        return f"{method} {'/'.join((parts[0], *parts[2:]))}" if parts else f"{method} namespaces"
    return f"{method} {parts[-1]}"


@contextmanager
def counting_proxy(cluster: dict[str, Any]) -> Iterator[CountingProxy]:
    """Run a proxy in a thread. cluster: the kubeconfig's entry of the upstream API server."""
    tls = ssl.create_default_context(cadata=base64.b64decode(cluster["certificate-authority-data"]).decode())
    proxy = CountingProxy(cluster["server"], tls)
    started: Future[Stop] = Future()
    thread = threading.Thread(target=lambda: asyncio.run(proxy.serve(started)), name="counting proxy", daemon=True)
    thread.start()
    stop = started.result(timeout=10)
    try:
        yield proxy
    finally:
        stop()
        thread.join(10)
