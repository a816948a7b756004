"""From runs to results: means per scene, comparable peers, cost ratios with intervals, and the acceptance criteria."""

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
from tests.benchmarks.autoscaling.stages import EQUAL_MARGIN, OBJECTIVE
from tests.benchmarks.autoscaling.variants import REFERENCE, TUNED

_RESAMPLES = 2000


@dataclass(frozen=True, slots=True)
class Mean:
    """One policy on one scene, over its seeds."""

    policy: str
    variant: str
    rows: tuple[Row, ...]
    """By seed."""

    def of(self, field: str) -> float:
        """Mean of a field over the seeds."""
        return fmean(float(row[field]) for row in self.rows)

    def on(self, other: "Mean") -> "Mean":
        """Only the seeds that the other has too; all seeds if they share none."""
        seeds = {row["seed"] for row in other.rows}
        return replace(self, rows=tuple(row for row in self.rows if row["seed"] in seeds) or self.rows)

    @property
    def attainment(self) -> float:
        """Share of requests within the SLO."""
        return self.of("slo_attainment")

    @property
    def gpu_hours(self) -> float:
        """Mean over the seeds."""
        return self.of("gpu_hours")


@dataclass(frozen=True, slots=True)
class Scene:
    """One trace on one profile, with one cold start and one track, and the means of all policies."""

    trace: str
    profile: str
    cold_start: str
    track: str
    means: tuple[Mean, ...]

    @property
    def chatscale(self) -> Mean:
        """Chatscale's own policy."""
        return next(mean for mean in self.means if mean.policy == CHATSCALE)

    def peers(self, variant: str) -> list[Mean]:
        """All other policies of one variant."""
        return [mean for mean in self.means if mean.variant == variant and mean.policy != CHATSCALE]

    @property
    def equal_peers(self) -> list[Mean]:
        """Tuned peers with the same attainment or more, less EQUAL_MARGIN, on the seeds that both have."""
        return [
            peer for peer in self.peers(TUNED) if peer.attainment >= self.chatscale.on(peer).attainment - EQUAL_MARGIN
        ]

    @property
    def best_peer(self) -> Mean | None:
        """The cheapest of the equal peers; None if there is none."""
        return max(self.equal_peers, key=self.cost_ratio, default=None)

    @property
    def cheaper_peers(self) -> list[Mean]:
        """The equal peers that cost less than Chatscale."""
        return [peer for peer in self.equal_peers if self.cost_ratio(peer) > 1]

    @property
    def best_ratio(self) -> float | None:
        """Chatscale's GPU-hours over those of the best peer."""
        return self.cost_ratio(self.best_peer) if self.best_peer else None

    def cost_ratio(self, other: Mean) -> float:
        """Chatscale's GPU-hours over those of another policy, on the seeds that both have."""
        return self.chatscale.on(other).gpu_hours / other.on(self.chatscale).gpu_hours

    def reference_ratio(self, reference: str) -> float | None:
        """Chatscale's GPU-hours over those of a reference; None if it was not computed."""
        found = [mean for mean in self.means if (mean.policy, mean.variant) == (reference, REFERENCE)]
        return self.cost_ratio(found[0]) if found else None


@dataclass(frozen=True, slots=True)
class Criterion:
    """One acceptance criterion on one scene, or over all scenes."""

    name: str
    where: str
    found: str
    met: bool | None
    """None: it could not be checked."""


def scenes(rows: Iterable[Row]) -> list[Scene]:
    """Group runs by scene. Scenes without Chatscale are left out."""
    groups: dict[tuple[str, str, str, str], dict[tuple[str, str], list[Row]]] = defaultdict(lambda: defaultdict(list))
    for row in rows:
        key = (row["trace"], row["profile"], row["cold_start"], row["track"])
        groups[key][row["policy"], row["variant"]].append(row)
    found = []
    for (trace, profile, cold_start, track), by_policy in groups.items():
        if any(policy == CHATSCALE for policy, _ in by_policy):
            means = (
                Mean(policy, variant, tuple(sorted(runs, key=lambda row: row["seed"])))
                for (policy, variant), runs in by_policy.items()
            )
            found.append(Scene(trace, profile, cold_start, track, tuple(means)))
    return found


def interval(chatscale: Mean, other: Mean, field: str) -> tuple[float, float]:
    """Bootstrap 95 % interval of the mean paired difference, Chatscale minus the other, over shared seeds."""
    by_seed = {row["seed"]: float(row[field]) for row in other.rows}
    pairs = [(float(row[field]), by_seed[row["seed"]]) for row in chatscale.rows if row["seed"] in by_seed]
    return _bootstrap(pairs, lambda drawn: (drawn[..., 0] - drawn[..., 1]).mean(axis=1))


def ratio_interval(chatscale: Mean, other: Mean) -> tuple[float, float]:
    """The same for Chatscale's GPU-hours over the other's."""
    by_seed = {row["seed"]: float(row["gpu_hours"]) for row in other.rows}
    pairs = [(float(row["gpu_hours"]), by_seed[row["seed"]]) for row in chatscale.rows if row["seed"] in by_seed]
    return _bootstrap(pairs, lambda drawn: drawn[..., 0].sum(axis=1) / drawn[..., 1].sum(axis=1))


def _bootstrap(pairs: Sequence[tuple[float, float]], of: Callable[[FloatArray], FloatArray]) -> tuple[float, float]:
    if not pairs:
        return math.nan, math.nan
    rng = np.random.default_rng(0)
    drawn = rng.choice(np.array(pairs), (_RESAMPLES, len(pairs)))
    low, high = np.percentile(of(drawn), (2.5, 97.5))
    return float(low), float(high)


def check(found: Sequence[Scene], traces: Sequence[Trace]) -> list[Criterion]:
    """Check every criterion. W5 repeats W1 to W4 for the other cold starts."""
    by_name = {trace.name: trace for trace in traces}
    equal = [scene for scene in found if scene.track == "equal"]
    criteria = _check([scene for scene in equal if scene.cold_start == "cached"], by_name)
    for cold_start in ("fast", "cold"):
        others = _check([scene for scene in equal if scene.cold_start == cold_start], by_name)
        criteria += [replace(criterion, name=f"W5 ({cold_start}) {criterion.name}") for criterion in others]
    return criteria


def _check(found: Sequence[Scene], traces: dict[str, Trace]) -> list[Criterion]:
    criteria = [criterion for scene in found for criterion in _check_scene(scene, traces[scene.trace])]
    ratios = [scene.best_ratio for scene in found if scene.best_ratio is not None]
    if ratios:
        mean = geometric_mean(ratios)
        criteria.append(Criterion("W2 geometric mean <= 0.85", f"{len(ratios)} scenes", f"{mean:.2f}", mean <= 0.85))
    return criteria


def _check_scene(scene: Scene, trace: Trace) -> list[Criterion]:
    where, chatscale = f"{scene.trace} {scene.profile}", scene.chatscale
    tuned, shipped, best_peer = scene.peers(TUNED), scene.peers(SHIPPED), scene.best_peer
    required = min(OBJECTIVE, max((peer.attainment for peer in tuned), default=0.0))
    worst = min(float(row["slo_attainment"]) for row in chatscale.rows)
    attained = f"{_percent(chatscale.attainment)}, worst seed {_percent(worst)}, bound {_percent(required)}"
    criteria = [Criterion("W1 attainment", where, attained, chatscale.attainment >= required)]
    if trace.predictable:
        cost = "no tuned peer has the same attainment" if best_peer is None else _describe_ratio(scene, best_peer)
        is_met = scene.best_ratio is None or scene.best_ratio <= 0.90
        criteria.append(Criterion("W2 tuned <= 0.90", where, cost, is_met))
    if shipped:
        beaten = [peer for peer in shipped if _beats_shipped(chatscale, peer)]
        not_beaten = ", ".join(peer.policy for peer in shipped if peer not in beaten)
        count = f"{len(beaten)} of {len(shipped)}" + (f", not {not_beaten}" if not_beaten else "")
        criteria.append(Criterion("W2 shipped <= 0.80 or +5 points", where, count, not not_beaten))
    if trace.daily:
        criteria.append(_against_reference(scene, where, OPTIMUM, 1.2))
    if trace.burst:
        criteria.append(_against_reference(scene, where, NO_FORESIGHT, 1.15))
    reversals, dropped = chatscale.of("reversals_per_hour"), chatscale.of("dropped_ratio")
    allowed = min(2.0, best_peer.of("reversals_per_hour")) if best_peer else 2.0
    criteria.append(
        Criterion("W4 reversals", where, f"{reversals:.2f} an hour, bound {allowed:.2f}", reversals <= allowed)
    )
    criteria.append(Criterion("W4 dropped <= 0.1 %", where, f"{dropped * 100:.3f} %", dropped <= 0.001))
    return criteria


def _describe_ratio(scene: Scene, peer: Mean) -> str:
    """E.g. `0.84 (0.82 to 0.87) of hpa-queue`. One seed has no interval."""
    low, high = ratio_interval(scene.chatscale, peer)
    between = f" ({low:.2f} to {high:.2f})" if high > low else ""
    return f"{scene.cost_ratio(peer):.2f}{between} of {peer.policy}"


def _percent(share: float) -> str:
    return f"{share * 100:.2f} %"


def _beats_shipped(chatscale: Mean, peer: Mean) -> bool:
    return chatscale.gpu_hours <= 0.80 * peer.gpu_hours or chatscale.attainment >= peer.attainment + 0.05


def _against_reference(scene: Scene, where: str, reference: str, bound: float) -> Criterion:
    ratio = scene.reference_ratio(reference)
    found = "not computed" if ratio is None else f"{ratio:.2f}"
    return Criterion(f"W3 <= {bound:g} x {reference}", where, found, None if ratio is None else ratio <= bound)
