"""One assistant over tau2's shop in this process, put together as a pod puts it, with parts that suites replace."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from chatscale.api.v1alpha1.parse import parse_shopassistant
from chatscale.api.v1alpha1.shopassistant import ToolServer
from chatscale_assistant.assembly import Pod, assembled
from chatscale_assistant.conversation.order_flow import ShopOrders
from chatscale_assistant.conversation.turn import ShopResponder
from chatscale_assistant.domain.interfaces import ChatModel, Desk, Encoder
from chatscale_assistant.errors import SourceError
from chatscale_assistant.evaluation.gate_suite import is_yes
from chatscale_assistant.evaluation.process import external, spec
from chatscale_assistant.evaluation.talk import NOW, RecordingDesk
from chatscale_assistant.gate.pins import ToolDescription
from chatscale_assistant.gate.proposals import Signer
from chatscale_assistant.settings import Settings
from chatscale_assistant.tools.guarded_tools import GuardedTools
from chatscale_assistant.tools.results import ParsedResult

READY_S: Final = 300.0
"""Limit until the whole shop is embedded."""
_POLL_S: Final = 0.1


@asynccontextmanager
async def shop_pod(
    folder: Path, encoders: Sequence[Encoder], *, sources: Sequence[Mapping[str, Any]] = ()
) -> AsyncIterator[Pod]:
    """A pod over `folder/knowledge`, once all of it is embedded.

    sources: more of `spec.knowledge`.  Raises SourceError if a source cannot be used, or embedding takes too long.
    """
    manifest = spec(external("http://127.0.0.1:9/v1"))
    manifest["spec"]["knowledge"] += sources
    settings = Settings(
        knowledge_folder=folder / "knowledge",
        secrets_folder=folder / "secrets",
        index_folder=folder / "index",
        evaluation_file=folder / "report.json",
    )
    settings.index_folder.mkdir(parents=True, exist_ok=True)
    async with assembled(parse_shopassistant(manifest), settings, encoders=encoders) as pod:
        try:
            async with asyncio.timeout(READY_S):
                await pod.warm.wait()
                while not pod.knowledge.is_complete:  # noqa: ASYNC110 - the index has no event for it
                    await asyncio.sleep(_POLL_S)
        except TimeoutError as e:
            raise SourceError(f"the shop was not embedded within {READY_S:.0f} s") from e
        if failed := [f"{each.name}: {each.message}" for each in pod.knowledge.states if each.message]:
            raise SourceError("; ".join(failed))
        yield pod


def responder(
    pod: Pod, *, model: ChatModel | None = None, tools: GuardedTools | None = None, desk: Desk | None = None
) -> ShopResponder:
    """The pod's responder with a model that may always write, or none; with tools in this process; with a desk."""
    knowledge = replace(pod.responder.knowledge, model=model, may_write=lambda: model is not None)
    orders = ShopOrders(tools, [RECORDED_SERVER]) if tools else None
    return replace(pod.responder, knowledge=knowledge, orders=orders, desk=desk or RecordingDesk())


RECORDED_SERVER: Final = ToolServer(
    name="shop",
    mcp="http://shop.invalid",
    allow=["get_order_details", "get_user_details", "cancel_pending_order", "return_delivered_order_items"],
    writes=["cancel_pending_order", "return_delivered_order_items"],
)
_PARAMETERS: Final = {
    "get_order_details": ("order_id",),
    "get_user_details": ("user_id",),
    "cancel_pending_order": ("order_id", "reason"),
    "return_delivered_order_items": ("order_id", "item_ids", "payment_method_id"),
}


@dataclass(slots=True)
class RecordedShop:
    """A shop's MCP session in this process: reads come from `rows`, writes succeed and are recorded."""

    rows: Mapping[str, Any]
    """Data of a reading call by its argument: an order by its number, a customer by the id."""
    writes: list[str] = field(default_factory=list)
    """Names of the writing tools that were called."""

    async def list_tools(self) -> list[ToolDescription]:
        """The four tools."""
        return [
            ToolDescription(
                name,
                f"The shop's tool {name}.",
                {
                    "type": "object",
                    "properties": {each: _schema(each) for each in parameters},
                    "required": list(parameters),
                },
            )
            for name, parameters in _PARAMETERS.items()
        ]

    async def call(self, tool: str, arguments: Mapping[str, Any], meta: Mapping[str, Any]) -> ParsedResult:
        """A row, or a recorded write."""
        _ = meta
        if tool in RECORDED_SERVER.writes:
            self.writes.append(tool)
            return ParsedResult({"status": "done"}, "done", is_error=False)
        row = self.rows.get(str(next(iter(arguments.values()), "")))
        return ParsedResult(row, str(row), is_error=row is None)

    @asynccontextmanager
    async def opened(self, _server: ToolServer) -> AsyncIterator["RecordedShop"]:
        """This session."""
        yield self


@asynccontextmanager
async def guarded(shop: RecordedShop, now: datetime = NOW) -> AsyncIterator[GuardedTools]:
    """The shop's tools behind the gate, connected."""
    tools = GuardedTools(
        [RECORDED_SERVER],
        pins={},
        signer=Signer(bytes(range(32))),
        is_yes=is_yes,
        open_session=shop.opened,
        now=lambda: now,
        clock=asyncio.get_running_loop().time,
    )
    task = asyncio.create_task(tools.run())
    try:
        for connection in tools.connections.values():
            while connection.away:
                await connection.wait_for_change()
        yield tools
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


def _schema(name: str) -> dict[str, Any]:
    return {"type": "array", "items": {"type": "string"}} if name.endswith("_ids") else {"type": "string"}
