"""Keeps one MCP server connected and checked.

One task owns the session: it opens it, lists the tools, compares them with the pin, repeats that at an interval, and
opens a new session after a failure. Other tasks call through it. A server that is away never stops the assistant.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, suppress
from typing import Any, Final, NoReturn, TypeVar

from chatscale.api.v1alpha1.shopassistant import ToolServer
from chatscale_assistant.errors import ToolFailedError
from chatscale_assistant.gate.servers import GuardedServer, guard_server
from chatscale_assistant.tools.breaker import Breaker
from chatscale_assistant.tools.results import ParsedResult
from chatscale_assistant.tools.session import OPEN_TIMEOUT_S, OpenSession, Session
from chatscale_contract.assistant.state import ToolServerState

CHECK_INTERVAL_S: Final = 30.0
"""Between two comparisons of the descriptions with the pin."""
WRITE_CHECK_AGE_S: Final = 5.0
"""Before a write the last comparison is at most this old."""
CALL_TIMEOUT_S: Final = 5.0
MIN_RETRY_S: Final = 0.05
"""Even if calls wait for a session."""
SESSION_TIMEOUT_S: Final = 2 * OPEN_TIMEOUT_S
"""To open a session: the package tries the newer protocol first, and after a timeout the older one."""
FIRST_RETRY_S: Final = 0.5
MAX_RETRY_S: Final = 30.0
_MAX_MESSAGE: Final = 1000

_T = TypeVar("_T")
log = logging.getLogger(__name__)


class ServerConnection:
    """One server.

    pinned: the digest that the descriptions must have; empty pins the first complete list.
    publish: gets each new state of the server for the gate.  clock: monotonic seconds.
    """

    def __init__(
        self,
        config: ToolServer,
        pinned: str,
        *,
        open_session: OpenSession,
        publish: Callable[[GuardedServer], None],
        clock: Callable[[], float],
    ) -> None:
        self.config: Final = config
        self._pinned = config.pinned_digest or pinned
        self._open_session: Final = open_session
        self._publish: Final = publish
        self._clock: Final = clock
        self._breaker: Final = Breaker(clock)
        self._session: Session | None = None
        self._guarded = GuardedServer(config.name)
        self._away = "not connected yet"
        self._checked_at_s = float("-inf")
        self._broken: Final = asyncio.Event()
        self._wanted: Final = asyncio.Event()
        """A call waits for a session: retry at once."""
        self._changed: Final = asyncio.Condition()
        self._checking: Final = asyncio.Lock()

    @property
    def state(self) -> ToolServerState:
        """For the operator."""
        message = self._away or self._guarded.closed
        return ToolServerState(name=self.config.name, digest=self._guarded.digest, message=message[:_MAX_MESSAGE])

    @property
    def away(self) -> str:
        """Why there is no session; empty if there is one."""
        return self._away

    async def run(self) -> NoReturn:
        """Keep the session until cancelled."""
        retry_s = FIRST_RETRY_S
        while True:
            try:
                async with AsyncExitStack() as stack:
                    # The package waits without end for a server that accepts the connection and does not answer.
                    async with asyncio.timeout(SESSION_TIMEOUT_S):
                        session = await stack.enter_async_context(self._open_session(self.config))
                    await self._serve(session)
                    retry_s = FIRST_RETRY_S
            except Exception as error:  # noqa: BLE001 - the loop's top: no failure of a shop's server may end the assistant
                _raise_if_cancelled(error)
                await self._lose(_describe(error))
            else:
                await self._lose("the session broke")
            self._wanted.clear()
            await asyncio.sleep(MIN_RETRY_S)
            with suppress(TimeoutError):
                async with asyncio.timeout(retry_s):
                    await self._wanted.wait()
            retry_s = min(2 * retry_s, MAX_RETRY_S)

    async def call(
        self, tool: str, arguments: Mapping[str, Any], meta: Mapping[str, Any], *, repeat: bool = False
    ) -> ParsedResult:
        """Call a tool within `CALL_TIMEOUT_S`. Raises ToolFailedError. The caller has passed the gate.

        repeat: try a new session once if the call fails, such as after a restart of the server; for reads.
        """
        if not self._breaker.admits():
            raise ToolFailedError(f"server {self.config.name}: too many failures, calls are paused")
        try:
            async with asyncio.timeout(CALL_TIMEOUT_S):
                result = await self._try(lambda session: session.call(tool, arguments, meta), 2 if repeat else 1)
        except TimeoutError as error:
            self._breaker.failed()
            raise ToolFailedError(f"server {self.config.name}: no answer in {CALL_TIMEOUT_S:g} s") from error
        except ToolFailedError as error:
            self._breaker.failed()
            raise ToolFailedError(f"server {self.config.name}: {error}") from error
        self._breaker.succeeded()
        return result

    async def check_pin(self, max_age_s: float = WRITE_CHECK_AGE_S) -> None:
        """Compare the descriptions with the pin, if that is longer ago than `max_age_s`. Raises ToolFailedError."""
        try:
            async with asyncio.timeout(CALL_TIMEOUT_S):
                await self._try(lambda session: self._check_aged(session, max_age_s), 2)
        except TimeoutError as error:
            raise ToolFailedError(f"server {self.config.name}: no list of tools in {CALL_TIMEOUT_S:g} s") from error
        except ToolFailedError as error:
            raise ToolFailedError(f"server {self.config.name}: {error}") from error

    async def wait_for_change(self) -> None:
        """Return at the next change of the state, for tests and for the operator's view."""
        async with self._changed:
            await self._changed.wait()

    async def _serve(self, session: Session) -> None:
        """Until the session breaks."""
        self._broken.clear()
        async with asyncio.timeout(OPEN_TIMEOUT_S):
            await self._check(session)
        self._session, self._away = session, ""
        await self._notify()
        while not self._broken.is_set():
            with suppress(TimeoutError):
                async with asyncio.timeout(CHECK_INTERVAL_S):
                    await self._broken.wait()
            if not self._broken.is_set():
                async with asyncio.timeout(OPEN_TIMEOUT_S), self._checking:
                    await self._check(session)

    async def _check(self, session: Session) -> None:
        offered = await session.list_tools()
        guarded = guard_server(self.config, offered, self._pinned)
        if not guarded.closed and not self._pinned:
            self._pinned = guarded.digest
        self._checked_at_s = self._clock()
        if guarded.closed != self._guarded.closed:
            fields = {"server": self.config.name, "digest": guarded.digest, "closed": guarded.closed}
            log.log(logging.WARNING if guarded.closed else logging.INFO, "tool server checked", extra=fields)
        self._guarded = guarded
        self._publish(guarded)
        await self._notify()

    async def _lose(self, reason: str) -> None:
        if not self._away or self._session is not None:
            log.warning("tool server away", extra={"server": self.config.name, "error": reason})
        self._session, self._away = None, f"cannot be reached: {reason}"
        await self._notify()

    async def _check_aged(self, session: Session, max_age_s: float) -> None:
        async with self._checking:
            if self._clock() - self._checked_at_s > max_age_s:
                await self._check(session)

    async def _try(self, run: Callable[[Session], Awaitable[_T]], times: int) -> _T:
        """A failure breaks the session; each try has a new one."""
        for left in reversed(range(times)):
            session = await self._ready()
            try:
                return await run(session)
            except ToolFailedError:
                self._broken.set()
                if not left:
                    raise
        raise AssertionError("unreachable: times is at least 1")

    async def _notify(self) -> None:
        async with self._changed:
            self._changed.notify_all()

    async def _ready(self) -> Session:
        """The session; waits for a new one within the caller's deadline."""
        while (session := self._session) is None or self._broken.is_set():
            self._wanted.set()
            async with self._changed:
                await self._changed.wait()
        return session


def _raise_if_cancelled(error: Exception) -> None:
    """A session that breaks while it is closed replaces the CancelledError of the task by its own error."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError from error


def _describe(error: BaseException) -> str:
    """The innermost reason, without text of a message."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    if isinstance(error, TimeoutError):
        return "no answer in time"
    return str(error) if isinstance(error, ToolFailedError) else type(error).__name__
