"""The customer: streams answers and takes the times that a customer would notice. Counts tokens by `usage`."""

import asyncio
import itertools
import json
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus

import aiohttp

from chatscale_contract.server.endpoints import CHAT_COMPLETIONS_PATH
from tests.benchmarks.server.workload import Ask, Cell

REQUEST_TIMEOUT_S = 600


@dataclass(frozen=True, slots=True)
class Answer:
    """One whole stream."""

    ttft_s: float
    """To the first text."""
    duration_s: float
    gaps_s: tuple[float, ...]
    """Between two chunks with text."""
    tokens: int


@dataclass(frozen=True, slots=True)
class Figures:
    """One cell of one peer in one round. NaN where a peer has no such figure."""

    tokens_per_s: float = math.nan
    ttft_p50_s: float = math.nan
    ttft_p95_s: float = math.nan
    gap_p95_s: float = math.nan
    duration_p95_s: float = math.nan


class BadAnswerError(Exception):
    """The peer did not answer as it should; the message says how."""


def percentile(values: Sequence[float], percent: float) -> float:
    """Nearest rank; NaN without values."""
    if not values:
        return math.nan
    return sorted(values)[max(0, math.ceil(len(values) * percent / 100) - 1)]


def figures(answers: Sequence[Answer], elapsed_s: float) -> Figures:
    """What a cell comes to."""
    return Figures(
        tokens_per_s=sum(answer.tokens for answer in answers) / elapsed_s,
        ttft_p50_s=percentile([answer.ttft_s for answer in answers], 50),
        ttft_p95_s=percentile([answer.ttft_s for answer in answers], 95),
        gap_p95_s=percentile([gap for answer in answers for gap in answer.gaps_s], 95),
        duration_p95_s=percentile([answer.duration_s for answer in answers], 95),
    )


def session(base_url: str) -> aiohttp.ClientSession:
    """As many connections as are asked for, kept alive."""
    return aiohttp.ClientSession(
        base_url, connector=aiohttp.TCPConnector(limit=0), timeout=aiohttp.ClientTimeout(total=REQUEST_TIMEOUT_S)
    )


async def ask(http: aiohttp.ClientSession, model: str, asked: Ask) -> Answer:
    """One greedy streamed chat. Raises BadAnswerError."""
    system = [{"role": "system", "content": asked.system}] if asked.system else []
    body = {
        "model": model, "messages": [*system, {"role": "user", "content": asked.prompt}],
        "max_tokens": asked.max_tokens, "temperature": 0, "stream": True, "stream_options": {"include_usage": True},
    }  # fmt: skip
    began_s = time.perf_counter()
    times: list[float] = []
    tokens, finish = 0, None
    async with http.post(CHAT_COMPLETIONS_PATH, json=body) as response:
        if response.status != HTTPStatus.OK:
            raise BadAnswerError(f"HTTP {response.status}: {(await response.text())[:300]}")
        async for line in response.content:
            if not line.startswith(b"data: {"):
                continue
            chunk = json.loads(line[6:])
            if "error" in chunk:
                raise BadAnswerError(f"error in the stream: {chunk['error']}")
            for choice in chunk["choices"]:
                finish = choice.get("finish_reason") or finish
                if choice["delta"].get("content"):
                    times.append(time.perf_counter())
            tokens = (chunk.get("usage") or {}).get("completion_tokens", tokens)
    if not times or not tokens or finish not in {"stop", "length"}:
        raise BadAnswerError(f"not a whole stream: {len(times)} chunks, {tokens} tokens, finish reason {finish}")
    gaps = tuple(later - earlier for earlier, later in itertools.pairwise(times))
    return Answer(times[0] - began_s, time.perf_counter() - began_s, gaps, tokens)


async def measure(base_url: str, model: str, cell: Cell) -> Figures:
    """Run one cell against a peer that is warm."""
    async with session(base_url) as http:
        began_s = time.perf_counter()
        answers = await (_closed(http, model, cell, cell.clients) if cell.clients else _open(http, model, cell))
        return figures(answers, time.perf_counter() - began_s)


async def _closed(http: aiohttp.ClientSession, model: str, cell: Cell, clients: int) -> list[Answer]:
    line, answers = iter(cell.asks), []

    async def customer() -> None:
        for asked in line:
            answer = await ask(http, model, asked)
            answers.append(answer)

    async with asyncio.TaskGroup() as group:
        for _ in range(clients):
            group.create_task(customer())
    return answers


async def _open(http: aiohttp.ClientSession, model: str, cell: Cell) -> list[Answer]:
    async def customer(asked: Ask) -> Answer:
        await asyncio.sleep(asked.at_s)
        return await ask(http, model, asked)

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(customer(asked)) for asked in cell.asks]
    return [task.result() for task in tasks]
