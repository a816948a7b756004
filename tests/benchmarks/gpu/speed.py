"""Sections that share one server of one model: first_crowd, 8b or 1b, prefill, mixed, sampled, drain, and start."""

import time
from collections.abc import Collection
from pathlib import Path
from typing import Any

from tests.benchmarks.gpu.prompts import requests
from tests.benchmarks.gpu.results import Bench, figures, percentile
from tests.benchmarks.gpu.server import DRAIN_DELAY_S, Server, environment, running
from tests.benchmarks.gpu.shapes import Shape

SAMPLING = {"temperature": 0.8, "top_p": 0.95}
WITHDRAWN_AFTER = 0.8
"""Of the drain delay: then no new request comes, as when a Service's endpoints have been withdrawn."""
DRAIN_AFTER_S = 1.0
"""Load before SIGTERM."""
LOOP_S = 40.0
"""Estimate of the closed loops; a section is left out if the time does not suffice."""
ONE_S = 12.0


def measure_model(bench: Bench, name: str, sections: Collection[str]) -> None:
    """Start the server of a model, and run those of its sections that are selected."""
    shape = bench.shape(name)
    with running(_settings(bench, bench.folder / name)) as server:
        _record_start(bench, name, server)
        if "first_crowd" in sections:
            _first_crowd(bench, shape, server)
        if name in sections:
            _decode_steps(bench, shape, server)
            _loops(bench, shape, server)
        others = {"prefill": _prefill, "mixed": _mixed, "sampled": _sampled}
        for section, measure in others.items():
            if section in sections and _has_time(bench, section, ONE_S):
                measure(bench, shape, server)
        if "drain" in sections and _has_time(bench, "drain", ONE_S):
            _drain(bench, shape, server)


def _settings(bench: Bench, folder: Path) -> dict[str, str]:
    sizes = bench.sizes
    dtype = "float32" if bench.small else "bfloat16"
    return environment(
        folder, bench.device, dtype, MAX_MODEL_LEN=sizes.slot_tokens, MAX_CONCURRENCY=sizes.slots
    )  # fmt: skip


def _has_time(bench: Bench, section: str, needed_s: float) -> bool:
    if bench.left_s >= needed_s:
        return True
    bench.add(section, skipped=f"{bench.left_s:.0f} s are left")
    return False


def _record_start(bench: Bench, name: str, server: Server) -> None:
    bench.found["attention"] = server.attention() or bench.found.get("attention", "")
    graphs = [event for event in server.events() if "graphs" in str(event.get("event", ""))]
    bench.found.setdefault("graphs", {})[name] = [
        {key: value for key, value in event.items() if key not in {"time", "level", "logger"}} for event in graphs
    ]
    phases = {phase: round(seconds, 2) for phase, seconds in server.phases_s.items()}
    bench.add("start", model=name, ready_s=server.ready_s, **phases)


def _run(bench: Bench, server: Server, bodies: list[list[dict[str, Any]]]) -> dict[str, Any]:
    row = figures(bench.clients.run(server.port, bodies))
    return {**row, "share_of_client_core": bench.clients.busiest}


def _bodies(
    bench: Bench, shape: Shape, seed: str, clients: int, turns: int, **fields: Any
) -> list[list[dict[str, Any]]]:
    sizes = bench.sizes
    return requests(f"{shape.name} {seed}", shape.vocab, clients, turns, (sizes.prompt,) * 2, sizes.answer, **fields)


def _first_crowd(bench: Bench, shape: Shape, server: Server) -> None:
    crowds = [_run(bench, server, _bodies(bench, shape, f"crowd {at}", bench.sizes.crowd, 1)) for at in range(2)]
    if any("failed" in crowd for crowd in crowds):
        bench.add("first_crowd", model=shape.name, failed=[crowd.get("first_problem", "") for crowd in crowds])
        return
    first, second = (crowd["ttft_p95_ms"] for crowd in crowds)
    bench.add(
        "first_crowd", model=shape.name, clients=bench.sizes.crowd, first_ttft_p95_ms=first, next_ttft_p95_ms=second,
        ratio=first / second, first_gap_p95_ms=crowds[0]["gap_p95_ms"], next_gap_p95_ms=crowds[1]["gap_p95_ms"],
    )  # fmt: skip


def _decode_steps(bench: Bench, shape: Shape, server: Server) -> None:
    """What the server measured in its warm-up, without HTTP."""
    prefix = "inference_decode_step_seconds{batch_size="
    for name, step_s in server.metrics().items():
        if name.startswith(prefix) and step_s > 0:
            rows = int(name.removeprefix(prefix).rstrip("}"))
            share = bench.limits.step_s(shape, rows, 1) / step_s
            bench.add("decode_step", model=shape.name, rows=rows, step_ms=1000 * step_s, share_of_limit=share)


def _loops(bench: Bench, shape: Shape, server: Server) -> None:
    sizes = bench.sizes
    for clients in sizes.clients:
        if not _has_time(bench, shape.name, ONE_S):
            return
        turns = sizes.turns_alone if clients == 1 else sizes.turns if shape.name == "8b" else sizes.turns_1b
        row = _run(bench, server, _bodies(bench, shape, f"loop {clients}", clients, turns))
        limit = bench.limits.loop_tokens_per_s(shape, clients, sizes.prompt, sizes.answer)
        share = row.get("tokens_per_s", 0.0) / limit
        bench.add(shape.name, clients=clients, limit_tokens_per_s=limit, share_of_limit=share, **row)


def _prefill(bench: Bench, shape: Shape, server: Server) -> None:
    """One prompt at a time, one token of answer.

    The engine's time is from the slot to the first token, by the server's own histogram: the mean of all turns but
    the first.
    """
    name = "inference_prefill_time_seconds"
    for length in bench.sizes.prefills:
        seed = f"{shape.name} prefill {length}"
        first, *others = requests(seed, shape.vocab, bench.sizes.prefill_turns, 1, (length, length), 1)
        _run(bench, server, [first])
        before = server.metrics()
        row = _run(bench, server, [[body for bodies in others for body in bodies]])
        after = server.metrics()
        count = after[name + "_count"] - before[name + "_count"]
        engine_s = (after[name + "_sum"] - before[name + "_sum"]) / max(count, 1)
        limit_s = bench.limits.prefill_s(shape, length)
        bench.add(
            "prefill", model=shape.name, tokens=length, ttft_p50_ms=row.get("ttft_p50_ms"), engine_ms=1000 * engine_s,
            limit_ms=1000 * limit_s, share_of_limit=limit_s / engine_s if engine_s else 0.0,
        )  # fmt: skip


def _mixed(bench: Bench, shape: Shape, server: Server) -> None:
    sizes = bench.sizes
    bodies = requests(f"{shape.name} mixed", shape.vocab, sizes.crowd, sizes.turns, sizes.mixed, sizes.answer)
    bench.add("mixed", model=shape.name, clients=sizes.crowd, **_run(bench, server, bodies))


def _sampled(bench: Bench, shape: Shape, server: Server) -> None:
    for clients in bench.sizes.sampled:
        bodies = _bodies(bench, shape, f"sampled {clients}", clients, bench.sizes.turns, **SAMPLING)
        bench.add("sampled", model=shape.name, clients=clients, **_run(bench, server, bodies))


def _drain(bench: Bench, shape: Shape, server: Server) -> None:
    """SIGTERM under load: every request that was sent before the endpoint was withdrawn has a whole answer."""
    clients = max(bench.sizes.clients)
    signal_s = time.monotonic() + DRAIN_AFTER_S
    bodies = _bodies(bench, shape, "drain", clients, 50)
    bench.clients.begin(server.port, bodies, until_s=signal_s + WITHDRAWN_AFTER * DRAIN_DELAY_S)
    time.sleep(max(0.0, signal_s - time.monotonic()))
    began_s = time.monotonic()
    code = server.terminate()
    exit_s = time.monotonic() - began_s
    answers = bench.clients.results()
    lost = [answer.problem for answer in answers if answer.problem]
    caught = sum(answer.sent_s < began_s < answer.last_s for answer in answers)
    bench.add(
        "drain", model=shape.name, requests=len(answers), open_at_sigterm=caught, lost=len(lost),
        first_problem=lost[0] if lost else "", exit_code=code, exit_s=exit_s,
        answer_p95_s=percentile([answer.last_s - answer.sent_s for answer in answers], 95),
    )  # fmt: skip
