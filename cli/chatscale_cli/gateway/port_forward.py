"""A port-forward to the gateway: a local port, and one WebSocket to the API server for each connection to it.

The pod is chosen when a connection opens. After a rollout of the gateway the next connection reaches a new pod, so
nothing has to reconnect. The protocol is Kubernetes' `v4.channel.k8s.io`: each message begins with its channel.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import aiohttp

from chatscale_cli.errors import ClusterError, CommandError
from chatscale_cli.gateway.cluster import CALL_TIMEOUT_S, ApiServer, Target

_PROTOCOL: Final = "v4.channel.k8s.io"
_DATA: Final = b"\0"
_ERROR: Final = 1
_PORT_BYTES: Final = 2
"""The first message of each channel is the port number."""
_PART_BYTES: Final = 65536
_MAX_MESSAGE_BYTES: Final = 4 * 1024**2
_ATTEMPTS: Final = 2
_CLOSE_S: Final = 2.0
"""Longest wait for the other side at the end of a connection."""


class PortForward:
    """Forwards local connections until it is closed. One per command."""

    def __init__(self, api: ApiServer, session: aiohttp.ClientSession, namespace: str | None) -> None:
        self._api = api
        self._session = session
        self._namespace = namespace
        self._target: Target | None = None
        self._open: set[asyncio.Task[None]] = set()
        self.error: str | None = None
        """Why the newest connection failed, for the message of the command."""

    async def target(self) -> Target:
        """The pod for the next connection. Raises CommandError."""
        if self._target is None:
            self._target = await self._api.find_target(self._session, self._namespace)
        return self._target

    def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one local connection in a task of its own. asyncio's own task would log its cancellation."""
        task = asyncio.ensure_future(self._serve(reader, writer))
        self._open.add(task)
        task.add_done_callback(self._open.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.error = None
        try:
            async with await self._dial() as websocket:
                self.error = await _bridge(reader, writer, websocket)
        except (CommandError, aiohttp.ClientError, TimeoutError, OSError) as error:
            self.error = str(error) or type(error).__name__
        finally:
            writer.transport.abort()

    async def _dial(self) -> aiohttp.ClientWebSocketResponse:
        """A WebSocket to a ready pod. A pod that is gone is looked up again, once."""
        for attempt in range(_ATTEMPTS):
            target = await self.target()
            path = f"api/v1/namespaces/{target.namespace}/pods/{target.pod}/portforward"
            url = self._api.base.joinpath(path).with_query(ports=str(target.port))
            try:
                async with asyncio.timeout(CALL_TIMEOUT_S):
                    return await self._session.ws_connect(
                        url, protocols=(_PROTOCOL,), headers=self._api.headers(), ssl=self._api.ssl,
                        server_hostname=self._api.server_name, proxy=self._api.proxy, max_msg_size=_MAX_MESSAGE_BYTES,
                        timeout=aiohttp.ClientWSTimeout(ws_close=_CLOSE_S),
                    )  # fmt: skip
            except aiohttp.WSServerHandshakeError as error:
                self._target = None
                if attempt + 1 == _ATTEMPTS:
                    where = f"pod {target.namespace}/{target.pod}"
                    text = f"the API server denied the port-forward to {where}: HTTP {error.status}"
                    raise ClusterError(text) from error
            except (aiohttp.ClientError, TimeoutError, OSError):
                self._target = None
                if attempt + 1 == _ATTEMPTS:
                    raise
        raise AssertionError("unreachable: the last attempt returns or raises")

    async def settle(self) -> None:
        """Wait until connections that their clients have closed are closed in the cluster, too."""
        if self._open:
            await asyncio.wait(self._open, timeout=_CLOSE_S)

    async def close(self) -> None:
        """End all connections."""
        for task in self._open:
            task.cancel()
        await asyncio.gather(*self._open, return_exceptions=True)


@asynccontextmanager
async def listening(forward: PortForward) -> AsyncIterator[int]:
    """Yield the local port. Closes every connection at the end."""
    server = await asyncio.start_server(forward.accept, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        await forward.close()


async def _bridge(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, websocket: aiohttp.ClientWebSocketResponse
) -> str | None:
    """Copy both ways until one side ends. Returns the error of the kubelet, if there is one."""
    sending = asyncio.ensure_future(_send(reader, websocket))
    receiving = asyncio.ensure_future(_receive(writer, websocket))
    try:
        await asyncio.wait((sending, receiving), return_when=asyncio.FIRST_COMPLETED)
        return receiving.result() if receiving.done() and not receiving.cancelled() else None
    finally:
        for task in (sending, receiving):
            task.cancel()
        await asyncio.gather(sending, receiving, return_exceptions=True)


async def _send(reader: asyncio.StreamReader, websocket: aiohttp.ClientWebSocketResponse) -> None:
    while part := await reader.read(_PART_BYTES):
        await websocket.send_bytes(_DATA + part)


async def _receive(writer: asyncio.StreamWriter, websocket: aiohttp.ClientWebSocketResponse) -> str | None:
    skipped: set[int] = set()
    async for message in websocket:
        if message.type is not aiohttp.WSMsgType.BINARY or not message.data:
            continue
        channel, content = message.data[0], message.data[1:]
        if channel not in skipped:
            skipped.add(channel)
            content = content[_PORT_BYTES:]
        if not content:
            continue
        if channel == _ERROR:
            return str(content.decode(errors="replace")).strip()
        writer.write(content)
        await writer.drain()
    with contextlib.suppress(OSError, RuntimeError):
        writer.write_eof()
    return None
