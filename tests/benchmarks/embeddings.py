"""Embeddings per second of all-MiniLM-L6-v2: our server over HTTP, beside a plain loop as in sentence-transformers.

    python -m tests.benchmarks.embeddings [--rounds 5] [--threads 2]

The plain loop sorts the texts by length and computes padded batches of 32, in the same process and with the same number
of threads. Rounds alternate, so other load on the machine affects both. Prints the median of each.
"""

import argparse
import asyncio
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import aiohttp
import torch
from transformers import AutoModel, AutoTokenizer

from chatscale_server.engine.transformers_engine import TransformersEngine
from chatscale_server.http.serve import listening
from chatscale_server.settings import Settings
from tests.unit.chatscale_server.tiny_encoders import minilm

BATCH = 32
TEXTS = 256
WORDS = ("order", "parcel", "refund", "where", "late", "address", "the", "of", "my", "since", "Monday", "broken")


def some_texts() -> list[str]:
    """Texts of 3 to 120 words, most of them short."""
    dice = random.Random(5)
    return [" ".join(dice.choices(WORDS, k=min(120, 3 + int(dice.expovariate(1 / 25))))) for _ in range(TEXTS)]


def plain_loop(folder: Path) -> Callable[[Sequence[str]], int]:
    """Encodes texts in one call; returns their number."""
    tokenizer: Any = AutoTokenizer.from_pretrained(folder)
    network: Any = AutoModel.from_pretrained(folder, dtype=torch.float32).eval()

    def encode(texts: Sequence[str]) -> int:
        ordered = sorted(texts, key=len, reverse=True)
        for at in range(0, len(ordered), BATCH):
            batch = tokenizer(
                ordered[at : at + BATCH], padding=True, truncation=True, max_length=256, return_tensors="pt"
            )
            with torch.inference_mode():
                states = network(**batch).last_hidden_state
            mask = batch["attention_mask"][:, :, None]
            torch.nn.functional.normalize((states * mask).sum(1) / mask.sum(1), dim=1).tolist()
        return len(texts)

    return encode


async def over_http(url: str, texts: Sequence[str], inputs: int, clients: int) -> None:
    """All texts, with this many inputs per request and concurrent clients."""
    requests = [list(texts[at : at + inputs]) for at in range(0, len(texts), inputs)]
    async with aiohttp.ClientSession() as session:

        async def drain() -> None:
            while requests:
                body = {"model": "m", "input": requests.pop(), "encoding_format": "base64"}
                async with session.post(f"{url}/v1/embeddings", json=body) as response:
                    response.raise_for_status()
                    await response.read()

        async with asyncio.TaskGroup() as group:
            for _ in range(clients):
                group.create_task(drain())


async def measure(rounds: int, threads: int) -> dict[str, list[float]]:
    """Embeddings per second of each way, by round."""
    found: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = minilm(Path(name))
        settings = Settings(model_uri=f"file://{folder}", served_name="m", cpu_limit=threads, drain_delay_s=0.0)
        plain, texts = plain_loop(folder), some_texts()
        async with listening(TransformersEngine(settings), settings, host="127.0.0.1", port=0) as server:
            await server.bridge.loaded_or_failed.wait()
            url = f"http://127.0.0.1:{server.port}"
            for at in range(rounds + 1):
                ways: list[tuple[str, Any]] = [
                    ("plain loop, one call", lambda: asyncio.to_thread(plain, texts)),
                    ("server, one request of 256 inputs", lambda: over_http(url, texts, TEXTS, 1)),
                    ("server, 8 clients with 16 inputs a request", lambda: over_http(url, texts, 16, 8)),
                    ("server, 32 clients with one input a request", lambda: over_http(url, texts, 1, 32)),
                ]
                for way, run in ways:
                    began_s = time.perf_counter()
                    await run()
                    if at:  # the first round warms up
                        found.setdefault(way, []).append(TEXTS / (time.perf_counter() - began_s))
    return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    for way, rates in asyncio.run(measure(options.rounds, options.threads)).items():
        print(f"{way}: {statistics.median(rates):.0f} embeddings/s ({min(rates):.0f} to {max(rates):.0f})")


if __name__ == "__main__":
    main()
