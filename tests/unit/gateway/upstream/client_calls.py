"""Requests of the client to replicas, for its tests."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from chatscale_gateway.upstream.client import ReplicaClient
from chatscale_gateway.upstream.interface import UpstreamResponse
from tests.unit.gateway.http.fakes import Pod
from tests.unit.gateway.upstream.raw_replica import RawReplica

PATH = "/v1/chat/completions"
LARGE = b"x" * 12 * 1024**2
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


@asynccontextmanager
async def a_client(response_timeout_s: float = 5.0) -> AsyncIterator[ReplicaClient]:
    async with asyncio.timeout(20), ReplicaClient(response_timeout_s=response_timeout_s) as client:
        yield client


async def read(response: UpstreamResponse) -> bytes:
    """The whole body; the response is closed."""
    parts = []
    try:
        while part := await response.read():
            parts.append(part)
    finally:
        response.close()
    return b"".join(parts)


async def post(client: ReplicaClient, replica: RawReplica | Pod, body: bytes = b"{}", **options: bool) -> bytes:
    return await read(await client.send(replica.as_replica(), PATH, {}, body, **options))


async def reset(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    raw = writer.get_extra_info("socket")
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    writer.transport.abort()
