"""The page: what was compared, the verdict, the tables, and what they do not show."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import geometric_mean

from chatscale_simulator.policy_choice import CHATSCALE, CHATSCALE_ANNOUNCED
from chatscale_simulator.report.tables import percent
from tests.benchmarks.autoscaling.acceptance import Line, Mean, Scene, interval, ratio_interval
from tests.benchmarks.autoscaling.plan import LOWER_BOUND, NO_FORESIGHT, OPTIMUM, Trace
from tests.benchmarks.autoscaling.stages import PROMISE, Setting

_INTRODUCTION = """\
<!-- Written by `make bench-autoscaling`; do not edit. -->

# Autoscaling beside its peers

What a scaling policy costs and what customers get for it, on public traces, in virtual time. The simulator runs the
policy that ships (`scaling.policy.decide`). Peers are re-implemented from their sources, once as shipped (bounds lifted
to 1 and 64 for all) and once tuned: up to 8 values of the main target times 3 of the main window, and the cheapest
setting that keeps 99 % over windows of the development traces. Ours is played as it ships.
"""
_RULES = """\
## How it is measured

All see the same 15 s scrapes, act every 15 s, lose 2 % of the scrapes, and go through one outage of two minutes.
Profile M is a 70B model on four H100, S an 8B model on an A100.

**Within SLO** is the share of requests with a first token within 2 s (or three times its own time on an idle replica)
and at most 100 ms a token after it. Refused and timed-out requests count as missed. **GPU-hours** are billed from a
pod's creation to its end. **Rival** is the cheapest tuned peer that keeps at least as much as we do, less 0.1 points.
**Optimum** is the cheapest schedule found with the whole future known, **no foresight** the best that follows the
present exactly.

Everybody is played with one seed; ours and the tuned peers that come close with all. Ratios and differences are taken
over the seeds that both have, with a bootstrap 95 % interval where there are several.
"""
_WHOLE = """\
## Whole days

The parts above are those that change most, where a policy that learns has had no calm hours yet. Here the same is
played from midnight to midnight, by ours and by the tuned peers that came close in those parts.
"""
_ANNOUNCED = """\
## Announced events

A track of its own: no policy without spare replicas holds a jump of 12x that is over in minutes, but a team knows of
its sale. Here the quarter hours of the spike are announced (`spec.autoscaling.events`), with the replicas that paper
sizing gives for its busiest five minutes, as a fixed fleet would have all day.
"""
_LIMITS = """\
## What this does not show

Servers are simulated and a part of their constants is derived, not measured. Peers were read, not run. Prefix caching
is off. Lengths of the World Cup traces are borrowed from the Azure trace; ServeGen's are drawn independently of each
other. A node is always there: GPUs are not short below 64 replicas. Fixed fleets are sized with hindsight. KEDA without
an idle count is the HPA on the same metric, so tuned they are one. AIBrix's settings come closest to the promise where
they ask for every replica there is. These are the traces that tuning saw, in part; other traces are the harder test.
"""


@dataclass(frozen=True, slots=True)
class Content:
    """Everything that the page is made of."""

    scenes: Sequence[Scene]
    lines: Sequence[Line]
    settings: Mapping[str, Mapping[str, Setting]]
    traces: Sequence[Trace]
    revision: str
    played: str
    """How much of the traces, with how many seeds, in words."""
    note: str
    """What is missing, if anything."""
    whole: Sequence[Scene] = ()
    """On whole traces, where scores are taken on parts of them."""
    announced: Sequence[Scene] = ()
    """Ours on spikes, as it is and told of them."""
    core_hours: float = 0.0
    """What all runs took."""
    pictures: Sequence[tuple[str, str]] = ()
    """(caption, file beside the page)"""


def write(content: Content) -> str:
    """The whole page as Markdown: the answer first, then the evidence."""
    main = [scene for scene in content.scenes if scene.cold_start == "cached" and scene.track == "equal"]
    took = f" The runs took {content.core_hours:.1f} hours of one core." if content.core_hours else ""
    parts = [_INTRODUCTION, "## In short\n", *_short(main, content.lines)]
    parts += [f"![{caption}]({file})\n\n*{caption}*\n" for caption, file in content.pictures]
    parts += [
        "## The bar, trace by trace\n",
        *_bars(content.lines),
        "## Ours and the rival\n",
        _overview(content.scenes),
        *([_WHOLE, _overview(content.whole)] if content.whole else []),
        *([_ANNOUNCED, _told_and_untold(content.announced)] if content.announced else []),
    ]
    parts += [_RULES, content.played + "\n", f"Revision `{content.revision}`.{took} {content.note}\n"]
    parts += [_scene(scene) for scene in main]
    parts += ["## What tuning chose\n", _choices(content.settings), _LIMITS]
    return "\n".join(parts)


def _short(scenes: Sequence[Scene], lines: Sequence[Line]) -> list[str]:
    """What a reader takes home, whatever it is."""
    if not scenes:
        return ["Nothing is scored yet.\n"]
    kept = [scene for scene in scenes if scene.ours.attainment >= PROMISE]
    told = [
        f"- The promise (99 % within SLO) is kept on {len(kept)} of {len(scenes)} combinations of trace and machine."
    ]
    low = [f"{scene.trace} {scene.profile} ({percent(scene.ours.attainment)})" for scene in scenes if scene not in kept]
    told += [f"- It is not kept on {', '.join(low)}."] if low else []
    ratios = [scene.ratio for scene in scenes if scene.ratio is not None]
    if ratios:
        mean = (1 - geometric_mean(ratios)) * 100
        word = "less" if mean >= 0 else "more"
        told.append(
            f"- GPU-hours are {abs(mean):.0f} % {word} than the rival's, in the geometric mean of {len(ratios)}."
        )
    lost = [
        f"{peer.policy} on {scene.trace} {scene.profile} ({scene.times(peer):.2f})"
        for scene in scenes
        for peer in scene.unbeaten
    ]
    told.append(
        f"- Not beaten, they keep as much for less (ours over theirs): {', '.join(lost)}."
        if lost
        else "- No tuned peer keeps as much for less anywhere."
    )
    missed = Counter(line.bar for line in lines if line.held is False)
    if missed:
        told.append(f"- Lines of the bar that are missed: {', '.join(f'{bar} ({n})' for bar, n in missed.items())}.")
    return ["\n".join(told) + "\n"]


def _bars(lines: Sequence[Line]) -> list[str]:
    """One table with the usual cold start, one with each other: a row a scene, a column a line of the bar."""
    groups: dict[str, list[Line]] = {}
    for line in lines:
        prefix = line.bar.split(") ")[0] + ")" if line.bar.startswith("W5") else ""
        groups.setdefault(prefix, []).append(line)
    parts = []
    for prefix, group in groups.items():
        bars = list(dict.fromkeys(line.bar for line in group))
        by_place = {(line.where, line.bar): line for line in group}
        rows = [
            [where, *(_cell(by_place.get((where, bar))) for bar in bars)]
            for where in dict.fromkeys(line.where for line in group)
        ]
        parts += [
            *([f"### {prefix}\n"] if prefix else []),
            _table(["", *(bar.removeprefix(prefix).strip() for bar in bars)], rows),
        ]
    return parts


def _cell(line: Line | None) -> str:
    if line is None:
        return ""
    return {True: "held", False: "**missed**", None: "not judged"}[line.held] + f": {line.found}"


def _overview(scenes: Sequence[Scene]) -> str:
    rows = []
    for scene in scenes:
        ours, rival = scene.ours, scene.rival
        rows.append([
            scene.trace, scene.profile, scene.cold_start, scene.track, percent(ours.attainment),
            f"{ours.gpu_hours:.1f}", rival.policy if rival else "none", _times(scene.ratio),
            _between(ours, rival) if rival else "", _times(scene.over(OPTIMUM)),
            _times(scene.over(NO_FORESIGHT)),
            f"{ours.of('reversals_per_hour'):.2f}", percent(ours.of("dropped_ratio")),
        ])  # fmt: skip
    head = ["trace", "profile", "cold start", "track", "within SLO", "GPU-hours", "rival", "of its GPU-hours",
            "95 % interval", "of the optimum", "of no foresight", "turns/h", "dropped"]  # fmt: skip
    return _table(head, rows)


def _told_and_untold(scenes: Sequence[Scene]) -> str:
    """The run that was not told above the one that was."""
    rows = [
        [scene.trace, scene.profile, scene.cold_start, "yes" if mean.policy == CHATSCALE_ANNOUNCED else "no",
         str(len(mean.rows)), percent(mean.attainment), f"{mean.gpu_hours:.1f}", f"{mean.of('peak_replicas'):.0f}",
         percent(mean.of("dropped_ratio")), f"{mean.of('ttft_p99_s'):.2f}"]
        for scene in scenes
        for mean in scene.means
    ]  # fmt: skip
    head = ["trace", "profile", "cold start", "announced", "seeds", "within SLO", "GPU-hours", "peak", "dropped",
            "TTFT p99, s"]  # fmt: skip
    return _table(head, rows)


def _between(ours: Mean, rival: Mean) -> str:
    low, high = ratio_interval(ours, rival)
    return f"{low:.2f} to {high:.2f}" if high > low else "one seed"


def _scene(scene: Scene) -> str:
    rows = []
    order = {CHATSCALE: 0}
    means = sorted(
        scene.means, key=lambda mean: (order.get(mean.policy, 1), -round(mean.attainment, 3), mean.gpu_hours)
    )
    for mean in means:
        low, high = interval(scene.ours, mean, "slo_attainment")
        rows.append([
            mean.policy, "" if mean.policy == CHATSCALE else mean.variant, str(len(mean.rows)), percent(mean.attainment),
            "" if mean.policy == CHATSCALE else f"{low * 100:+.2f} to {high * 100:+.2f}", f"{mean.gpu_hours:.1f}",
            f"{scene.times(mean):.2f}", f"{mean.of('mean_replicas'):.1f}",
            f"{mean.of('peak_replicas'):.0f}", percent(mean.of("dropped_ratio")),
            f"{mean.of('ttft_p50_s'):.2f} / {mean.of('ttft_p99_s'):.2f}", f"{mean.of('reversals_per_hour'):.1f}",
        ])  # fmt: skip
    first = scene.ours.rows[0]
    head = ["policy", "variant", "seeds", "within SLO", "ours minus it, points", "GPU-hours", "ours / it", "mean",
            "peak", "dropped", "TTFT p50 / p99, s", "turns/h"]  # fmt: skip
    title = f"### {scene.trace}, profile {scene.profile}, load x{first['load_factor']}\n"
    light = _too_light(scene)
    return "\n".join([title, *([light] if light else []), _table(head, rows)])


def _too_light(scene: Scene) -> str:
    """A load of less than four replicas tests little: said where it is so."""
    keeping = [mean for mean in scene.means if mean.attainment >= PROMISE and mean.policy != LOWER_BOUND]
    least = min((mean.of("mean_replicas") for mean in keeping), default=4.0)
    return (
        f"Light: {least:.1f} replicas on average are enough here, fewer than the four of a scored run.\n"
        if least < 4
        else ""
    )


def _choices(settings: Mapping[str, Mapping[str, Setting]]) -> str:
    rows = [
        [profile, policy, f"`{setting.label}`", percent(setting.slo_attainment), f"{setting.gpu_hours:.1f}"]
        for profile, chosen in settings.items()
        for policy, setting in chosen.items()
    ]
    return _table(["profile", "policy", "setting", "within SLO", "GPU-hours"], rows)


def _times(ratio: float | None) -> str:
    return "" if ratio is None else f"{ratio:.2f}"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"
