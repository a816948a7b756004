"""The sample shop without a network, and a small yes for tests of the gate."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from chatscale.api.v1alpha1.shopassistant import ToolServer
from chatscale_assistant.errors import ToolFailedError
from chatscale_assistant.gate.pins import ToolDescription
from chatscale_assistant.tools.results import ParsedResult
from chatscale_contract.assistant.tool_calls import IDEMPOTENCY_META
from hack.shop.state import Shop, ShopError
from hack.shop.tools import call_tool, describe_tools
from hack.shop.writes import WRITES

YES = frozenset({"yes", "yes.", "yes please", "ok", "oui", "是", "是的", "确认"})
SIGNING_KEY = bytes(range(32))


def is_yes(text: str) -> bool:
    """For tests of the gate; customers' yes is recognised by the package `answers`."""
    first, _, rest = text.strip().lower().partition(", #")
    return first in YES and " " not in rest


def shop_server(**changes: Any) -> ToolServer:
    """`spec.tools[]` for the sample shop."""
    allow = [each["name"] for each in describe_tools()]
    values = {"name": "shop", "mcp": "http://shop.invalid", "allow": allow, "writes": sorted(WRITES), **changes}
    return ToolServer.model_validate(values)


def shop_descriptions() -> list[ToolDescription]:
    """The shop's tools as a session lists them."""
    return [
        ToolDescription(each["name"], each["description"], each["inputSchema"], annotations=each["annotations"])
        for each in describe_tools()
    ]


@dataclass
class ShopSession:
    """An open session with the shop, in this process."""

    shop: Shop
    tools: list[ToolDescription] = field(default_factory=shop_descriptions)
    calls: list[tuple[str, Mapping[str, Any], Mapping[str, Any]]] = field(default_factory=list)
    failures: list[Exception] = field(default_factory=list)
    """Raised by the next calls."""
    opened: int = 0

    async def list_tools(self) -> list[ToolDescription]:
        return self.tools

    async def call(self, tool: str, arguments: Mapping[str, Any], meta: Mapping[str, Any]) -> ParsedResult:
        if self.failures:
            raise self.failures.pop(0)
        self.calls.append((tool, arguments, meta))
        try:
            data = call_tool(self.shop, tool, dict(arguments), meta.get(IDEMPOTENCY_META, ""))
        except ShopError as error:
            return ParsedResult(str(error), str(error), is_error=True)
        return ParsedResult(data, str(data), is_error=False)

    def open_session(self, _server: ToolServer) -> Any:
        @asynccontextmanager
        async def opened() -> AsyncIterator["ShopSession"]:
            self.opened += 1
            if self.failures and isinstance(self.failures[0], ConnectionError):
                raise self.failures.pop(0)
            yield self

        return opened()


def failing(count: int) -> list[Exception]:
    return [ToolFailedError("the server answered with error -32603") for _ in range(count)]
