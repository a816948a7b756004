"""Open-loop traffic against an assistant: requests leave on time, whatever happened to the ones before."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import aiohttp
import numpy as np

from chatscale_assistant.evaluation.process import NAME
from chatscale_contract.assistant.endpoints import EXTRAS_FIELD
from chatscale_contract.server.endpoints import CHAT_COMPLETIONS_PATH

_TIMEOUT_S: Final = 30.0
FAILED: Final = 0
"""Status of a request without any answer."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """One request."""

    seconds: float
    """From the time at which the request was due to the end of its answer."""
    status: int
    extras: dict[str, Any]
    text: str

    @property
    def is_answer(self) -> bool:
        """Whether the customer got a cited answer or a hand-over."""
        handed_over = self.extras.get("hand_over") in {"requested", "person"} or self.extras.get("rung") == "hand_over"
        return bool(self.extras.get("citations")) or handed_over


async def send(url: str, questions: Sequence[str], *, per_second: float, seed: int) -> list[Outcome]:
    """Each question once, as its own conversation, at random times with a mean rate (a Poisson process)."""
    gaps = np.random.default_rng(seed).exponential(1 / per_second, len(questions))
    loop = asyncio.get_running_loop()
    start = loop.time() + 0.1
    connector = aiohttp.TCPConnector(limit=0)
    async with (
        aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=_TIMEOUT_S)) as session,
        asyncio.TaskGroup() as group,
    ):
        tasks = [
            group.create_task(_send_at(session, url, text, f"load-{seed}-{number}", start + float(due)))
            for number, (text, due) in enumerate(zip(questions, np.cumsum(gaps), strict=True))
        ]
    return [task.result() for task in tasks]


async def answer(session: aiohttp.ClientSession, url: str, text: str, conversation: str) -> tuple[int, dict[str, Any]]:
    """Status and body of one request; `FAILED` without an answer."""
    body = {
        "model": NAME,
        "messages": [{"role": "user", "content": text}],
        EXTRAS_FIELD: {"conversation": conversation},
    }
    try:
        async with session.post(url + CHAT_COMPLETIONS_PATH, json=body) as response:
            found = await response.json(content_type=None)
            return response.status, found if isinstance(found, dict) else {}
    except (aiohttp.ClientError, TimeoutError, ValueError):
        return FAILED, {}


async def _send_at(session: aiohttp.ClientSession, url: str, text: str, conversation: str, due: float) -> Outcome:
    loop = asyncio.get_running_loop()
    await asyncio.sleep(due - loop.time())
    status, body = await answer(session, url, text, conversation)
    choices = body.get("choices") or [{}]
    content = (choices[0].get("message") or {}).get("content") or ""
    return Outcome(loop.time() - due, status, body.get(EXTRAS_FIELD) or {}, content)
