"""docs/benchmarks/replay.md: what the cluster did beside what was forecast, as a table, a picture and words."""

import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import matplotlib as mpl
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from chatscale.simulation.outcome import Outcome, Workload
from chatscale.simulation.profiles import Slo
from chatscale.simulation.score import Score, billed_at, score
from chatscale.simulation.sizing import offered_rps
from hack.load import Fate
from tests.benchmarks.replay.forecast import RUNS
from tests.benchmarks.replay.measure import Measured
from tests.benchmarks.replay.traffic import Replayed

_BUCKET_S: Final = 10.0
mpl.rcParams.update({"svg.hashsalt": "chatscale", "svg.fonttype": "none", "font.size": 9.0, "axes.spines.top": False})

_ROWS: Final[tuple[tuple[str, str, Callable[[Score], float]], ...]] = (
    ("within the SLO", "{:.1%}", lambda found: found.slo_attainment),
    ("refused", "{:.1%}", lambda found: found.dropped_ratio),
    ("replicas, mean", "{:.2f}", lambda found: found.mean_replicas),
    ("replicas, most at once", "{:.0f}", lambda found: found.peak_replicas),
    ("replica-hours", "{:.3f}", lambda found: found.gpu_hours),
    ("changes of the count", "{:.0f}", lambda found: found.scale_events),
    ("first token, median", "{:.2f} s", lambda found: found.ttft_p50_s),
    ("first token, 99 %", "{:.1f} s", lambda found: found.ttft_p99_s),
    ("time per token, median", "{:.1f} ms", lambda found: 1000 * found.tpot_p50_s),
    ("time per token, 99 %", "{:.1f} ms", lambda found: 1000 * found.tpot_p99_s),
)


@dataclass(frozen=True, slots=True)
class Compared:
    """One workload on the cluster and in the simulator."""

    replayed: Replayed
    measured: Measured
    forecast: Sequence[Outcome]
    """As `chatscale simulate` plays it: each request goes to the replica with the fewest."""
    in_turn: Sequence[Outcome]
    """Replicas get requests in turn, whatever they have to do."""


def page(compared: Sequence[Compared], machine: Sequence[tuple[str, str]], chatmodel: str, picture: str) -> str:
    """The whole page."""
    lines = [
        "# Forecast against cluster",
        "",
        _INTRODUCTION,
        "",
        f"![Replicas over time]({picture})",
        "",
    ]
    for each in compared:
        lines += _section(each)
    lines += ["## What differs by construction", "", *(f"- {line}" for line in _DIFFERENCES), ""]
    lines += ["## The machine", "", "| | |", "|---|---|", *(f"| {what} | {which} |" for what, which in machine), ""]
    lines += ["## The ChatModel", "", "```yaml", chatmodel.strip(), "```", ""]
    return "\n".join(lines)


_INTRODUCTION: Final = (
    "`make bench-replay` writes this page: it sends two workloads of eight minutes to a ChatModel on the kind cluster "
    "(Simulated engine, real pods, real HTTP, the operator that ships) and asks the code of `chatscale simulate` about "
    "the same arrivals, the same YAML and the start-ups that were measured on the way. One scorer judges both."
)
_ROUTING: Final = (
    "**Routing.** kube-proxy picks a replica at random for each connection; the simulator sends a request where the "
    "fewest are in flight, as a gateway would. With eight slots a replica, chance fills one queue while another "
    "replica has slots free. The column *in turn* has replicas take turns, whatever they have to do: between the two."
)
_LATENCY: Final = (
    "**Latency.** The customers' clock includes connection, HTTP, the server's thread hand-over and the wait for one "
    "of two cores that everything shares; the simulator has none of these."
)
_KNOWLEDGE: Final = (
    "**Knowledge.** The cluster's operator has seen one start-up before the first request, the simulated one none."
)
_ENDINGS: Final = (
    "**Endings.** A deleted pod goes on for its preStop delay and is counted until it is gone; a simulated one ends "
    "with its last answer."
)
_DIFFERENCES: Final = (_ROUTING, _LATENCY, _KNOWLEDGE, _ENDINGS)


def _section(each: Compared) -> list[str]:
    measured = each.measured
    found, forecasts = _score(measured.outcome), [_score(outcome) for outcome in each.forecast]
    in_turn = [_score(outcome) for outcome in each.in_turn]
    table = [
        f"| {name} | {form.format(get(found))} | {_range(form, get, forecasts)} | {_range(form, get, in_turn)} |"
        for name, form, get in _ROWS
    ]
    return [
        f"## {each.replayed.name.capitalize()}",
        "",
        f"{each.replayed.told}: {_sizes(each.replayed.workload)}.",
        "",
        f"| | cluster | forecast (median of {RUNS}; lowest to highest) | forecast, in turn |",
        "|---|---|---|---|",
        *table,
        "",
        words(found, forecasts, in_turn),
        "",
        _circumstances(measured),
        "",
        f"In the end the operator had learned: {measured.learned}. Its changes:",
        "",
        "```text",
        *measured.reasons,
        "```",
        "",
    ]


def _sizes(workload: Workload) -> str:
    prompt, output = workload.prompt_tokens.mean(), workload.output_tokens.mean()
    return f"{len(workload.arrival_s)} requests, on average {prompt:.0f} tokens of prompt and {output:.0f} of answer"


def _circumstances(measured: Measured) -> str:
    fates, starts = measured.fates, measured.start_ups_s
    what = f"{fates[Fate.ANSWERED]} requests were answered, {fates[Fate.REFUSED]} refused, {fates[Fate.LOST]} lost"
    ready = f"New replicas were ready after {min(starts):.1f} to {max(starts):.1f} s"
    late = f"Customers sent 99 % of the requests within {1000 * measured.late_p99_s:.0f} ms of their time"
    busy = f"the processors were busy {measured.busy:.0%} of the time, other work of the machine included"
    replaced = "" if measured.operator_stayed else " **The operator was replaced meanwhile.**"
    return (
        f"On the cluster {what}{_losses(measured)}. {ready} ({len(starts)} starts, the first before the replay). "
        f"{late}; {busy}.{replaced}"
    )


def words(found: Score, forecasts: Sequence[Score], in_turn: Sequence[Score]) -> str:
    """The difference as a sentence a manager reads: cost, then promises."""
    mean = statistics.median(each.mean_replicas for each in forecasts)
    kept = statistics.median(each.slo_attainment for each in forecasts)
    kept_in_turn = statistics.median(each.slo_attainment for each in in_turn)
    cost = found.mean_replicas / mean - 1 if mean else math.nan
    peak = statistics.median(each.peak_replicas for each in forecasts)
    return (
        f"**The cluster paid for {abs(cost):.0%} {'more' if cost >= 0 else 'fewer'} replicas than forecast** (most at "
        f"once {found.peak_replicas}, forecast {peak:.0f}) and kept the SLO for {100 * found.slo_attainment:.1f} % of "
        f"the requests, {_points(found.slo_attainment - kept)} the forecast and "
        f"{_points(found.slo_attainment - kept_in_turn)} the forecast with replicas in turn."
    )


def draw(compared: Sequence[Compared], path: Path) -> None:
    """Replicas paid for, measured and forecast, above the load; one column for each workload."""
    figure = Figure(figsize=(10.0, 4.5), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(2, len(compared), squeeze=False, sharex="col", height_ratios=[3, 1])
    for column, each in enumerate(compared):
        counts, load = axes[0][column], axes[1][column]
        end_s = max(outcome.end_s for outcome in (each.measured.outcome, *each.forecast))
        clock_s = np.arange(0.0, end_s, 1.0)
        runs = np.array([billed_at(outcome.pods, clock_s) for outcome in each.forecast])
        minutes = clock_s / 60
        counts.fill_between(
            minutes, runs.min(axis=0), runs.max(axis=0), step="post", color="#30638e", alpha=0.2, lw=0,
            label=f"forecast, {RUNS} runs",
        )  # fmt: skip
        counts.step(minutes, np.median(runs, axis=0), where="post", color="#30638e", lw=1.1, label="forecast, median")
        measured = billed_at(each.measured.outcome.pods, clock_s)
        counts.step(minutes, measured, where="post", color="#d1495b", lw=1.8, label="cluster")
        counts.set_ylim(bottom=0)
        counts.set_title(each.replayed.name, loc="left")
        counts.legend(frameon=False, fontsize="small")
        rates = offered_rps(each.replayed.workload, _BUCKET_S)
        load.fill_between(np.arange(len(rates)) * _BUCKET_S / 60, rates, step="post", color="#c9ced6")
        load.set_ylim(bottom=0)
        load.set_xlabel("minutes")
    axes[0][0].set_ylabel("replicas paid for")
    axes[1][0].set_ylabel("requests / s")
    figure.savefig(path, metadata={"Date": None})


def _score(outcome: Outcome) -> Score:
    """Replica-hours stand where GPU-hours do."""
    return score(outcome, Slo(), gpus_per_replica=1)


def _range(form: str, get: Callable[[Score], float], scores: Sequence[Score]) -> str:
    values = [get(each) for each in scores]
    low, middle, high = (form.format(value) for value in (min(values), statistics.median(values), max(values)))
    return middle if low == high else f"{middle} ({low} to {high})"


def _points(difference: float) -> str:
    return f"{abs(100 * difference):.1f} points {'above' if difference >= 0 else 'below'}"


def _losses(measured: Measured) -> str:
    told = "; ".join(f"{count} x {detail}" for detail, count in measured.losses.most_common(3))
    return f" ({told})" if told else ""
