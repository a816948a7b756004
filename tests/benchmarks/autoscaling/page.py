"""The page: what was compared, the verdict, the tables, and what they do not show."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from chatscale.simulate.contenders import OURS, SHIPPED, TUNED
from chatscale.simulate.tables import percent
from tests.benchmarks.autoscaling.plan import Trace
from tests.benchmarks.autoscaling.stages import PROMISE, Setting
from tests.benchmarks.autoscaling.verdict import NO_FORESIGHT, OPTIMUM, REFERENCE, Line, Mean, Scene, interval

_INTRODUCTION = """\
# Autoscaling beside its peers

What a scaling policy costs and what it keeps, on public traces, in virtual time: `make bench-autoscaling`. The
simulator runs the policy that ships (`scaling.policy.decide`). Peers are re-implemented from their sources, once as
shipped (bounds lifted to 1 and 64 for all) and once tuned: 8 values of the main target times 3 of the main window, and
of those the cheapest that keeps 99 % of all requests of the development windows. Ours is not tuned to a profile or a
trace. All see the same 15 s scrapes, act every 15 s, lose 2 % of the scrapes, and go through an outage of two minutes.

**Within SLO** is the share of requests with a first token within 2 s (or three times its own time on an idle replica)
and at most 100 ms a token after it. Refused and timed-out requests count as missed. **GPU-hours** are billed from a
pod's creation to its end. **Rival** is the cheapest tuned peer that keeps at least as much as we do, less 0.1 points.
"""
_LIMITS = """\
## What this does not show

Servers are simulated and a part of their constants is derived, not measured. Peers were read, not run. Prefix caching
is off. Lengths of the World Cup traces are borrowed from the Azure trace; ServeGen's are drawn independently of each
other. A node is always there: GPUs are not short below 64 replicas. Fixed fleets are sized with hindsight. These are
the traces that tuning saw, in part; other traces are the harder test.
"""


@dataclass(frozen=True, slots=True)
class Content:
    """Everything that the page is made of."""

    scenes: Sequence[Scene]
    lines: Sequence[Line]
    settings: Mapping[str, Mapping[str, Setting]]
    traces: Sequence[Trace]
    revision: str
    note: str
    """What is missing, if anything."""
    pictures: Sequence[tuple[str, str]] = ()
    """(caption, file beside the page)"""


def write(content: Content) -> str:
    """The whole page as Markdown."""
    parts = [_INTRODUCTION, f"Revision `{content.revision}`. {content.note}\n"]
    parts += [f"![{caption}]({file})\n" for caption, file in content.pictures]
    parts += ["## The bar\n", _bar(content.lines), "## Ours and the rival\n", _overview(content.scenes)]
    parts += [_scene(scene) for scene in content.scenes if scene.cold_start == "cached" and scene.track == "equal"]
    parts += ["## What tuning chose\n", _choices(content.settings), _LIMITS]
    return "\n".join(parts)


def _bar(lines: Sequence[Line]) -> str:
    """Counts first, then every line that does not hold: nothing is left out because it is unpleasant."""
    counts = Counter((line.bar, line.held) for line in lines)
    bars = list(dict.fromkeys(line.bar for line in lines))
    summary = [[bar, *(str(counts[bar, held]) for held in (True, False, None))] for bar in bars]
    missed = [[line.bar, line.where, line.found] for line in lines if line.held is False]
    told = _table(["line", "held", "missed", "not judged"], summary)
    if missed:
        told += "\nMissed, one by one:\n\n" + _table(["line", "where", "found"], missed)
    return told


def _overview(scenes: Sequence[Scene]) -> str:
    rows = []
    for scene in scenes:
        ours, rival = scene.ours, scene.rival
        rows.append([
            scene.trace, scene.profile, scene.cold_start, scene.track, percent(ours.attainment),
            f"{ours.gpu_hours:.1f}", rival.policy if rival else "none", _times(scene.ratio),
            _percent_interval(ours, rival) if rival else "", _times(scene.over(OPTIMUM)),
            _times(scene.over(NO_FORESIGHT)),
            f"{ours.of('reversals_per_hour'):.2f}", percent(ours.of("dropped_ratio")),
        ])  # fmt: skip
    head = ["trace", "profile", "cold start", "track", "within SLO", "GPU-hours", "rival", "of its GPU-hours",
            "95 % interval", "of the optimum", "of no foresight", "turns/h", "dropped"]  # fmt: skip
    return _table(head, rows)


def _percent_interval(ours: Mean, rival: Mean) -> str:
    low, high = interval(ours, rival, "gpu_hours")
    return f"{low / rival.gpu_hours * 100:+.1f} to {high / rival.gpu_hours * 100:+.1f} %"


def _scene(scene: Scene) -> str:
    rows = []
    order = {OURS: 0}
    means = sorted(
        scene.means, key=lambda mean: (order.get(mean.policy, 1), -round(mean.attainment, 3), mean.gpu_hours)
    )
    for mean in means:
        low, high = interval(scene.ours, mean, "slo_attainment")
        rows.append([
            mean.policy, "" if mean.policy == OURS else mean.variant, percent(mean.attainment),
            "" if mean.policy == OURS else f"{low * 100:+.2f} to {high * 100:+.2f}", f"{mean.gpu_hours:.1f}",
            f"{scene.ours.gpu_hours / mean.gpu_hours:.2f}", f"{mean.of('mean_replicas'):.1f}",
            f"{mean.of('peak_replicas'):.0f}", percent(mean.of("dropped_ratio")),
            f"{mean.of('ttft_p50_s'):.2f} / {mean.of('ttft_p99_s'):.2f}", f"{mean.of('reversals_per_hour'):.1f}",
        ])  # fmt: skip
    first = scene.ours.rows[0]
    head = ["policy", "variant", "within SLO", "ours minus it, points", "GPU-hours", "ours / it", "mean", "peak",
            "dropped", "TTFT p50 / p99, s", "turns/h"]  # fmt: skip
    title = f"### {scene.trace}, profile {scene.profile}, load x{first['load_factor']}\n"
    light = _too_light(scene)
    return "\n".join([title, *([light] if light else []), _table(head, rows)])


def _too_light(scene: Scene) -> str:
    """A load of less than four replicas tests little: said where it is so."""
    keeping = [
        mean for mean in scene.means if mean.attainment >= PROMISE and mean.variant in (TUNED, SHIPPED, REFERENCE)
    ]
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
