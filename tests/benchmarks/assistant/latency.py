"""Own latency of the assistant without the model, at a fixed rate of questions.

    python -m tests.benchmarks.assistant.latency [--rate 30] [--seconds 60] [--cache FOLDER]

Starts one pod's process over tau2's catalogue and policy with the real index and encoders, and sends the development
questions of the evaluation in three languages. Arrivals are Poisson and do not wait for answers (open loop), so a slow
answer does not reduce the load. A latency is measured from the time at which the question was due.
"""

import argparse
import asyncio
import json
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import aiohttp
import yaml

from chatscale_assistant.evaluation import questions
from chatscale_assistant.index.configured import CACHE_FILE
from hack.paths import ROOT
from tests.benchmarks.assistant.shop_folder import write_shop

START_TIMEOUT_S = 900.0


def development_questions() -> list[str]:
    """Questions about products and policy, and unanswerable ones, in three languages."""
    folder = Path(next(iter(questions.__path__)))
    files = [
        folder / f"{kind}.{language}.yaml"
        for kind in ("products", "policy", "unanswerable")
        for language in ("en", "zh", "fr")
    ]
    return [
        entry["text"]
        for file in files
        for entry in yaml.safe_load(file.read_text(encoding="utf-8"))
        if entry["split"] == "dev"
    ]


async def measure(url: str, texts: Sequence[str], rate: float, seconds: float) -> tuple[list[float], Counter[str]]:
    """Latencies in seconds, and answers by rung or HTTP status."""
    dice = random.Random(7)
    latencies: list[float] = []
    outcomes: Counter[str] = Counter()
    loop = asyncio.get_running_loop()

    async def one(session: aiohttp.ClientSession, text: str, due: float) -> None:
        body = {"model": "shop", "messages": [{"role": "user", "content": text}]}
        async with session.post(f"{url}/v1/chat/completions", json=body) as response:
            found = json.loads(await response.read())
        latencies.append(loop.time() - due)
        outcomes[found["chatscale"]["rung"] if response.status == 200 else str(response.status)] += 1

    async with (
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session,
        asyncio.TaskGroup() as group,
    ):
        due, end = loop.time(), loop.time() + seconds
        while due < end:
            await asyncio.sleep(max(0.0, due - loop.time()))
            group.create_task(one(session, dice.choice(texts), due))
            due += dice.expovariate(rate)
    return latencies, outcomes


async def wait_until_ready(url: str, is_complete: Callable[[], bool]) -> float:
    """Seconds until the pod is ready and all passages are embedded."""
    started = time.monotonic()
    async with aiohttp.ClientSession() as session:
        while time.monotonic() - started < START_TIMEOUT_S:
            try:
                async with session.get(f"{url}/readyz") as response:
                    if response.status == 200 and is_complete():
                        return time.monotonic() - started
            except aiohttp.ClientError:
                pass
            await asyncio.sleep(0.5)
    raise TimeoutError(f"not ready within {START_TIMEOUT_S:g} s")


def cpu_seconds(pid: int) -> float:
    """Of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def run(url: str, pid: int, is_complete: Callable[[], bool], rate: float, seconds: float) -> None:
    """Measure and print."""
    print(f"ready after {await wait_until_ready(url, is_complete):.1f} s")
    texts = development_questions()
    await measure(url, texts, 5, 5)
    before = cpu_seconds(pid)
    latencies, outcomes = await measure(url, texts, rate, seconds)
    used = cpu_seconds(pid) - before
    cuts = statistics.quantiles(latencies, n=100)
    print(f"{len(latencies)} questions of {len(texts)} different ones at {rate:g}/s: {dict(outcomes)}")
    print(f"CPU {used / len(latencies) * 1000:.1f} ms per question, {used / seconds:.2f} cores")
    print(f"p50 {cuts[49] * 1000:.0f} ms, p90 {cuts[89] * 1000:.0f} ms, p99 {cuts[98] * 1000:.0f} ms, "
          f"max {max(latencies) * 1000:.0f} ms")  # fmt: skip


def main() -> None:
    """Run one measurement."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.assistant.latency", description=__doc__)
    parser.add_argument("--rate", type=float, default=30.0, help="questions per second")
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--cache", type=Path, help="folder that keeps the embeddings between runs")
    parser.add_argument("--port", type=int, default=18_000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        variables = write_shop(Path(folder))
        variables["CHATSCALE_ASSISTANT_PORT"] = str(options.port)
        log, vectors = Path(folder) / "log", Path(folder) / "index" / CACHE_FILE
        kept = options.cache / CACHE_FILE if options.cache else None
        if kept is not None and kept.exists():
            shutil.copy(kept, vectors)
        with log.open("w") as file:
            process = subprocess.Popen(
                [sys.executable, "-m", "chatscale_assistant"],
                env={**os.environ, **variables}, stdout=file, stderr=file, cwd=ROOT,
            )  # fmt: skip

        def is_complete() -> bool:
            return '"complete": true' in log.read_text()

        try:
            asyncio.run(
                run(f"http://127.0.0.1:{options.port}", process.pid, is_complete, options.rate, options.seconds)
            )
        finally:
            process.terminate()
            process.wait(timeout=60)
            if kept is not None:
                kept.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(vectors, kept)
            print(*log.read_text().splitlines()[-3:], sep="\n")


if __name__ == "__main__":
    main()
