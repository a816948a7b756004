"""Requests to the gateway. One connection for each request, so an idle one cannot break between two messages."""

import json
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Any, Final, Protocol
from urllib.parse import quote

import aiohttp
from yarl import URL

from chatscale_cli.errors import GatewayError, UnknownModelError
from chatscale_cli.gateway.events import Event, StreamReader, read_chunk
from chatscale_cli.gateway.problems import read_failure
from chatscale_contract.gateway.live import LIVE_DATA_PATH, LiveSnapshot
from chatscale_contract.openai import sse
from chatscale_contract.server.endpoints import CHAT_COMPLETIONS_PATH, MODELS_PATH

CONNECT_TIMEOUT_S: Final = 20.0
READ_TIMEOUT_S: Final = 60.0
"""For responses that no model makes."""
STREAM_TIMEOUT_S: Final = 900.0
"""Between two parts of an answer. A gateway with `keepAlive: Disabled` sends nothing during `hold.timeoutSeconds`."""
_MAX_ERROR_BYTES: Final = 65536


class Forward(Protocol):
    """A port-forward that carries the requests."""

    error: str | None
    """Why the newest connection failed in the cluster, though the operating system opened it."""

    async def settle(self) -> None:
        """Wait until closed connections are closed in the cluster, too."""


class GatewayClient:
    """One gateway. Methods raise GatewayError."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        base: URL,
        tls: ssl.SSLContext | bool = True,  # noqa: FBT001, FBT002 - as aiohttp has it
        server_name: str | None = None,
        forward: Forward | None = None,
    ) -> None:
        self._session = session
        self._base = base
        self._tls = tls
        self._server_name = server_name
        self._forward = forward
        self.key: str | None = None

    async def models(self) -> list[str]:
        """Names of the models that the key opens."""
        found = await self._get(MODELS_PATH)
        data = found.get("data") if isinstance(found, dict) else None
        if not isinstance(data, list):
            raise GatewayError(f"GET {MODELS_PATH}: the response has no list of models")
        return [each["id"] for each in data if isinstance(each, dict) and isinstance(each.get("id"), str)]

    async def has_model(self, name: str) -> bool:
        """Whether the key opens a model of this name. Aliases count."""
        try:
            await self._get(f"{MODELS_PATH}/{quote(name, safe='/')}")
        except UnknownModelError:
            return False
        return True

    async def live(self) -> LiveSnapshot:
        """The state of all models that the key opens."""
        found = await self._get(LIVE_DATA_PATH)
        try:
            return LiveSnapshot.from_json(found)
        except ValueError as error:
            raise GatewayError(f"GET {LIVE_DATA_PATH}: {error}") from error

    async def chat(self, body: dict[str, Any]) -> AsyncIterator[Event]:
        """Send one chat request, and yield the events of its answer, streamed or not."""
        limit = aiohttp.ClientTimeout(sock_connect=CONNECT_TIMEOUT_S, sock_read=STREAM_TIMEOUT_S)
        async with self._request("POST", CHAT_COMPLETIONS_PATH, limit, body) as response:
            if not response.headers.get("Content-Type", "").startswith(sse.CONTENT_TYPE):
                for event in read_chunk(_parsed(await response.read(), CHAT_COMPLETIONS_PATH)):
                    yield event
                return
            reader = StreamReader()
            async for part in response.content.iter_any():
                for event in reader.feed(part):
                    yield event
            if not reader.done:
                raise GatewayError("the connection ended before the answer was complete")

    async def settle(self) -> None:
        """Let the end of a stopped answer reach the gateway: the event loop may rest after this."""
        if self._forward is not None:
            await self._forward.settle()

    def _reason(self) -> str | None:
        return None if self._forward is None else self._forward.error

    async def _get(self, path: str) -> Any:
        limit = aiohttp.ClientTimeout(total=READ_TIMEOUT_S, sock_connect=CONNECT_TIMEOUT_S)
        async with self._request("GET", path, limit) as response:
            return _parsed(await response.read(), path)

    @asynccontextmanager
    async def _request(
        self, method: str, path: str, limit: aiohttp.ClientTimeout, body: dict[str, Any] | None = None
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """Redirects are not followed: they could carry the key elsewhere."""
        headers = {"Authorization": f"Bearer {self.key}"} if self.key else {}
        url = URL(f"{str(self._base).rstrip('/')}{path}", encoded=True)
        try:
            async with self._session.request(
                method, url, json=body, headers=headers, timeout=limit, ssl=self._tls,
                server_hostname=self._server_name, allow_redirects=False,
            ) as response:  # fmt: skip
                if response.status != HTTPStatus.OK:
                    content = await response.content.read(_MAX_ERROR_BYTES)
                    raise read_failure(response.status, content, response.headers.get("Retry-After"))
                yield response
        except (aiohttp.ClientConnectorError, aiohttp.ServerDisconnectedError, aiohttp.ClientOSError) as error:
            raise GatewayError(f"the gateway {self._base} cannot be reached: {self._reason() or error}") from error
        except TimeoutError as error:
            raise GatewayError(f"the gateway {self._base} did not answer in time") from error
        except (aiohttp.ClientError, OSError) as error:
            reason = self._reason() or "the connection ended before the response was complete"
            raise GatewayError(f"{method} {path}: {reason}") from error


def _parsed(content: bytes, path: str) -> Any:
    try:
        return json.loads(content)
    except (ValueError, RecursionError) as error:
        raise GatewayError(f"{path}: the response is not JSON") from error
