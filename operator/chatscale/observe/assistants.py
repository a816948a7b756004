"""Reads `/state` of the pods of ShopAssistants, with limits on time, size and concurrency.

A pod that cannot be read is a failure with its reason, never a pod without problems. Pods are untrusted: redirects are
not followed, and every text is bounded.
"""

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, Protocol

import aiohttp
from typing_extensions import override

from chatscale.errors import MetricsUnavailableError
from chatscale.observe.fair_share import FairShare
from chatscale.observe.pods import Pod
from chatscale.observe.scrape import CONNECT_TIMEOUT_S, read_at_most, why_unread
from chatscale.scaling.signals import ReplicaPhase
from chatscale_contract.assistant.endpoints import HTTP_PORT, STATE_PATH
from chatscale_contract.assistant.state import AssistantState

READ_TIMEOUT_S: Final = 2.0
"""Of one pod. It answers from memory."""
READING_TIMEOUT_S: Final = 4.0
"""Of all pods of one assistant, waiting included."""
AT_ONCE: Final = 32
AT_ONCE_EACH: Final = 8
"""Concurrent requests over all assistants, and of one."""
MOST_BYTES: Final = 262_144
"""Of one state; 16 sources and 8 tool servers with the longest messages have 30 kB."""


@dataclass(frozen=True, slots=True)
class StateReading:
    """States and failures by pod name; every pod that has an address and is not terminating is in exactly one."""

    states: Mapping[str, AssistantState] = field(default_factory=dict)
    failures: Mapping[str, str] = field(default_factory=dict)


class StateReader(Protocol):
    """Source of states. Tests use a fake."""

    async def read(self, assistant: str, pods: tuple[Pod, ...]) -> StateReading:
        """Read the pods within a deadline. A pod that does not respond raises no error.

        assistant: namespace/name.
        """
        ...


def readable(pods: Iterable[Pod]) -> list[Pod]:
    """The pods to read. A pod that is not Ready is read too: its state explains why."""
    return [pod for pod in pods if pod.address and pod.phase in (ReplicaPhase.READY, ReplicaPhase.STARTING)]


class HttpStateReader(StateReader):
    """Reads over HTTP. The process has one, so that the limits on concurrency hold over all assistants."""

    def __init__(self, session: aiohttp.ClientSession, port: int = HTTP_PORT) -> None:
        self._session = session
        self._port = port
        self._places = FairShare(AT_ONCE, AT_ONCE_EACH)

    @override
    async def read(self, assistant: str, pods: tuple[Pod, ...]) -> StateReading:
        deadline = asyncio.get_running_loop().time() + READING_TIMEOUT_S
        async with asyncio.TaskGroup() as group:
            tasks = {pod.name: group.create_task(self._outcome(assistant, pod, deadline)) for pod in readable(pods)}
        outcomes = {name: task.result() for name, task in tasks.items()}
        return StateReading(
            states={name: found for name, found in outcomes.items() if isinstance(found, AssistantState)},
            failures={name: found for name, found in outcomes.items() if isinstance(found, str)},
        )

    async def _outcome(self, assistant: str, pod: Pod, deadline: float) -> AssistantState | str:
        """The state, or why there is none. deadline: in the event loop's time."""
        try:
            async with asyncio.timeout_at(deadline), self._places.place(assistant):
                try:
                    async with asyncio.timeout(READ_TIMEOUT_S):
                        return AssistantState.model_validate_json(await self._fetch(pod.address))
                except TimeoutError:
                    return f"no answer within {READ_TIMEOUT_S:g} s"
                except (MetricsUnavailableError, aiohttp.ClientError, OSError, ValueError) as error:
                    return f"GET {STATE_PATH}: {why_unread(error)}"
        except TimeoutError:
            return f"not read within {READING_TIMEOUT_S:g} s, including the time that other pods took"

    async def _fetch(self, address: str) -> bytes:
        host = f"[{address}]" if ":" in address else address
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_TIMEOUT_S)
        url = f"http://{host}:{self._port}{STATE_PATH}"
        async with self._session.get(url, allow_redirects=False, timeout=timeout) as response:
            if response.status != 200:  # noqa: PLR2004
                raise MetricsUnavailableError(f"HTTP {response.status}")
            return await read_at_most(response, MOST_BYTES)
