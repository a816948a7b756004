"""Section tight_memory: a server near the end of the memory serves 64 requests, or refuses to start with exit code 69.

It must never die after it was ready.
"""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from chatscale_contract.server.exit_codes import ExitCode
from tests.benchmarks.gpu.prompts import requests
from tests.benchmarks.gpu.results import Bench
from tests.benchmarks.gpu.server import ServerEndedError, environment, running

GIB = 2**30
CASE_S = 45.0
"""Estimate for one start of the large model and its requests."""


def tight_memory(bench: Bench) -> None:
    """Run all cases that the time allows."""
    slots = {"MAX_CONCURRENCY": bench.sizes.slots, "MAX_MODEL_LEN": bench.sizes.slot_tokens}
    if bench.device != "cuda":
        _case(bench, "1b", "memory limit of 1 MiB", None, MEMORY_LIMIT_BYTES=2**20)
        return
    if (bench.folder / "8b").exists():
        _case(bench, "8b", "defaults, whole card", None)
    _case(bench, "1b", "defaults, weights + 1.5 GiB free", 1.5)
    for free_gib in (1.5, 4.0):
        what = f"{bench.sizes.slots} slots of {bench.sizes.slot_tokens} tokens, weights + {free_gib:g} GiB free"
        _case(bench, "1b", what, free_gib, **slots)


def _case(bench: Bench, model: str, what: str, free_gib: float | None, **settings: object) -> None:
    """free_gib: free memory beside the weights; None leaves the whole card."""
    if bench.left_s < CASE_S:
        bench.add("tight_memory", case=what, model=model, skipped=f"{bench.left_s:.0f} s are left")
        return
    dtype = "float32" if bench.small else "bfloat16"
    env = environment(bench.folder / model, bench.device, dtype, **settings)
    try:
        with _held(bench, model, free_gib), running(env) as server:
            problems = _crowd(bench, model, server.port)
            code = server.process.poll()
            alive = code is None and not _crowd(bench, model, server.port, count=1)
            capacity = {"slots": server.metrics().get("inference_slots", 0)} if alive else {}
            bench.add(
                "tight_memory", case=what, model=model, outcome="served" if alive else f"died with code {code}",
                kept=alive and not problems, ready_s=server.ready_s, requests=bench.sizes.tight_requests,
                failed=len(problems), first_problem=problems[0] if problems else "", **capacity,
            )  # fmt: skip
            if not alive:
                print(server.log()[-3000:], flush=True)
    except ServerEndedError as error:
        bench.add(
            "tight_memory", case=what, model=model, outcome=f"refused with code {error.code}",
            kept=error.code == ExitCode.MODEL_TOO_LARGE, reason=str(error)[:400],
        )  # fmt: skip


def _crowd(bench: Bench, model: str, port: int, count: int | None = None) -> list[str]:
    """Problems of a crowd that comes at once: mixed prompts, one of them long if the model has its full context."""
    sizes, shape = bench.sizes, bench.shape(model)
    count = count or sizes.tight_requests
    bodies = requests(f"tight {count}", shape.vocab, count, 1, sizes.mixed, sizes.answer)
    if model == "8b" and count > 1:
        bodies[0] = requests("long", shape.vocab, 1, 1, (sizes.long_prompt,) * 2, sizes.answer)[0]
    return [answer.problem for answer in bench.clients.run(port, bodies) if answer.problem]


@contextmanager
def _held(bench: Bench, model: str, free_gib: float | None) -> Iterator[None]:
    """Another process holds the memory of the device except the weights and `free_gib`."""
    if free_gib is None:
        yield
        return
    shape = bench.shape(model)
    leave = shape.decode_bytes + int(free_gib * GIB)
    command = [sys.executable, "-m", "tests.benchmarks.gpu.prepare", bench.device, "--leave-bytes", str(leave)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            line = process.stdout.readline() if process.stdout else ""
            if not line:
                raise RuntimeError("the process that holds memory ended")
            print("held:", json.loads(line), flush=True)
            yield
        finally:
            process.kill()
