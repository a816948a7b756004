"""Counts tool calls and their time, around the tools."""

import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from typing_extensions import override

from chatscale_assistant import metrics
from chatscale_assistant.conversation.order_flow import OrderTools
from chatscale_assistant.domain.conversation import Conversation, Customer
from chatscale_assistant.domain.evidence import ToolCall, ToolResult
from chatscale_assistant.errors import GateClosedError
from chatscale_assistant.gate.decisions import Decision, Proposal


@dataclass(frozen=True, slots=True)
class ObservedTools(OrderTools):
    """Passes everything on."""

    tools: OrderTools
    clock: Callable[[], float] = field(default=time.monotonic)

    @override
    async def read(self, call: ToolCall, customer: Customer | None) -> ToolResult:
        return await self._observed(call, self.tools.read(call, customer))

    @override
    async def write(self, call: ToolCall, conversation: Conversation) -> ToolResult:
        return await self._observed(call, self.tools.write(call, conversation))

    @override
    def offers(self, server: str, tool: str) -> bool:
        return self.tools.offers(server, tool)

    @override
    def forbidden_by(self, server: str, tool: str, facts: Mapping[str, Any]) -> str:
        return self.tools.forbidden_by(server, tool, facts)

    @override
    def open_pending(self, token: str) -> Proposal | None:
        return self.tools.open_pending(token)

    @override
    async def decide_write(self, call: ToolCall, conversation: Conversation) -> Decision:
        return await self.tools.decide_write(call, conversation)

    async def _observed(self, call: ToolCall, step: Awaitable[ToolResult]) -> ToolResult:
        started_s, outcome = self.clock(), "failed"
        try:
            result = await step
            outcome = "error" if result.is_error else "ok"
        except GateClosedError:
            outcome = "refused"
            raise
        finally:
            metrics.TOOL_CALLS.labels(call.server, call.tool, outcome).inc()
            metrics.TOOL_SECONDS.labels(call.server).observe(self.clock() - started_s)
        return result
