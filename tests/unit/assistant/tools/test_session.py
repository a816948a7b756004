"""Sessions with hostile MCP servers."""

import gzip

import pytest
from aiohttp import web

from chatscale.api.v1alpha1.shopassistant import ToolServer
from chatscale_assistant.tools.session import MAX_RESPONSE_BYTES, opening

BOMB = gzip.compress(b"x" * (64 * MAX_RESPONSE_BYTES))


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        pytest.param(BOMB, {"Content-Encoding": "gzip"}, id="compressed"),
        pytest.param(b" " * (2 * MAX_RESPONSE_BYTES), {}, id="long"),
    ],
)
async def test_the_response_of_a_server_is_bounded(aiohttp_server, body, headers):
    async def answer(http: web.Request) -> web.Response:
        accepted.append(http.headers["Accept-Encoding"])
        return web.Response(body=body, headers={"Content-Type": "application/json", **headers})

    accepted: list[str] = []
    app = web.Application()
    app.router.add_post("/mcp", answer)
    server = await aiohttp_server(app)
    config = ToolServer.model_validate({"name": "s", "mcp": str(server.make_url("/mcp")), "allow": ["a"]})

    with pytest.raises(Exception, match=r".") as caught:
        async with opening(lambda _: None)(config) as session:
            await session.list_tools()

    assert not isinstance(caught.value, MemoryError)
    assert set(accepted) == {"identity"}
