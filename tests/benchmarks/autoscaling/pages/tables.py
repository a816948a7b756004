"""The tables of the pages, from scenes. A table holds text, so that a page does not depend on where it came from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from chatscale_simulator.policy_choice import CHATSCALE, CHATSCALE_ANNOUNCED
from chatscale_simulator.report.tables import percent
from tests.benchmarks.autoscaling.acceptance import Criterion, Mean, Scene, interval, ratio_interval
from tests.benchmarks.autoscaling.plan import LOWER_BOUND, NO_FORESIGHT, OPTIMUM
from tests.benchmarks.autoscaling.stages import OBJECTIVE, Setting
from tests.benchmarks.autoscaling.variants import TUNED

_FEW_REPLICAS = 4.0
"""A scene whose load needs fewer replicas on average says little about scaling."""


@dataclass(frozen=True, slots=True)
class Table:
    """A Markdown table."""

    head: Sequence[str]
    rows: Sequence[Sequence[str]]

    def markdown(self) -> str:
        """The table with a final newline."""
        lines = [self.head, ["---"] * len(self.head), *self.rows]
        return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


@dataclass(frozen=True, slots=True)
class Titled:
    """A table under a heading; no heading if the title is empty."""

    title: str
    table: Table
    note: str = ""
    """Text between the heading and the table."""

    def markdown(self) -> str:
        """Heading, note and table."""
        parts = [f"### {self.title}\n" if self.title else "", f"{self.note}\n" if self.note else ""]
        return "\n".join([*(part for part in parts if part), self.table.markdown()])


RESULT_HEAD = (
    "trace", "profile", "cold start", "track", "within SLO", "GPU-hours", "best peer", "cost ratio to it",
    "95 % interval", "to the optimum", "to no foresight", "reversals/h", "dropped",
)  # fmt: skip
EVENT_HEAD = (
    "trace", "profile", "cold start", "announced", "seeds", "within SLO", "GPU-hours", "peak", "dropped",
    "TTFT p99, s",
)  # fmt: skip
SCENE_HEAD = (
    "policy", "variant", "seeds", "within SLO", "Chatscale minus it, points", "GPU-hours", "Chatscale / it", "mean",
    "peak", "dropped", "TTFT p50 / p99, s", "reversals/h",
)  # fmt: skip
SETTING_HEAD = ("profile", "policy", "setting", "within SLO", "GPU-hours")


def acceptance_tables(criteria: Sequence[Criterion]) -> list[Titled]:
    """One table for the usual cold start and one for each other: a row per scene, a column per criterion."""
    groups: dict[str, list[Criterion]] = {}
    for criterion in criteria:
        prefix = criterion.name.split(") ")[0] + ")" if criterion.name.startswith("W5") else ""
        groups.setdefault(prefix, []).append(criterion)
    tables = []
    for prefix, group in groups.items():
        names = list(dict.fromkeys(criterion.name for criterion in group))
        by_place = {(criterion.where, criterion.name): criterion for criterion in group}
        rows = [
            [where, *(_cell(by_place.get((where, name))) for name in names)]
            for where in dict.fromkeys(criterion.where for criterion in group)
        ]
        tables.append(Titled(prefix, Table(["scene", *(name.removeprefix(prefix).strip() for name in names)], rows)))
    return tables


def _cell(criterion: Criterion | None) -> str:
    if criterion is None:
        return ""
    return {True: "met", False: "**missed**", None: "not checked"}[criterion.met] + f": {criterion.found}"


def result_table(scenes: Sequence[Scene]) -> Table:
    """Chatscale beside the best peer and the references, one row per scene."""
    rows = []
    for scene in scenes:
        chatscale, peer = scene.chatscale, scene.best_peer
        rows.append([
            scene.trace, scene.profile, scene.cold_start, scene.track, percent(chatscale.attainment),
            f"{chatscale.gpu_hours:.1f}", peer.policy if peer else "none", _ratio(scene.best_ratio),
            _interval(chatscale, peer) if peer else "", _ratio(scene.reference_ratio(OPTIMUM)),
            _ratio(scene.reference_ratio(NO_FORESIGHT)),
            f"{chatscale.of('reversals_per_hour'):.2f}", percent(chatscale.of("dropped_ratio")),
        ])  # fmt: skip
    return Table(RESULT_HEAD, rows)


def event_table(scenes: Sequence[Scene]) -> Table:
    """Chatscale without and with the announced event, one row each."""
    rows = [
        [scene.trace, scene.profile, scene.cold_start, "yes" if mean.policy == CHATSCALE_ANNOUNCED else "no",
         str(len(mean.rows)), percent(mean.attainment), f"{mean.gpu_hours:.1f}", f"{mean.of('peak_replicas'):.0f}",
         percent(mean.of("dropped_ratio")), f"{mean.of('ttft_p99_s'):.2f}"]
        for scene in scenes
        for mean in scene.means
    ]  # fmt: skip
    return Table(EVENT_HEAD, rows)


def scene_table(scene: Scene) -> Titled:
    """All policies on one scene: Chatscale first, then by attainment and cost."""
    means = sorted(scene.means, key=lambda mean: (mean.policy != CHATSCALE, -round(mean.attainment, 3), mean.gpu_hours))
    load_factor = scene.chatscale.rows[0]["load_factor"]
    return Titled(
        f"{scene.trace}, profile {scene.profile}, load x{load_factor}",
        Table(SCENE_HEAD, [_scene_row(scene, mean) for mean in means]),
        _light_load(scene),
    )


def _scene_row(scene: Scene, mean: Mean) -> list[str]:
    is_chatscale = mean.policy == CHATSCALE
    low, high = interval(scene.chatscale, mean, "slo_attainment")
    return [
        mean.policy, "" if is_chatscale else mean.variant, str(len(mean.rows)), percent(mean.attainment),
        "" if is_chatscale else f"{low * 100:+.2f} to {high * 100:+.2f}", f"{mean.gpu_hours:.1f}",
        f"{scene.cost_ratio(mean):.2f}", f"{mean.of('mean_replicas'):.1f}",
        f"{mean.of('peak_replicas'):.0f}", percent(mean.of("dropped_ratio")),
        f"{mean.of('ttft_p50_s'):.2f} / {mean.of('ttft_p99_s'):.2f}", f"{mean.of('reversals_per_hour'):.1f}",
    ]  # fmt: skip


def _light_load(scene: Scene) -> str:
    reaching = [mean for mean in scene.means if mean.attainment >= OBJECTIVE and mean.policy != LOWER_BOUND]
    least = min((mean.of("mean_replicas") for mean in reaching), default=_FEW_REPLICAS)
    if least >= _FEW_REPLICAS:
        return ""
    return f"Light load: {least:.1f} replicas on average reach the objective; a scored scene should need four."


def setting_table(settings: Mapping[str, Mapping[str, Setting]]) -> Table:
    """The tuned settings by profile and policy."""
    rows = [
        [profile, policy, f"`{setting.label}`", percent(setting.slo_attainment), f"{setting.gpu_hours:.1f}"]
        for profile, chosen in settings.items()
        for policy, setting in chosen.items()
    ]
    return Table(SETTING_HEAD, rows)


@dataclass(frozen=True, slots=True)
class SceneSummary:
    """What the front page says about one scene."""

    trace: str
    profile: str
    attainment: float
    gpu_hours: float
    best_peer: str | None
    best_ratio: float | None
    """Chatscale's GPU-hours over those of the best peer."""
    cheaper_peers: tuple[tuple[str, float], ...] = ()
    """(policy, cost ratio) of the tuned peers with the same attainment that cost less."""
    reaching_peer: tuple[str, float] | None = None
    """(policy, GPU-hours) of the cheapest tuned peer that reaches the objective."""


def summarize(scene: Scene) -> SceneSummary:
    """Reduce a scene to the numbers of the front page."""
    reaching = [peer for peer in scene.peers(TUNED) if peer.attainment >= OBJECTIVE]
    cheapest = min(reaching, key=lambda peer: peer.gpu_hours, default=None)
    return SceneSummary(
        scene.trace,
        scene.profile,
        scene.chatscale.attainment,
        scene.chatscale.gpu_hours,
        scene.best_peer.policy if scene.best_peer else None,
        scene.best_ratio,
        tuple((peer.policy, scene.cost_ratio(peer)) for peer in scene.cheaper_peers),
        (cheapest.policy, cheapest.gpu_hours) if cheapest else None,
    )


def _interval(chatscale: Mean, peer: Mean) -> str:
    low, high = ratio_interval(chatscale, peer)
    return f"{low:.2f} to {high:.2f}" if high > low else "one seed"


def _ratio(ratio: float | None) -> str:
    return "" if ratio is None else f"{ratio:.2f}"
