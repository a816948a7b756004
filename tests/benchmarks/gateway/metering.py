"""Usage by key, with cancels: the gateway's metrics and its log beside what the replica counted."""

import asyncio
import json
import tempfile
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import aiohttp
from prometheus_client.parser import text_string_to_metric_families

from tests.benchmarks.gateway.client import session
from tests.benchmarks.gateway.gateway import KEYS, LOG
from tests.benchmarks.gateway.processes import free_port, module, running
from tests.benchmarks.gateway.wire import CHAT, GOOD_KEY, RUNNING_PATH, USAGE_PATH, Plan, body

REQUESTS: Final = 1200
CLIENTS: Final = 20
CANCELLED_SHARE: Final = 4
"""Every fourth stream is cancelled, at different times."""
_PLAN: Final = Plan(tokens=40, every_s=0.02)
_CANCEL_S: Final = (0.1, 0.2, 0.3, 0.5)
_POLL_S: Final = 0.1


@dataclass(frozen=True, slots=True)
class Metering:
    """Tokens of prompts and answers, of the same requests."""

    requests: int
    cancelled: int
    replica_tokens: int
    metric_tokens: int
    """`gateway_tokens_total` of the key."""
    log_tokens: int
    """Sum of the key's lines in the access log."""

    @property
    def largest_error(self) -> float:
        """Of metrics and log, as a share of the replica's count."""
        found = (self.metric_tokens, self.log_tokens)
        return max(abs(tokens - self.replica_tokens) for tokens in found) / self.replica_tokens


async def measure_metering() -> Metering:
    """One gateway and one replica. Three of four requests are streams."""
    async with AsyncExitStack() as stack:
        log = Path(stack.enter_context(tempfile.TemporaryDirectory())) / "log"
        port, own, admin = free_port(), free_port(), free_port()
        replica = await stack.enter_async_context(running(module("replica", port), port))
        command = module("gateway", own, admin, port)
        gateway = await stack.enter_async_context(running(command, own, {KEYS: "1", LOG: str(log)}))
        http = await stack.enter_async_context(session())
        numbers = iter(range(REQUESTS))
        cancelled = 0

        async def client() -> None:
            nonlocal cancelled
            for number in numbers:
                streamed = number % 4 > 0
                cancel_s = _CANCEL_S[number // 4 % len(_CANCEL_S)] if number % CANCELLED_SHARE == 1 else None
                try:
                    async with asyncio.timeout(cancel_s):
                        await _post(http, gateway.url, body(_PLAN, streamed=streamed))
                except TimeoutError:
                    cancelled += 1

        async with asyncio.TaskGroup() as group:
            for _ in range(CLIENTS):
                group.create_task(client())
        while await _json(http, replica.url + RUNNING_PATH) or (lines := _lines(log)) is None:  # noqa: ASYNC110
            await asyncio.sleep(_POLL_S)
        counted = await _json(http, replica.url + USAGE_PATH)
        async with http.get(f"http://127.0.0.1:{admin}/metrics") as response:
            metric = _metric_tokens(await response.text())
    logged = sum((line["prompt_tokens"] or 0) + (line["generated_tokens"] or 0) for line in lines)
    return Metering(REQUESTS, cancelled, int(counted), metric, logged)


async def _post(http: aiohttp.ClientSession, url: str, payload: bytes) -> None:
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {GOOD_KEY}"}
    async with http.post(url + CHAT, data=payload, headers=headers) as response:
        response.raise_for_status()
        await response.read()


async def _json(http: aiohttp.ClientSession, url: str) -> int:
    async with http.get(url) as response:
        return int(await response.json())


def _lines(path: Path) -> list[dict[str, int | None]] | None:
    """The key's lines; None until all requests have one."""
    found = [json.loads(line) for line in path.read_text().splitlines()]
    mine = [line for line in found if line["key"].endswith(GOOD_KEY)]
    return mine if len(mine) == REQUESTS else None


def _metric_tokens(text: str) -> int:
    samples = (each for family in text_string_to_metric_families(text) for each in family.samples)
    return round(
        sum(
            each.value
            for each in samples
            if each.name == "gateway_tokens_total"
            and each.labels["key"].endswith(GOOD_KEY)
            and each.labels["direction"] != "cached"
        )
    )


if __name__ == "__main__":
    result = asyncio.run(measure_metering())
    print(f"{result}\nlargest error {result.largest_error:.2%}")
