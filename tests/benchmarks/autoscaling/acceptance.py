"""From runs to claims: who is comparable with whom, by how much, how surely, and which line of the bar holds."""

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from statistics import fmean, geometric_mean

import numpy as np

from chatscale_simulator.jobs import Row
from chatscale_simulator.policies.registry import SHIPPED
from chatscale_simulator.policy_choice import CHATSCALE
from chatscale_simulator.simulation.arrays import FloatArray
from tests.benchmarks.autoscaling.plan import NO_FORESIGHT, OPTIMUM, Trace
from tests.benchmarks.autoscaling.stages import PROMISE, SLACK
from tests.benchmarks.autoscaling.variants import REFERENCE, TUNED

_RESAMPLES = 2000


@dataclass(frozen=True, slots=True)
class Mean:
    """One choice on one scene, over its seeds."""

    policy: str
    variant: str
    rows: tuple[Row, ...]
    """By seed."""

    def of(self, field: str) -> float:
        """Mean over the seeds."""
        return fmean(float(row[field]) for row in self.rows)

    def on(self, other: "Mean") -> "Mean":
        """The runs whose seeds the other has too; all if there are none."""
        seeds = {row["seed"] for row in other.rows}
        return replace(self, rows=tuple(row for row in self.rows if row["seed"] in seeds) or self.rows)

    @property
    def attainment(self) -> float:
        """Share of requests within the main SLO."""
        return self.of("slo_attainment")

    @property
    def gpu_hours(self) -> float:
        """Mean over the seeds."""
        return self.of("gpu_hours")


@dataclass(frozen=True, slots=True)
class Scene:
    """One trace on one profile, with one cold start and one track, and everybody's means on it."""

    trace: str
    profile: str
    cold_start: str
    track: str
    means: tuple[Mean, ...]

    @property
    def ours(self) -> Mean:
        """Our own policy."""
        return next(mean for mean in self.means if mean.policy == CHATSCALE)

    def peers(self, variant: str) -> list[Mean]:
        """All others of one variant."""
        return [mean for mean in self.means if mean.variant == variant and mean.policy != CHATSCALE]

    @property
    def rival(self) -> Mean | None:
        """The cheapest tuned peer that keeps as much as we do; None if none does."""
        return max(self.equals, key=self.times, default=None)

    @property
    def equals(self) -> list[Mean]:
        """Tuned peers that keep as much as we do, on the seeds that both have."""
        return [peer for peer in self.peers(TUNED) if peer.attainment >= self.ours.on(peer).attainment - SLACK]

    @property
    def ratio(self) -> float | None:
        """Our GPU-hours over the rival's."""
        return self.times(self.rival) if self.rival else None

    def times(self, other: Mean) -> float:
        """Our GPU-hours over another's, on the seeds that both have."""
        return self.ours.on(other).gpu_hours / other.on(self.ours).gpu_hours

    @property
    def unbeaten(self) -> list[Mean]:
        """Tuned peers that keep as much as we do and cost less."""
        return [peer for peer in self.equals if self.times(peer) > 1]

    def over(self, reference: str) -> float | None:
        """Our GPU-hours over a reference's; None where it was not computed."""
        found = [mean for mean in self.means if (mean.policy, mean.variant) == (reference, REFERENCE)]
        return self.times(found[0]) if found else None


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the bar on one scene, or over all of them."""

    bar: str
    where: str
    found: str
    held: bool | None
    """None: could not be judged."""


def scenes(rows: Iterable[Row]) -> list[Scene]:
    """Group runs; a scene without our own policy is left out."""
    groups: dict[tuple[str, str, str, str], dict[tuple[str, str], list[Row]]] = defaultdict(lambda: defaultdict(list))
    for row in rows:
        key = (row["trace"], row["profile"], row["cold_start"], row["track"])
        groups[key][row["policy"], row["variant"]].append(row)
    found = []
    for (trace, profile, cold_start, track), by in groups.items():
        if any(policy == CHATSCALE for policy, _ in by):
            means = (Mean(*who, tuple(sorted(runs, key=lambda row: row["seed"]))) for who, runs in by.items())
            found.append(Scene(trace, profile, cold_start, track, tuple(means)))
    return found


def interval(ours: Mean, other: Mean, field: str) -> tuple[float, float]:
    """Bootstrap 95 % interval of the mean paired difference, ours minus the other's, over the seeds both have."""
    theirs = {row["seed"]: float(row[field]) for row in other.rows}
    pairs = [(float(row[field]), theirs[row["seed"]]) for row in ours.rows if row["seed"] in theirs]
    return _bootstrap(pairs, lambda drawn: (drawn[..., 0] - drawn[..., 1]).mean(axis=1))


def ratio_interval(ours: Mean, other: Mean) -> tuple[float, float]:
    """Likewise of our GPU-hours over the other's."""
    theirs = {row["seed"]: float(row["gpu_hours"]) for row in other.rows}
    pairs = [(float(row["gpu_hours"]), theirs[row["seed"]]) for row in ours.rows if row["seed"] in theirs]
    return _bootstrap(pairs, lambda drawn: drawn[..., 0].sum(axis=1) / drawn[..., 1].sum(axis=1))


def _bootstrap(pairs: Sequence[tuple[float, float]], of: Callable[[FloatArray], FloatArray]) -> tuple[float, float]:
    if not pairs:
        return math.nan, math.nan
    rng = np.random.default_rng(0)
    drawn = rng.choice(np.array(pairs), (_RESAMPLES, len(pairs)))
    low, high = np.percentile(of(drawn), (2.5, 97.5))
    return float(low), float(high)


def judge(found: Sequence[Scene], traces: Sequence[Trace]) -> list[Line]:
    """Every line of the bar; W5 repeats W1 to W4 for the other cold starts."""
    by_name = {trace.name: trace for trace in traces}
    equal = [scene for scene in found if scene.track == "equal"]
    lines = _judge([scene for scene in equal if scene.cold_start == "cached"], by_name)
    for cold_start in ("fast", "cold"):
        others = _judge([scene for scene in equal if scene.cold_start == cold_start], by_name)
        lines += [Line(f"W5 ({cold_start}) {line.bar}", line.where, line.found, line.held) for line in others]
    return lines


def _judge(found: Sequence[Scene], traces: dict[str, Trace]) -> list[Line]:
    lines = [line for scene in found for line in _on_scene(scene, traces[scene.trace])]
    ratios = [scene.ratio for scene in found if scene.ratio is not None]
    if ratios:
        mean = geometric_mean(ratios)
        lines.append(Line("W2 geometric mean <= 0.85", f"{len(ratios)} scenes", f"{mean:.2f}", mean <= 0.85))
    return lines


def _on_scene(scene: Scene, trace: Trace) -> list[Line]:
    where, ours = f"{scene.trace} {scene.profile}", scene.ours
    tuned, shipped, rival = scene.peers(TUNED), scene.peers(SHIPPED), scene.rival
    best = max((peer.attainment for peer in tuned), default=0.0)
    bound = min(PROMISE, best)
    worst = min(float(row["slo_attainment"]) for row in ours.rows)
    kept = f"{_percent(ours.attainment)}, worst seed {_percent(worst)}, bound {_percent(bound)}"
    lines = [Line("W1 attainment", where, kept, ours.attainment >= bound)]
    if trace.predictable:
        cheaper = "no tuned peer keeps as much" if rival is None else _told(scene, rival)
        lines.append(Line("W2 tuned <= 0.90", where, cheaper, scene.ratio is None or scene.ratio <= 0.90))
    if shipped:
        beaten = [peer for peer in shipped if _beats_shipped(ours, peer)]
        lost = ", ".join(peer.policy for peer in shipped if peer not in beaten)
        told = f"{len(beaten)} of {len(shipped)}" + (f", not {lost}" if lost else "")
        lines.append(Line("W2 shipped <= 0.80 or +5 points", where, told, not lost))
    if trace.daily:
        lines.append(_against(scene, where, OPTIMUM, 1.2))
    if trace.burst:
        lines.append(_against(scene, where, NO_FORESIGHT, 1.15))
    turns, dropped = ours.of("reversals_per_hour"), ours.of("dropped_ratio")
    allowed = min(2.0, rival.of("reversals_per_hour")) if rival else 2.0
    lines.append(Line("W4 reversals", where, f"{turns:.2f} an hour, bound {allowed:.2f}", turns <= allowed))
    lines.append(Line("W4 dropped <= 0.1 %", where, f"{dropped * 100:.3f} %", dropped <= 0.001))
    return lines


def _told(scene: Scene, peer: Mean) -> str:
    """E.g. `0.84 (0.82 to 0.87) of hpa-queue`; one seed has no interval."""
    low, high = ratio_interval(scene.ours, peer)
    between = f" ({low:.2f} to {high:.2f})" if high > low else ""
    return f"{scene.times(peer):.2f}{between} of {peer.policy}"


def _percent(share: float) -> str:
    return f"{share * 100:.2f} %"


def _beats_shipped(ours: Mean, peer: Mean) -> bool:
    return ours.gpu_hours <= 0.80 * peer.gpu_hours or ours.attainment >= peer.attainment + 0.05


def _against(scene: Scene, where: str, reference: str, bound: float) -> Line:
    ratio = scene.over(reference)
    told = "not computed" if ratio is None else f"{ratio:.2f}"
    return Line(f"W3 <= {bound:g} x {reference}", where, told, None if ratio is None else ratio <= bound)
