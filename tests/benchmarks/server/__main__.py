"""`python -m tests.benchmarks.server`: our server beside its peers, and docs/benchmarks/server*.md.

A full run takes at most `--minutes` of an otherwise idle machine, by leaving out rounds if it must, and then about 20
for the comparison with vLLM. That has a page of its own and is all that `--peers vllm` measures. `--quick` takes two,
proves that everything works, and writes nothing without --output. `--device cuda` runs all peers on a GPU.
"""

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from chatscale_server.engine.loading import pick_dtype
from chatscale_server.settings import Dtype
from hack.paths import ROOT, cache_dir
from inference_server.convert_gguf import ensure_converted
from tests.benchmarks.server import machine, report
from tests.benchmarks.server.client import Figures, measure
from tests.benchmarks.server.drains import drains
from tests.benchmarks.server.http_cost import http_costs
from tests.benchmarks.server.overload import refusals
from tests.benchmarks.server.peers import (
    COMMON_ENV,
    CONTEXT_TOKENS,
    SLOTS,
    Peer,
    chatscale,
    running,
    simulated,
    transformers_serve,
)
from tests.benchmarks.server.prefixes import reuse
from tests.benchmarks.server.vllm import compare, ensure_installed, vllm_peer
from tests.benchmarks.server.workload import Cell, closed_loop, mixed_loop, poisson, system_prompts

PAGES = {"cpu": ROOT / "docs" / "benchmarks" / "server.md", "cuda": ROOT / "docs" / "benchmarks" / "server-cuda.md"}
VLLM_PAGE = ROOT / "docs" / "benchmarks" / "server-vllm.md"
SUBPROCESS_TIMEOUT_S = 900
DRAIN_DELAY_S = 1.0
DRAIN_S = 5.0
"""Of one drain, start and load included; what is kept for them of the whole time."""
VLLM = "vllm"
PEERS = ("chatscale", "serve", "bare", "generate", VLLM)
VLLM_DTYPES = (Dtype.FLOAT32, Dtype.BFLOAT16)
"""Number formats of the comparison with vLLM; bfloat16 only where the CPU has instructions for it."""
GRAPHS = "decode graphs"
"""What the server's log calls them."""


@dataclass(frozen=True, slots=True)
class Size:
    """How much is measured in one round."""

    tokens: int
    """Of an answer in a closed loop."""
    alone: int
    """Requests of the single client."""
    turns: int
    """Requests per client of the busy closed loops."""
    arrivals: int
    refusals: int
    system_prompts: int
    """Chats behind a system prompt, of each kind."""


FULL = Size(tokens=64, alone=4, turns=2, arrivals=32, refusals=150, system_prompts=32)
QUICK = Size(tokens=16, alone=2, turns=1, arrivals=8, refusals=30, system_prompts=16)


def main() -> int:
    """Run the benchmark; 0 if every promise that was measured is kept."""
    options = _options()
    size = QUICK if options.quick else FULL
    size = replace(size, tokens=options.answer_tokens or size.tokens)
    began_s = time.monotonic()
    # First, since it is the code as it stands now that is measured.
    described = machine.describe(options.device)
    machine.compile_bytecode()
    results = report.Results()
    model = options.model or ensure_converted(cache_dir() / "models" / "SmolLM2-135M-Instruct")
    number, longest_s = 0, 0.0
    while options.peers and number < options.rounds:
        left_s = began_s + 60 * options.minutes - options.drains * DRAIN_S - time.monotonic()
        if number and left_s < longest_s:
            _tell(f"{number} rounds: another would take longer than {options.minutes:g} minutes in all")
            break
        round_began_s = time.monotonic()
        asyncio.run(_round(results, number, model, options, size))
        number, longest_s = number + 1, max(longest_s, time.monotonic() - round_began_s)
    if options.drains:
        asyncio.run(_drains(results, options, model))
    kept = True
    if options.peers:
        text = report.page(results, described, _conditions(options, size, number, began_s))
        kept = _publish(text, options.output, report.targets(results))
    if options.vllm:
        compared_s = time.monotonic()
        _beside_vllm(results, model, options, size)
        text = report.vllm_page(results, described, _vllm_conditions(options, size, compared_s))
        kept = _publish(text, options.vllm_output, report.vllm_targets(results)) and kept
    return 0 if kept else 1


def _publish(text: str, output: Path | None, targets: Sequence[report.Target]) -> bool:
    """Print the page and write it to `output`, if there is one. True if every target is kept."""
    print(text)
    if output:
        output.parent.mkdir(parents=True, exist_ok=True)
        output.write_text(text)
    return all(target.kept for target in targets)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.server", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one short round; proves nothing about speed")
    parser.add_argument("--rounds", type=int, help="5 unless --quick")
    parser.add_argument(
        "--answer-tokens", type=int, help="of a closed loop; 64 unless --quick, fewer suit a slow machine"
    )
    parser.add_argument("--minutes", type=float, default=32.0, help="no round begins that would end later")
    parser.add_argument("--device", choices=list(PAGES), default="cpu", help="where every peer runs its model")
    parser.add_argument("--drains", type=int, help="50 unless --quick, then 2; 0 leaves them out")
    parser.add_argument("--drain-engine", choices=["Simulated", "Transformers"], default="Simulated")
    parser.add_argument("--peers", help=f"comma-separated, of {', '.join(PEERS)}; default all, without vllm if --quick")
    parser.add_argument("--vllm-rounds", type=int, help="4 unless --quick")
    parser.add_argument("--vllm-dtypes", default=",".join(VLLM_DTYPES), help="comma-separated; default both")
    parser.add_argument("--dtype", choices=list(Dtype), default=Dtype.AUTO, help="for every peer; auto as the server")
    parser.add_argument("--rate", type=float, default=1.5, help="arrivals per second of the Poisson cell")
    parser.add_argument("--model", type=Path, help="a folder of safetensors; default SmolLM2-135M-Instruct")
    parser.add_argument("--output", type=Path, help="default docs/benchmarks/server.md unless --quick")
    parser.add_argument("--vllm-output", type=Path, help="default docs/benchmarks/server-vllm.md unless --quick")
    options = parser.parse_args()
    options.rounds = (1 if options.quick else 5) if options.rounds is None else options.rounds
    options.drains = (2 if options.quick else 50) if options.drains is None else options.drains
    options.output = options.output or (None if options.quick else PAGES[options.device])
    options.vllm_output = options.vllm_output or (None if options.quick else VLLM_PAGE)
    default = [peer for peer in PEERS if peer != VLLM or (options.device == "cpu" and not options.quick)]
    options.peers = options.peers.split(",") if options.peers else default
    if unknown := set(options.peers) - set(PEERS):
        parser.error(f"--peers: {', '.join(sorted(unknown))} are none of {', '.join(PEERS)}")
    options.vllm = VLLM in options.peers
    options.peers = [peer for peer in options.peers if peer != VLLM]
    if not options.peers:
        options.drains = 0
    options.vllm_rounds = options.vllm_rounds or (1 if options.quick else 4)
    options.dtype = str(pick_dtype(Dtype(options.dtype), torch.device(options.device))).removeprefix("torch.")
    return options


def _closed(number: int, size: Size) -> list[Cell]:
    """The plain closed loops. New prompts each round, the same for every peer of it."""
    seed = str(number)
    return [
        closed_loop(1, size.alone, size.tokens, seed),
        closed_loop(16, 16 * size.turns, size.tokens, seed),
        closed_loop(32, 32 * size.turns, size.tokens, seed),
    ]


async def _round(
    results: report.Results, number: int, model: Path, options: argparse.Namespace, size: Size
) -> None:  # fmt: skip
    alone, *crowds = _closed(number, size)
    mixed = [mixed_loop(16, 16 * size.turns, str(number)), poisson(options.rate, size.arrivals, str(number))]
    cells = [alone, *crowds, *mixed]
    ours = chatscale(model, options.dtype, options.device)
    # Who begins changes from round to round, so that no peer always has the cool processor.
    for kind in options.peers[number % len(options.peers) :] + options.peers[: number % len(options.peers)]:
        match kind:
            case "chatscale":
                await _serve(results, report.OURS, ours, cells, size, str(number))
            case "serve":
                await _serve(results, report.SERVE, transformers_serve(model, options.dtype, options.device), cells)
            case "bare":
                await _http_costs(results, ours, crowds, number)
            case "generate":
                await _generate(results, model, options, alone)
            case _:
                raise ValueError(f"--peers: expected chatscale, serve, bare or generate, found {kind!r}")
        _tell(f"round {number + 1}: {kind} done, load average {machine.load_average():.1f}")


def _beside_vllm(results: report.Results, model: Path, options: argparse.Namespace, size: Size) -> None:
    program = ensure_installed()
    for dtype in map(Dtype, options.vllm_dtypes.split(",")):
        if dtype is Dtype.BFLOAT16 and not machine.has_bfloat16():
            continue
        with tempfile.TemporaryDirectory() as cache:
            ours, vllm = chatscale(model, dtype, options.device), vllm_peer(program, model, dtype, Path(cache))
            results.vllm[dtype] = asyncio.run(
                compare(ours, vllm, options.vllm_rounds, lambda number: _closed(number, size), _tell)
            )
        _tell(f"{dtype} beside vLLM done, load average {machine.load_average():.1f}")


async def _serve(
    results: report.Results, name: str, peer: Peer, cells: Sequence[Cell], own: Size | None = None, seed: str = ""
) -> None:
    """own: how much to measure of what only our server has."""
    async with running(peer) as server:
        results.ready_s[name].append(server.ready_s)
        results.first_answer_s[name].append(server.first_answer_s)
        for cell in cells:
            found = await measure(server.base_url, peer.model, cell)
            results.cells[name, cell.name].append(found)
            _tell(f"  {name}, {cell.name}: {found.tokens_per_s:.1f} tok/s, TTFT p95 {1000 * found.ttft_p95_s:.0f} ms")
        if own:
            for cell in system_prompts(16, own.system_prompts, seed):
                results.prefixes[cell.name].append(await reuse(server, peer.model, cell))
            refused, scraped = await refusals(server, peer.model, own.refusals)
            results.refusal_p99_s.append(refused)
            results.scrape_p99_s.append(scraped)
            _tell(f"  {name}, full: refusal p99 {1000 * refused:.1f} ms, /metrics p99 {1000 * scraped:.1f} ms")
            results.graphs += _graphs(server.log())


def _graphs(log: str) -> list[str]:
    """What our server found out about CUDA graphs on this machine; nothing on a CPU."""
    entries = [json.loads(line) for line in log.splitlines() if GRAPHS in line]
    return [
        f"used: {entry['used']}, {entry['times_as_fast']} times as fast"
        if "times_as_fast" in entry
        else entry["reason"]
        for entry in entries
    ]


async def _http_costs(results: report.Results, peer: Peer, cells: Sequence[Cell], number: int) -> None:
    for cell, pair in zip(cells, await http_costs(peer, cells, number), strict=True):
        results.http_costs[cell.name].append(pair)
        _tell(
            f"  {cell.name}: {pair.over_http:.1f} tok/s over HTTP, {pair.bare:.1f} tok/s without, "
            f"cost {100 * pair.cost_ratio:.1f} %"
        )


async def _generate(results: report.Results, model: Path, options: argparse.Namespace, cell: Cell) -> None:
    done = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-m", "tests.benchmarks.server.without_http", "generate", str(model), options.dtype,
         options.device],
        input=json.dumps([[ask.prompt, ask.max_tokens] for ask in cell.asks]), env={**os.environ, **COMMON_ENV},
        cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True, timeout=SUBPROCESS_TIMEOUT_S,
    )  # fmt: skip
    tokens_per_s = float(done.stdout.splitlines()[-1])
    results.cells[report.GENERATE, cell.name].append(Figures(tokens_per_s=tokens_per_s))
    _tell(f"  {report.GENERATE}, {cell.name}: {tokens_per_s:.1f} tok/s")


async def _drains(results: report.Results, options: argparse.Namespace, model: Path) -> None:
    if options.drain_engine == "Simulated":
        peer = simulated("smollm2-135m-cpu", DRAIN_DELAY_S)
    else:
        peer = chatscale(model, options.dtype, options.device, drain_delay_s=DRAIN_DELAY_S)
    answered, caught, losses = await drains(peer, options.drains, DRAIN_DELAY_S, _tell)
    results.drains, results.drain_answers, results.drain_open = options.drains, answered, caught
    results.drain_losses = dict(losses)


def _conditions(options: argparse.Namespace, size: Size, rounds: int, began_s: float) -> list[str]:
    model = (
        f"SmolLM2-135M-Instruct from local safetensors, {options.dtype} on {options.device} for every peer, greedy, "
        "streamed chat completions; tokens are counted by each peer's own `usage`."
    )
    load = (
        f"Closed loop: prompts of about 100 tokens, answers of {size.tokens}; {size.alone} requests alone, "
        f"{size.turns} per client otherwise. Mixed lengths: prompts of about 40 to 300 tokens and answers of 8 to 128; "
        f"Poisson: {size.arrivals} requests of them. No prompt comes twice; the chat template's system message is "
        "common to all."
    )
    peers = (
        f"{SLOTS} slots of {CONTEXT_TOKENS} tokens; `transformers serve --continuous-batching` has a paged cache of as "
        "many tokens and `sdpa`. OMP_WAIT_POLICY=PASSIVE for all. The load generator shares the cores with the server "
        "that it drives. All modules are compiled before, as in an image."
    )
    length = f"{rounds} rounds, {(time.monotonic() - began_s) / 60:.0f} minutes"
    return [model, load, peers, f"{length}; drains with the {options.drain_engine} engine."]


def _vllm_conditions(options: argparse.Namespace, size: Size, began_s: float) -> list[str]:
    load = (
        "SmolLM2-135M-Instruct from local safetensors, greedy, streamed chat completions, closed loops: prompts of "
        f"about 100 tokens, answers of {size.tokens}; {size.alone} requests alone, {size.turns} per client otherwise. "
        "No prompt comes twice. Tokens are counted by each server's own `usage`."
    )
    slots = f"{SLOTS} slots of {CONTEXT_TOKENS} tokens each. The load generator shares the cores with the server."
    return [load, slots, f"{options.vllm_rounds} rounds, {(time.monotonic() - began_s) / 60:.0f} minutes."]


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
