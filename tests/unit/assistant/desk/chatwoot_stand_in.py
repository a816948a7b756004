"""A stand-in for Chatwoot: the four calls of its public API that the desk uses, as its API reference describes them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

ACCOUNT, TOKEN = "7", "bot-token"
INCOMING, OUTGOING = 0, 1


@dataclass
class ChatwootStandIn:
    """One conversation, number 10."""

    status: str = "pending"
    messages: list[dict[str, Any]] = field(default_factory=list)
    fail_sends: int = 0
    when_read: Any = None
    """Called after each read of the messages: something happens in the meantime."""
    _next: int = 100

    def add(
        self, text: str, kind: int = INCOMING, *, sender: str = "contact", private: bool = False, **more: Any
    ) -> int:
        self._next += 1
        self.messages.append(
            {"id": self._next, "content": text, "message_type": kind, "private": private, "content_type": "text",
             "content_attributes": more.get("content_attributes", {}), "sender": {"id": 1, "type": sender}}
        )  # fmt: skip
        return self._next

    def event(self, number: int, **more: Any) -> dict[str, Any]:
        """The agent bot's webhook for a message."""
        message = next(each for each in self.messages if each["id"] == number)
        return {
            "event": "message_created", "id": number, "content": message["content"], "message_type": "incoming",
            "private": False, "conversation": {"id": 10, "status": self.status}, "account": {"id": 7}, **more,
        }  # fmt: skip

    @property
    def sent(self) -> list[str]:
        """What the customer got from the assistant."""
        return [
            each["content"]
            for each in self.messages
            if each["message_type"] == OUTGOING and each["sender"]["type"] == "agent_bot" and not each["private"]
        ]

    @property
    def notes(self) -> list[str]:
        return [each["content"] for each in self.messages if each["private"]]

    def _check(self, http: web.Request) -> None:
        if http.headers.get("api_access_token") != TOKEN:
            raise web.HTTPUnauthorized
        if http.match_info["account"] != ACCOUNT or http.match_info["number"] != "10":
            raise web.HTTPNotFound

    async def show(self, http: web.Request) -> web.Response:
        self._check(http)
        return web.json_response({"id": 10, "status": self.status, "meta": {}})

    async def list_messages(self, http: web.Request) -> web.Response:
        self._check(http)
        found = [*self.messages]
        if self.when_read:
            self.when_read()
        return web.json_response({"meta": {}, "payload": found})

    async def create(self, http: web.Request) -> web.Response:
        self._check(http)
        body = await http.json()
        assert body["message_type"] == "outgoing"
        if self.fail_sends and not body["private"]:
            self.fail_sends -= 1
            raise web.HTTPBadGateway
        number = self.add(
            body["content"], OUTGOING, sender="agent_bot", private=body["private"],
            content_attributes=body["content_attributes"],
        )  # fmt: skip
        return web.json_response({"id": number})

    async def toggle(self, http: web.Request) -> web.Response:
        self._check(http)
        self.status = (await http.json())["status"]
        return web.json_response({"payload": {"success": True, "current_status": self.status}})


@asynccontextmanager
async def serving(stand_in: ChatwootStandIn) -> AsyncIterator[str]:
    """Yields the address."""
    app = web.Application()
    base = "/api/v1/accounts/{account}/conversations/{number}"
    app.router.add_get(base, stand_in.show)
    app.router.add_get(f"{base}/messages", stand_in.list_messages)
    app.router.add_post(f"{base}/messages", stand_in.create)
    app.router.add_post(f"{base}/toggle_status", stand_in.toggle)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()
