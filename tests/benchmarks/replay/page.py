"""docs/benchmarks/replay.md: what the cluster did beside what was forecast, as a table, a picture and words."""

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import matplotlib as mpl
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from chatscale_simulator.simulation.profiles import SloTarget
from chatscale_simulator.simulation.result import RunResult
from chatscale_simulator.simulation.score import Score, billed_at, score
from chatscale_simulator.simulation.sizing import offered_rps
from chatscale_simulator.simulation.workload import Workload
from hack.load import Fate
from tests.benchmarks.replay.forecast import RUNS
from tests.benchmarks.replay.measure import Measured
from tests.benchmarks.replay.traffic import Replayed

_BUCKET_S: Final = 10.0
_STEP_S: Final = 2.0
mpl.rcParams.update({"svg.hashsalt": "chatscale", "svg.fonttype": "none", "font.size": 9.0, "axes.spines.top": False})

_ROWS: Final[tuple[tuple[str, str, Callable[[Score], float]], ...]] = (
    ("within the SLO", "{:.1f} %", lambda found: 100 * found.slo_attainment),
    ("refused", "{:.1f} %", lambda found: 100 * found.dropped_ratio),
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
    forecast: Sequence[RunResult]
    """As `chatscale simulate` plays it: each request goes to the replica with the fewest."""
    random_routing: Sequence[RunResult]
    """Replicas get requests by chance, as kube-proxy spreads connections."""


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
    "replica has slots free. The last column has the simulator choose at random as well: what is left of the "
    "difference is not routing."
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
    found, forecasts = _score(measured.result), [_score(result) for result in each.forecast]
    random_routing = [_score(result) for result in each.random_routing]
    table = [
        f"| {name} | {form.format(get(found))} | {_range(form, get, forecasts)} | {_range(form, get, random_routing)} |"
        for name, form, get in _ROWS
    ]
    return [
        f"## {each.replayed.name.capitalize()}",
        "",
        f"{each.replayed.told}: {_sizes(each.replayed.workload)}.",
        "",
        f"| | cluster | forecast (median of {RUNS}; lowest to highest) | forecast, replicas at random |",
        "|---|---|---|---|",
        *table,
        "",
        words(found, forecasts, random_routing),
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
    busy = f"the processors were busy {100 * measured.busy:.0f} % of the time, other work of the machine included"
    replaced = "" if measured.operator_stayed else " **The operator was replaced meanwhile.**"
    return (
        f"On the cluster {what}{_losses(measured)}. {ready} ({len(starts)} starts, the first before the replay). "
        f"{late}; {busy}.{replaced}"
    )


def words(found: Score, forecasts: Sequence[Score], random_routing: Sequence[Score]) -> str:
    """Tell the difference as a manager reads it: cost, then promises; then what routing explains of it."""
    return (
        f"**The cluster paid for {_more(found, forecasts)} replicas than forecast and kept the SLO for "
        f"{100 * found.slo_attainment:.1f} % of the requests, {_points(found, forecasts)} the forecast.** With "
        f"replicas chosen at random in the simulator too, it is {_more(found, random_routing)} replicas and "
        f"{_points(found, random_routing)}; the cluster is {_inside(found, random_routing)}."
    )


def _more(found: Score, forecasts: Sequence[Score]) -> str:
    cost = found.mean_replicas / statistics.median(each.mean_replicas for each in forecasts) - 1
    return f"{abs(100 * cost):.0f} % {'more' if cost >= 0 else 'fewer'}"


def _points(found: Score, forecasts: Sequence[Score]) -> str:
    difference = found.slo_attainment - statistics.median(each.slo_attainment for each in forecasts)
    return f"{abs(100 * difference):.1f} points {'above' if difference >= 0 else 'below'}"


def _inside(found: Score, forecasts: Sequence[Score]) -> str:
    kept, cost = [each.slo_attainment for each in forecasts], [each.mean_replicas for each in forecasts]
    inside = [min(kept) <= found.slo_attainment <= max(kept), min(cost) <= found.mean_replicas <= max(cost)]
    match inside:
        case [True, True]:
            return f"within the range of those {RUNS} runs in both"
        case [True, False]:
            return f"within the range of those {RUNS} runs in what was kept, outside in replicas"
        case [False, True]:
            return f"within the range of those {RUNS} runs in replicas, outside in what was kept"
        case _:
            return f"outside the range of those {RUNS} runs in both"


def draw(compared: Sequence[Compared], path: Path) -> None:
    """Replicas paid for, measured and forecast (median, and the range of the runs), above the load; one column each."""
    figure = Figure(figsize=(10.0, 4.5), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(2, len(compared), squeeze=False, sharex="col", height_ratios=[3, 1])
    for column, each in enumerate(compared):
        counts, load = axes[0][column], axes[1][column]
        end_s = min(result.end_s for result in (each.measured.result, *each.forecast, *each.random_routing))
        clock_s = np.arange(0.0, end_s, _STEP_S)
        minutes = clock_s / 60
        for name, colour, outcomes in (
            ("forecast", "#30638e", each.forecast),
            ("forecast, replicas at random", "#edae49", each.random_routing),
        ):
            runs = np.array([billed_at(result.pods, clock_s) for result in outcomes])
            counts.fill_between(minutes, runs.min(axis=0), runs.max(axis=0), step="post", color=colour, alpha=0.2, lw=0)
            counts.step(minutes, np.median(runs, axis=0), where="post", color=colour, lw=1.1, label=name)
        measured = billed_at(each.measured.result.pods, clock_s)
        counts.step(minutes, measured, where="post", color="#d1495b", lw=1.8, label="cluster")
        counts.set_ylim(bottom=0)
        counts.set_title(each.replayed.name, loc="left")
        counts.legend(frameon=False, fontsize="small")
        rates = offered_rps(each.replayed.workload, _BUCKET_S)[:-1]  # The last bucket is not whole.
        load.fill_between(np.arange(len(rates)) * _BUCKET_S / 60, rates, step="post", color="#c9ced6")
        load.set_ylim(bottom=0)
        load.set_xlabel("minutes")
    axes[0][0].set_ylabel("replicas paid for")
    axes[1][0].set_ylabel("requests / s")
    figure.savefig(path, metadata={"Date": None})


def _score(result: RunResult) -> Score:
    """Replica-hours stand where GPU-hours do."""
    return score(result, SloTarget(), gpus_per_replica=1)


def _range(form: str, get: Callable[[Score], float], scores: Sequence[Score]) -> str:
    values = [get(each) for each in scores]
    low, middle, high = (form.format(value) for value in (min(values), statistics.median(values), max(values)))
    return middle if low == high else f"{middle} ({low} to {high})"


def _losses(measured: Measured) -> str:
    told = "; ".join(f"{count} x {detail}" for detail, count in measured.losses.most_common(3))
    return f" ({told})" if told else ""
