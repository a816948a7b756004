"""From the JSON of a run to tables, and to docs/benchmarks/gpu.md. Pure, except for the path of the page."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

PAGE: Final = Path(__file__).parents[3] / "docs" / "benchmarks" / "gpu.md"
TITLES: Final = {
    "8b": "Llama-3.1-8B, closed loop", "1b": "Llama-3.2-1B, closed loop",
    "first_crowd": "The first crowd after a start", "decode_step": "Decode steps in the warm-up, without HTTP",
    "prefill": "One prompt at a time", "mixed": "Mixed prompt lengths", "sampled": "Sampled, 0.8 / 0.95",
    "drain": "Drain", "tight_memory": "Tight memory", "equality": "Equality", "sampling": "Sampling alone",
    "start": "Start", "models": "Writing the models", "time": "Time of the sections",
}  # fmt: skip
HOW: Final = (
    "A real server process over HTTP on loopback, streamed, random bfloat16 weights in the shapes of the two models, "
    "64 slots of 5,120 tokens, prompts of 200 and answers of 128 tokens unless the table says otherwise, greedy. "
    "No prompt comes twice. The limit of a loop is (weight bytes + KV bytes) / bandwidth for each decode step plus "
    "prefill FLOP / matmul rate for each prompt, with both rates as measured on this card. `share of client core` is "
    "the CPU time of the busiest client process over the run; near 100 % the clients limit the throughput. `earlier` "
    "is the first measurement, of revision 339584f on an H100."
)
GOALS: Final = (
    ("8b", "share_of_limit", {1: 0.65, 32: 0.62, 64: 0.60}),
    ("1b", "share_of_limit", {1: 0.45, 32: 0.33, 64: 0.27}),
    ("mixed", "tokens_per_s", {32: 2.5 * 928}),
)
"""Section, figure, least value by clients."""
PREFILL_GOAL: Final = (4096, 0.70)
CROWD_GOAL: Final = 1.5
CHECKS: Final = {
    "tight_memory": "tight memory: serve or refuse", "equality": "equality with transformers",
    "sampling": "sampling kernel equal to its definition",
}  # fmt: skip
"""Sections whose rows say whether they hold."""

EARLIER: Final = {
    "8b": {1: 88, 8: 629, 16: 1064, 32: 1957, 64: 3353},
    "1b": {1: 231, 16: 2801, 32: 4587, 64: 7115},
    "mixed": {32: 928},
    "sampled": {32: 1735, 64: 2712},
}  # fmt: skip
"""Tokens per second of revision 339584f on an H100, measured on 2026-11-27 with torch 2.11, by section and clients."""

Rows = Sequence[Mapping[str, Any]]


def page(found: Mapping[str, Any], revision: str = "") -> str:
    """The page. revision: of the measured code, if the run could not find it out."""
    machine = {**found["machine"], **({"revision": revision} if revision else {})}
    parts = [
        "<!-- Written by `python -m tests.benchmarks.gpu --page gpu.json`; do not edit. -->",
        "# The server on a GPU", HOW, attention_path(found),
        "## Goals", goals(found), tables({**found, "machine": machine, "sections": _beside_earlier(found)}),
    ]  # fmt: skip
    return "\n\n".join(parts).rstrip() + "\n"


def _beside_earlier(found: Mapping[str, Any]) -> dict[str, Rows]:
    """The sections, with the throughput of the first measurement where there is one."""
    sections: dict[str, Rows] = dict(found.get("sections", {}))
    for section, earlier in EARLIER.items():
        rows = [dict(row) for row in sections.get(section, ())]
        for row in rows:
            if (before := earlier.get(row.get("clients", 0))) and row.get("tokens_per_s"):
                row |= {"earlier_tokens_per_s": before, "times_the_earlier": row["tokens_per_s"] / before}
        sections[section] = rows
    return sections


def tables(found: Mapping[str, Any]) -> str:
    """One table for each section that has rows."""
    sections: Mapping[str, Rows] = found.get("sections", {})
    parts = []
    for name in [*TITLES, *(name for name in sections if name not in TITLES)]:
        if rows := sections.get(name):
            parts += [f"## {TITLES.get(name, name)}", table(rows)]
    graphs = {f"graphs of {name}": events for name, events in found.get("graphs", {}).items() if events}
    facts = {**found.get("machine", {}), **found.get("limits", {}), **graphs}
    parts += [
        "## Machine",
        "\n".join(
            ["| | |", "|---|---|", *(f"| {key.replace('_', ' ')} | {_cell(value)} |" for key, value in facts.items())]
        ),
    ]
    return "\n\n".join(parts) + "\n"


def table(rows: Rows) -> str:
    """The rows' fields as columns, in the order of their first appearance."""
    columns = list(dict.fromkeys(column for row in rows for column in row))
    heads = [column.replace("_", " ") for column in columns]
    cells = [[_cell(row.get(column, ""), share=column.startswith("share")) for column in columns] for row in rows]
    lines = [heads, ["---"] * len(columns), *cells]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def attention_path(found: Mapping[str, Any]) -> str:
    """Which attention was measured."""
    if named := found.get("attention"):
        return f"Attention path, as the server reports it: {named}."
    limits = found.get("limits", {})
    what = "has" if limits.get("paged_varlen_attn") else "has no"
    return (
        f"The server does not report its attention path. torch {limits.get('torch', 'unknown')} {what} `varlen_attn` "
        "with a block table."
    )


def goals(found: Mapping[str, Any]) -> str:
    """Each goal beside the measured value; one without a measurement says so."""
    sections: Mapping[str, Rows] = found.get("sections", {})
    rows = []
    for section, figure, least in GOALS:
        by_clients = {row.get("clients"): row.get(figure) for row in sections.get(section, ())}
        rows += [
            _goal(f"{section}, {clients} clients, {figure}", f">= {goal:g}", by_clients.get(clients), least=goal)
            for clients, goal in least.items()
        ]
    tokens, share = PREFILL_GOAL
    prefills = {row.get("tokens"): row.get("share_of_limit") for row in sections.get("prefill", ())}
    rows.append(
        _goal(f"prefill of {tokens}, share of the compute limit", f">= {share}", prefills.get(tokens), least=share)
    )
    ratios = [row.get("ratio") for row in sections.get("first_crowd", ()) if row.get("ratio")]
    rows.append(
        _goal("TTFT p95, first 32 against next 32", f"<= {CROWD_GOAL}", ratios[0] if ratios else None, most=CROWD_GOAL)
    )
    for section, what in CHECKS.items():
        kept = [row["kept"] for row in sections.get(section, ()) if "kept" in row]
        counts = f"{sum(kept)} of {len(kept)}" if kept else "not measured"
        reached = "yes" if kept and all(kept) else "no"
        rows.append({"goal": what, "wanted": "all", "found": counts, "reached": reached})
    return table(rows)


def _goal(
    what: str, wanted: str, value: float | None, least: float | None = None, most: float | None = None
) -> dict[str, Any]:
    if value is None:
        return {"goal": what, "wanted": wanted, "found": "not measured", "reached": "no"}
    reached = (least is None or value >= least) and (most is None or value <= most)
    return {"goal": what, "wanted": wanted, "found": value, "reached": "yes" if reached else "no"}


def _cell(value: Any, *, share: bool = False) -> str:
    if value is None:
        return ""
    if share and isinstance(value, float):
        return f"{100 * value:.0f} %"
    if isinstance(value, float):
        return f"{value:.4g}" if abs(value) < 1e4 else f"{value:,.0f}"
    return str(value).replace("|", "\\|").replace("\n", " ")
