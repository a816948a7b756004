"""The tools of all servers, behind the gate. Nothing else calls a tool."""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, Final, NoReturn

from chatscale.api.v1alpha1.shopassistant import ToolServer
from chatscale_assistant.domain.conversation import Conversation, Customer
from chatscale_assistant.domain.evidence import ToolCall, ToolResult
from chatscale_assistant.errors import GateClosedError, ToolFailedError
from chatscale_assistant.gate.confirmation import IsYes
from chatscale_assistant.gate.decisions import Allowed, Decision, Proposal, Refusal, Refused
from chatscale_assistant.gate.gate import Facts, Gate, fact_key
from chatscale_assistant.gate.proposals import InvalidProposalError, Signer
from chatscale_assistant.gate.servers import GuardedServer
from chatscale_assistant.tools.connection import ServerConnection
from chatscale_assistant.tools.done_writes import DoneWrites
from chatscale_assistant.tools.session import OpenSession, silence_package_logs
from chatscale_contract.assistant.state import ToolServerState
from chatscale_contract.assistant.tool_calls import CUSTOMER_META, IDEMPOTENCY_META

MAX_ROUNDS: Final = 3
"""Of reading facts: the objects, then what they name."""
MAX_FACTS: Final = 40
"""Reading calls for one decision."""

log = logging.getLogger(__name__)


class RefusedCallError(GateClosedError):
    """The gate refused a call; `refused` says why, and has the proposal that the customer may confirm."""

    def __init__(self, refused: Refused) -> None:
        super().__init__(f"{refused.reason}: {refused.detail}")
        self.refused: Final = refused


class GuardedTools:
    """Implements `domain.interfaces.Tools`.

    pins: digests from the status, by server.  now: wall clock, timezone-aware.  clock: monotonic seconds.
    """

    def __init__(
        self,
        servers: Sequence[ToolServer],
        *,
        pins: Mapping[str, str],
        signer: Signer,
        is_yes: IsYes,
        open_session: OpenSession,
        now: Callable[[], datetime],
        clock: Callable[[], float],
    ) -> None:
        self._gate = Gate(signer, is_yes, {server.name: GuardedServer(server.name) for server in servers})
        self._now: Final = now
        self._done: Final = DoneWrites(clock)
        self._connections: Final = {
            server.name: ServerConnection(
                server, pins.get(server.name, ""), open_session=open_session, publish=self._replace, clock=clock
            )
            for server in servers
        }

    async def run(self) -> NoReturn:
        """Keep all servers connected until cancelled."""
        silence_package_logs()
        async with asyncio.TaskGroup() as group:
            for connection in self._connections.values():
                group.create_task(connection.run())
        raise AssertionError("unreachable: connections run until they are cancelled")

    @property
    def states(self) -> tuple[ToolServerState, ...]:
        """For the operator."""
        return tuple(connection.state for connection in self._connections.values())

    @property
    def connections(self) -> Mapping[str, ServerConnection]:
        """By the server's name."""
        return self._connections

    def offers(self, server: str, tool: str) -> bool:
        """Whether the tool may be called now."""
        found = self._gate.servers.get(server)
        return found is not None and not found.closed and tool in found.tools

    def forbidden_by(self, server: str, tool: str, facts: Mapping[str, Any]) -> str:
        """The rule by which the state of an object forbids the write, whatever its other arguments; empty: none."""
        return self._gate.forbidden_by(server, tool, facts)

    def open_pending(self, token: str) -> Proposal | None:
        """The proposal in a token that a client sent back; None if this assistant has not signed it."""
        try:
            return self._gate.signer.open(token)
        except InvalidProposalError:
            return None

    async def read(self, call: ToolCall, customer: Customer | None) -> ToolResult:
        """A call that changes nothing. Raises RefusedCallError or ToolFailedError."""
        facts = await self._read_facts(call, customer)
        decision = self._gate.check_read(call, customer, facts)
        if isinstance(decision, Refused):
            raise self._error(decision, call)
        result = await self._call(decision, customer)
        if refused := self._gate.check_result(decision.call, result, customer):
            raise self._error(refused, call)
        return result

    async def decide_write(self, call: ToolCall, conversation: Conversation) -> Decision:
        """Whether a write may run; a refusal for a missing yes has the proposal. Raises ToolFailedError."""
        decision, _ = await self._decide(call, conversation)
        return decision

    async def write(self, call: ToolCall, conversation: Conversation) -> ToolResult:
        """A call that changes something. Raises RefusedCallError or ToolFailedError.

        A result without `is_error` has its receipt. If the server does not answer, the call is repeated once for an
        idempotent tool; otherwise the outcome is unknown, and the same write is refused afterwards.
        """
        decision, idempotent = await self._decide(call, conversation)
        if isinstance(decision, Refused):
            raise self._error(decision, call)
        key = decision.idempotency_key
        if not self._done.claim(key) and not idempotent:
            raise self._error(Refused(Refusal.ALREADY_DONE, f"{call.server}/{call.tool}: the write has run"), call)
        try:
            result = await self._call(decision, conversation.customer)
        except ToolFailedError:
            if not idempotent:
                raise
            result = await self._call(decision, conversation.customer)
        if result.is_error:
            self._done.release(key)
            return result
        return replace(result, receipt=key)

    async def _decide(self, call: ToolCall, conversation: Conversation) -> tuple[Decision, bool]:
        connection = self._connections.get(call.server)
        if connection is not None:
            await connection.check_pin()
        facts = await self._read_facts(call, conversation.customer)
        decision = self._gate.check_write(call, conversation, facts, self._now(), self._done)
        if isinstance(decision, Refused):
            log.info("tool call refused", extra={"server": call.server, "reason": decision.reason})
            return decision, False
        return decision, self._gate.servers[call.server].tools[call.tool].idempotent

    async def _read_facts(self, call: ToolCall, customer: Customer | None) -> Facts:
        facts: dict[str, ToolResult] = {}
        for _ in range(MAX_ROUNDS):
            needed = self._gate.facts_needed(call, customer, facts)
            if not needed:
                break
            if len(facts) + len(needed) > MAX_FACTS:
                raise RefusedCallError(Refused(Refusal.INVALID_ARGUMENTS, "the call names too many objects"))
            results = await asyncio.gather(*(self._call(Allowed(each), customer) for each in needed))
            facts |= {fact_key(each): result for each, result in zip(needed, results, strict=True)}
        return facts

    async def _call(self, allowed: Allowed, customer: Customer | None) -> ToolResult:
        call = allowed.call
        meta: dict[str, Any] = {} if customer is None else {CUSTOMER_META: customer.id}
        if allowed.idempotency_key:
            meta[IDEMPOTENCY_META] = allowed.idempotency_key
        is_read = not allowed.idempotency_key
        parsed = await self._connections[call.server].call(call.tool, call.arguments, meta, repeat=is_read)
        return ToolResult(call, parsed.data, parsed.text, self._now(), parsed.is_error)

    def _error(self, refused: Refused, call: ToolCall) -> GateClosedError | ToolFailedError:
        """An outage is a failure of the server, not a refusal."""
        connection = self._connections.get(call.server)
        if refused.reason is Refusal.SERVER_CLOSED and connection is not None and connection.away:
            return ToolFailedError(f"server {call.server}: {connection.away}")
        return RefusedCallError(refused)

    def _replace(self, server: GuardedServer) -> None:
        self._gate = self._gate.with_server(server)
