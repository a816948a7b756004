"""The `Upstream` over aiohttp's client."""

import asyncio
from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self
from weakref import WeakSet

import aiohttp
from aiohttp import hdrs
from typing_extensions import override

from chatscale_gateway.routing.catalog import Replica
from chatscale_gateway.upstream.interface import BrokenError, NoAnswerError, NotConnectedError, UpstreamResponse

if TYPE_CHECKING:
    from aiohttp.client_proto import ResponseHandler
    from aiohttp.connector import Connection

CONNECT_TIMEOUT_S: Final = 5.0
KEEP_ALIVE_S: Final = 4.0
"""Idle connections are closed before uvicorn, the server of most runtimes, closes them after 5 s."""
READ_BUFFER_BYTES: Final = 64 * 1024
_UNSET_HEADERS: Final = (hdrs.USER_AGENT, hdrs.ACCEPT, hdrs.ACCEPT_ENCODING, hdrs.CONTENT_TYPE)


@dataclass(slots=True)
class _Attempt:
    reused: bool = False
    """The connection served an earlier request."""


_ATTEMPT: Final[ContextVar[_Attempt]] = ContextVar("_ATTEMPT")


class _Connector(aiohttp.TCPConnector):
    """Tells new connections from kept ones, which aiohttp's session does not."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._known: WeakSet[ResponseHandler] = WeakSet()

    @override
    async def connect(self, req: Any, traces: Any, timeout: Any) -> "Connection":
        connection = await super().connect(req, traces, timeout)
        protocol = connection.protocol
        if protocol is not None:
            if protocol in self._known:
                _ATTEMPT.get().reused = True
            else:
                self._known.add(protocol)
        return connection


class AiohttpUpstream:
    """An async context manager: connections are closed at its end."""

    def __init__(self, *, response_timeout_s: float) -> None:
        """response_timeout_s: from the start of the request to the headers, and between two parts of the body."""
        self._response_timeout_s = response_timeout_s
        self._kept = self._session(force_close=False)
        self._fresh = self._session(force_close=True)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._kept.close()
        await self._fresh.close()

    def _session(self, *, force_close: bool) -> aiohttp.ClientSession:
        options: dict[str, Any] = {} if force_close else {"keepalive_timeout": KEEP_ALIVE_S}
        return aiohttp.ClientSession(
            connector=_Connector(limit=0, limit_per_host=0, force_close=force_close, use_dns_cache=False, **options),
            timeout=aiohttp.ClientTimeout(
                total=None, sock_connect=CONNECT_TIMEOUT_S, sock_read=self._response_timeout_s
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            skip_auto_headers=_UNSET_HEADERS,
            read_bufsize=READ_BUFFER_BYTES,
            trust_env=False,
        )

    async def send(
        self, replica: Replica, path: str, headers: Mapping[str, str], body: bytes, *, fresh: bool = False
    ) -> UpstreamResponse:
        """See `Upstream`."""
        session = self._fresh if fresh else self._kept
        host = f"[{replica.address}]" if ":" in replica.address else replica.address
        attempt = _Attempt()
        _ATTEMPT.set(attempt)
        try:
            async with asyncio.timeout(self._response_timeout_s):
                response = await session.post(
                    f"http://{host}:{replica.port}{path}", data=body, headers=headers, allow_redirects=False
                )
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            raise NotConnectedError(f"cannot connect: {error}", sent=False) from error
        except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError) as error:
            raise NotConnectedError(
                "the connection was lost before the response", sent=True, stale=attempt.reused
            ) from error
        except TimeoutError as error:
            raise NoAnswerError(f"no response within {self._response_timeout_s:g} s") from error
        except aiohttp.ClientError as error:
            raise BrokenError(f"not a valid HTTP response: {type(error).__name__}") from error
        return _Response(response)


class _Response:
    __slots__ = ("_response", "headers", "status")

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response
        self.status = response.status
        self.headers: Mapping[str, str] = response.headers

    async def read(self) -> bytes:
        try:
            return await self._response.content.readany()
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise BrokenError(f"the connection was lost before the end of the response: {error!r}") from error

    def close(self) -> None:
        self._response.close()
