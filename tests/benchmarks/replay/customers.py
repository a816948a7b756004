"""Customers of a replay: each request is sent at its time, with its own prompt and length, and timed.

Two cores serve the replicas and the customers: of a stream only its first text and its end are looked at.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus

import aiohttp

from chatscale_contract.server.endpoints import CHAT_COMPLETIONS_PATH
from chatscale_simulator.simulation.workload import Workload
from hack.load import Fate
from tests.benchmarks.replay.traffic import prompt

REQUEST_TIMEOUT_S = 300.0
_TEXT = b'"content":"'
_ENDS = (b'"finish_reason":"length"', b'"finish_reason":"stop"')
_DONE = b"data: [DONE]"
_TAIL_BYTES = 1024
"""Holds the last events of a stream."""


@dataclass(slots=True)
class Answer:
    """What became of one request; seconds since the replay began."""

    sent_s: float
    fate: Fate = Fate.LOST
    detail: str = "no answer"
    first_text_s: float | None = None
    finish_s: float | None = None


async def replay(
    base_url: str, model: str, workload: Workload, began: float, tell: Callable[[str], None]
) -> list[Answer]:
    """Send the whole workload and wait for every fate; answers in order of arrival.

    began: second 0 of the workload, of `time.monotonic`.
    Every request opens its own connection: so kube-proxy picks a replica for each.
    """
    answers: list[Answer] = []
    connector = aiohttp.TCPConnector(force_close=True, limit=0)
    timeout = aiohttp.ClientTimeout(total=REQUEST_TIMEOUT_S)
    async with (
        aiohttp.ClientSession(base_url, connector=connector, timeout=timeout) as session,
        asyncio.TaskGroup() as group,
    ):
        for number, at_s in enumerate(workload.arrival_s):
            body = _body(model, prompt(number, int(workload.prompt_tokens[number])), workload, number)
            await asyncio.sleep(max(0.0, began + float(at_s) - time.monotonic()))
            answer = Answer(time.monotonic() - began)
            answers.append(answer)
            group.create_task(_ask(session, body, answer, began))
            if number % 100 == 0:
                tell(f"second {at_s:.0f}: {number} of {len(workload.arrival_s)} requests sent")
    return answers


def _body(model: str, text: str, workload: Workload, number: int) -> dict[str, object]:
    return {
        "model": model,
        "messages": [{"role": "user", "content": text}],
        "max_tokens": int(workload.output_tokens[number]),
        "temperature": 0,
        "stream": True,
    }


async def _ask(session: aiohttp.ClientSession, body: dict[str, object], answer: Answer, began: float) -> None:
    try:
        async with session.post(CHAT_COMPLETIONS_PATH, json=body) as response:
            if response.status != HTTPStatus.OK:
                known = response.status in {429, 503} and "Retry-After" in response.headers
                answer.fate = Fate.REFUSED if known else Fate.LOST
                answer.detail = f"HTTP {response.status}: {(await response.text())[:200]}"
                return
            await _stream(response, answer, began)
    except (aiohttp.ClientError, TimeoutError) as error:
        answer.detail = f"{type(error).__name__}: {error}"


async def _stream(response: aiohttp.ClientResponse, answer: Answer, began: float) -> None:
    seen = b""
    async for part in response.content.iter_any():
        seen += part
        if answer.first_text_s is None and _has_text(seen):
            answer.first_text_s = time.monotonic() - began
        seen = seen[-_TAIL_BYTES:]
    whole = _DONE in seen and any(end in seen for end in _ENDS)
    answer.fate = Fate.ANSWERED if whole else Fate.LOST
    answer.detail = "" if whole else f"the stream ended with {seen[-200:]!r}"
    answer.finish_s = time.monotonic() - began if whole else None


def _has_text(seen: bytes) -> bool:
    """Whether there is a piece of text that is not empty: the first event holds the role alone."""
    return seen.count(_TEXT) > seen.count(_TEXT + b'"')
