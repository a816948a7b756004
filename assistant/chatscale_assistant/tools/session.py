"""A session with one MCP server over Streamable HTTP, by the package `mcp`.

Certificates are always verified, redirects stay on the server's origin, and a response has a bound. The package logs
messages in debug and error lines; they may hold a customer's data, so `silence_package_logs` turns them off.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any, Final, Protocol

import httpx2
from mcp.client import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.exceptions import MCPError
from mcp_types import Implementation, Tool
from typing_extensions import override

from chatscale.api.v1alpha1.shopassistant import ToolServer
from chatscale_assistant.errors import ToolFailedError
from chatscale_assistant.gate.pins import ToolDescription
from chatscale_assistant.tools.results import ParsedResult, parse_result

OPEN_TIMEOUT_S: Final = 10.0
MAX_RESPONSE_BYTES: Final = 1024 * 1024
"""Of one HTTP response."""
MAX_TOOLS: Final = 512
MAX_PAGES: Final = 20
_DEFAULT_PATH: Final = "/mcp"


class Session(Protocol):
    """An open session. Calls may run at the same time."""

    async def list_tools(self) -> list[ToolDescription]:
        """All tools that the server offers. Raises ToolFailedError."""
        ...

    async def call(self, tool: str, arguments: Mapping[str, Any], meta: Mapping[str, Any]) -> ParsedResult:
        """Raises ToolFailedError."""
        ...


OpenSession = Callable[[ToolServer], AbstractAsyncContextManager[Session]]


class _BoundedStream(httpx2.AsyncByteStream):
    def __init__(self, stream: httpx2.AsyncByteStream, limit: int) -> None:
        self._stream, self._limit = stream, limit

    @override
    async def __aiter__(self) -> AsyncIterator[bytes]:
        seen = 0
        async for part in self._stream:
            seen += len(part)
            if seen > self._limit:
                raise httpx2.StreamError(f"the response has more than {self._limit} bytes")
            yield part

    @override
    async def aclose(self) -> None:
        await self._stream.aclose()


class _BoundedTransport(httpx2.AsyncHTTPTransport):
    """Bounds the bytes of each response to a POST; a GET is the server's stream of notifications, bounded per event.

    A compressed response is refused: a megabyte of it can be a gigabyte of text.
    """

    @override
    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        request.headers["Accept-Encoding"] = "identity"
        response = await super().handle_async_request(request)
        if response.headers.get("Content-Encoding", "identity").lower() != "identity":
            await response.aclose()
            raise httpx2.RemoteProtocolError("the response is compressed, although the request does not accept that")
        if request.method == "POST" and isinstance(response.stream, httpx2.AsyncByteStream):
            response.stream = _BoundedStream(response.stream, MAX_RESPONSE_BYTES)
        return response


class McpSession:
    """A session of the package `mcp`."""

    def __init__(self, client: Client) -> None:
        self._client: Final = client

    async def list_tools(self) -> list[ToolDescription]:
        """All pages."""
        tools: list[ToolDescription] = []
        cursor: str | None = None
        for _ in range(MAX_PAGES):
            with _translated():
                page = await self._client.list_tools(cursor=cursor)
            tools.extend(_describe(tool) for tool in page.tools)
            cursor = page.next_cursor
            if not cursor:
                return tools
            if len(tools) > MAX_TOOLS:
                break
        raise ToolFailedError(f"the server lists more than {MAX_TOOLS} tools or {MAX_PAGES} pages")

    async def call(self, tool: str, arguments: Mapping[str, Any], meta: Mapping[str, Any]) -> ParsedResult:
        """One call."""
        with _translated():
            result = await self._client.call_tool(tool, dict(arguments), meta=dict(meta))  # type: ignore[arg-type] # a TypedDict with extra keys
            return parse_result(result)


class _translated:  # noqa: N801 - reads as a word
    """Turns every error of the package into ToolFailedError, without its text, which may hold data."""

    def __enter__(self) -> None: ...

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, MCPError):
            raise ToolFailedError(f"the server answered with error {error.code}") from error
        if isinstance(error, Exception) and not isinstance(error, ToolFailedError | TimeoutError):
            raise ToolFailedError(f"the call failed: {type(error).__name__}") from error


def opening(token_file: Callable[[str], Path | None]) -> OpenSession:
    """Opens sessions with the bearer token of each server's file, read anew for each session.

    token_file: by the server's name; None if it needs no token.
    """

    @asynccontextmanager
    async def open_session(server: ToolServer) -> AsyncIterator[Session]:
        path = token_file(server.name)
        token = "" if path is None else (await asyncio.to_thread(path.read_text)).strip()
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        timeout = httpx2.Timeout(OPEN_TIMEOUT_S, read=None)
        async with httpx2.AsyncClient(transport=_BoundedTransport(), headers=headers, timeout=timeout) as http:
            transport = streamable_http_client(
                endpoint(server.mcp), http_client=http, max_sse_event_size=MAX_RESPONSE_BYTES
            )
            client = Client(transport, cache=None, client_info=Implementation(name="chatscale-assistant", version="1"))
            async with client:
                yield McpSession(client)

    return open_session


def endpoint(url: str) -> str:
    """The address, with MCP's usual path if it has none: `http://orders.shop` is `http://orders.shop/mcp`."""
    parsed = httpx2.URL(url)
    return str(parsed.copy_with(path=_DEFAULT_PATH)) if parsed.path in {"", "/"} else url


def silence_package_logs() -> None:
    """Turn off log lines of `mcp` and `httpx2`: they may hold arguments and results."""
    for name in ("mcp", "httpx2", "httpcore2"):
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)


def _describe(tool: Tool) -> ToolDescription:
    annotations = {} if tool.annotations is None else tool.annotations.model_dump(by_alias=True, exclude_none=True)
    return ToolDescription(
        name=tool.name,
        description=tool.description or "",
        input_schema=tool.input_schema,
        output_schema=tool.output_schema,
        title=tool.title or "",
        annotations=annotations,
        meta=dict(tool.meta or {}),
    )
