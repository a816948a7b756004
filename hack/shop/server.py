"""The MCP server (Streamable HTTP at /mcp) of the sample shop."""

import hmac
import json
import logging
from collections.abc import Awaitable, Callable
from typing import Any, Final

import uvicorn
from mcp.server.lowlevel import Server
from mcp.server.transport_security import TransportSecuritySettings
from mcp_types import CallToolRequestParams, CallToolResult, ListToolsResult, PaginatedRequestParams, TextContent, Tool
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse
from starlette.routing import Route

from hack.shop.state import Shop, ShopError
from hack.shop.tools import call_tool, describe_tools

IDEMPOTENCY_META: Final = "chatscale/idempotency-key"
"""As `chatscale_contract.assistant.tool_calls.IDEMPOTENCY_META`; the image has no other package of the project."""

App = Callable[[Any, Any, Any], Awaitable[None]]


def build_app(shop: Shop, *, token: str = "", trial_routes: bool = False, described: str = "") -> App:
    """The ASGI application.

    token: bearer token that every request needs; empty: none.  trial_routes: POST /reset and GET /digest, for tests.
    described: text that is appended to each description, to try what a changed description does.
    """
    holder = [shop.copy()]
    tools = [Tool.model_validate({**each, "description": each["description"] + described}) for each in describe_tools()]

    async def list_tools(_context: Any, _params: PaginatedRequestParams | None) -> ListToolsResult:
        return ListToolsResult(tools=tools)

    async def call(_context: Any, params: CallToolRequestParams) -> CallToolResult:
        meta = dict(params.meta or {})
        key = meta.get(IDEMPOTENCY_META, "")
        try:
            result = call_tool(holder[0], params.name, params.arguments or {}, key if isinstance(key, str) else "")
        except ShopError as error:
            return CallToolResult(content=[TextContent(text=f"Error: {error}")], is_error=True)
        text = result if isinstance(result, str) else json.dumps(result)
        structured = {"result": result} if isinstance(result, str) else result
        return CallToolResult(content=[TextContent(text=text)], structured_content=structured)

    async def live(_request: Request) -> PlainTextResponse:
        return PlainTextResponse("ok")

    async def reset(_request: Request) -> JSONResponse:
        holder[0] = shop.copy()
        return JSONResponse({"digest": holder[0].digest()})

    async def digest(_request: Request) -> JSONResponse:
        return JSONResponse({"digest": holder[0].digest()})

    routes = [Route("/livez", live)]
    if trial_routes:
        routes += [Route("/reset", reset, methods=["POST"]), Route("/digest", digest)]
    server = Server("sample-shop", version="1", on_list_tools=list_tools, on_call_tool=call)
    app = server.streamable_http_app(
        json_response=True,
        stateless_http=True,
        custom_starlette_routes=routes,
        transport_security=TransportSecuritySettings(enable_dns_rebinding_protection=False),
    )
    return _guarded(app, token) if token else app


def _guarded(app: App, token: str) -> App:
    """The application behind a bearer token; /livez needs none."""
    expected = f"Bearer {token}".encode()

    async def guarded(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http" and scope["path"] != "/livez":
            given = dict(scope["headers"]).get(b"authorization", b"")
            if not hmac.compare_digest(given, expected):
                await PlainTextResponse("a bearer token is needed", status_code=401)(scope, receive, send)
                return
        await app(scope, receive, send)

    return guarded


def serve(app: App, host: str, port: int) -> None:
    """Serve until SIGTERM."""
    logging.getLogger("mcp").setLevel(logging.WARNING)
    uvicorn.run(app, host=host, port=port, log_level="warning", access_log=False)
