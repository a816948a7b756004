"""Customers: open-loop chat traffic against one address, with an honest account of every request.

Arrivals are a seeded Poisson process whose rate is a function of time; a late answer delays nobody.
Every request opens its own connection, so that a Service spreads them over replicas.
"""

import asyncio
import json
import random
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from http import HTTPStatus

import aiohttp
from typing_extensions import override

from chatscale_contract.server.endpoints import CHAT_COMPLETIONS_PATH
from hack.keys import bearer


class Fate(StrEnum):
    """What became of a request."""

    ANSWERED = "answered"
    """A whole stream: a finish reason and `[DONE]`."""
    REFUSED = "refused"
    """429 or 503 with Retry-After: the client knows to come back."""
    LOST = "lost"
    """Anything else: cut stream, connection error, other status, no answer in time."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """One request."""

    fate: Fate
    detail: str
    sent_at_s: float
    """Seconds since the load began."""
    ttft_s: float | None = None
    duration_s: float = 0.0


@dataclass(slots=True)
class LoadReport:
    """All requests of one load."""

    outcomes: list[Outcome] = field(default_factory=list)

    def count(self, fate: Fate) -> int:
        """How many requests met this fate."""
        return sum(outcome.fate is fate for outcome in self.outcomes)

    def percentile_ttft_s(self, percent: float) -> float | None:
        """Time to first token of the answered requests, seconds."""
        times = sorted(o.ttft_s for o in self.outcomes if o.fate is Fate.ANSWERED and o.ttft_s is not None)
        return times[min(len(times) - 1, int(len(times) * percent / 100))] if times else None

    @override
    def __str__(self) -> str:
        """One line for a person; losses are spelled out."""
        counts = {fate: self.count(fate) for fate in Fate}
        line = f"{len(self.outcomes)} sent, " + ", ".join(f"{n} {fate}" for fate, n in counts.items())
        losses = Counter(o.detail for o in self.outcomes if o.fate is Fate.LOST)
        return line + (f" ({'; '.join(f'{n}x {detail}' for detail, n in losses.most_common(3))})" if losses else "")


RATE_STEP_S = 1.0
"""A change of the rate is noticed within this time."""

QUESTIONS = (
    "My order arrived damaged. What should I do?",
    "Where is my parcel? I ordered five days ago.",
    "Can I return shoes that I wore once?",
    "Does this jacket run small or large?",
    "I was charged twice for one order, please help.",
    "Is the discount valid together with a voucher?",
)


async def ask(
    session: aiohttp.ClientSession,
    base_url: str,
    model: str,
    question: str,
    max_tokens: int,
    on_text: Callable[[str], None] | None = None,
    *,
    key: str | None = None,
) -> tuple[Fate, str, float | None]:
    """One streamed chat request: its fate, why, and the time to its first text in seconds."""
    body = {
        "model": model,
        "messages": [{"role": "user", "content": question}],
        "max_tokens": max_tokens,
        "temperature": 0,
        "stream": True,
    }
    began, ttft_s, finish_reason, done = time.monotonic(), None, None, False
    async with session.post(base_url + CHAT_COMPLETIONS_PATH, json=body, headers=bearer(key)) as response:
        if response.status != HTTPStatus.OK:
            text = (await response.text())[:200]
            known = response.status in {429, 503} and "Retry-After" in response.headers
            return (Fate.REFUSED if known else Fate.LOST), f"HTTP {response.status}: {text}", None
        async for raw in response.content:
            line = raw.decode().strip()
            if not line.startswith("data: "):
                continue
            if line == "data: [DONE]":
                done = True
                break
            chunk = json.loads(line.removeprefix("data: "))
            if "error" in chunk:
                return Fate.LOST, f"error in stream: {chunk['error'].get('message')}", ttft_s
            for choice in chunk["choices"]:
                finish_reason = choice.get("finish_reason") or finish_reason
                if text := choice["delta"].get("content"):
                    ttft_s = ttft_s if ttft_s is not None else time.monotonic() - began
                    if on_text:
                        on_text(text)
    whole = done and finish_reason in {"stop", "length"}
    return (Fate.ANSWERED if whole else Fate.LOST), f"finish_reason {finish_reason}, done {done}", ttft_s


async def run_load(
    base_url: str,
    model: str,
    *,
    rate_per_s: Callable[[float], float],
    duration_s: float,
    max_tokens: int,
    seed: int = 1,
    request_timeout_s: float = 180,
    enough: Callable[[], bool] = lambda: False,
    key: Callable[[], str] | None = None,
) -> LoadReport:
    """Send requests at `rate_per_s(seconds since start)`, then wait for every one of them.

    No request is sent after `duration_s`, nor once `enough()` is true. key: returns the API key of the next request.
    """
    dice = random.Random(seed)
    report = LoadReport()
    began = time.monotonic()
    connector = aiohttp.TCPConnector(force_close=True, limit=0)
    timeout = aiohttp.ClientTimeout(total=request_timeout_s)

    async def customer(sent_at_s: float) -> None:
        try:
            question, sent_key = dice.choice(QUESTIONS), None if key is None else key()
            fate, detail, ttft_s = await ask(session, base_url, model, question, max_tokens, key=sent_key)
        except (aiohttp.ClientError, TimeoutError, json.JSONDecodeError, UnicodeDecodeError) as error:
            fate, detail, ttft_s = Fate.LOST, f"{type(error).__name__}: {error}", None
        duration_s = time.monotonic() - began - sent_at_s
        report.outcomes.append(Outcome(fate, detail, sent_at_s, ttft_s, duration_s))

    async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session, asyncio.TaskGroup() as group:
        at_s = 0.0
        while True:
            gap_s = dice.expovariate(max(rate_per_s(at_s), 1e-3))
            if gap_s > RATE_STEP_S and at_s <= duration_s:
                # The process has no memory: going on from here without an arrival draws the gap at the new rate.
                at_s += RATE_STEP_S
                continue
            at_s += gap_s
            if at_s > duration_s:
                break
            await asyncio.sleep(max(0.0, began + at_s - time.monotonic()))
            if enough():
                break
            group.create_task(customer(at_s))
    return report
