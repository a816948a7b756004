"""The report of `chatscale evaluate`: JSON for programs, and one page of Markdown for people."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Final

from chatscale_assistant.evaluation.datasets import Package
from chatscale_assistant.evaluation.measurement import Measurement, Missing
from chatscale_assistant.evaluation.methods import METHODS

FORMAT: Final = 1
"""Version of the JSON. A field is only ever added within one version."""
_FEW: Final = 10
_HEADER: Final = (
    "| suite | what | language | value | 95 % interval | n | baseline | must | aim | reached |\n"
    "|---|---|---|---|---|---|---|---|---|---|\n"
)


@dataclass(frozen=True, slots=True)
class Machine:
    """Where the numbers were measured."""

    cpu: str
    cores: int
    python: str
    load_before: float
    """Load average of the last minute at the start: above 0.5, the latencies are those of a busy machine."""
    load_after: float


@dataclass(frozen=True, slots=True)
class ModelResult:
    """Whether a model may phrase answers."""

    passed: bool
    reason: str
    url: str
    weights: str
    """Their location before the run, as the API stated it (`read_weights`); empty if it did not."""


@dataclass(frozen=True, slots=True)
class Report:
    """All numbers of one run."""

    at: datetime
    revision: str
    took_s: float
    sample: int | None
    """At most this many cases per suite; None: all."""
    machine: Machine
    packages: tuple[Package, ...]
    measurements: tuple[Measurement, ...]
    missing: tuple[Missing, ...]
    models: dict[str, ModelResult]

    @property
    def misses(self) -> tuple[Measurement, ...]:
        """The numbers that do not reach their must."""
        return tuple(each for each in self.measurements if each.reached is False)

    def to_json(self) -> dict[str, Any]:
        """The JSON document. An assistant reads `models` (`spec.model.evaluation`)."""
        return {
            "format": FORMAT,
            "at": self.at.isoformat(timespec="seconds"),
            "revision": self.revision,
            "took_s": round(self.took_s, 1),
            "sample": self.sample,
            "machine": asdict(self.machine),
            "datasets": [{"name": p.name, "version": p.version, "sha256": p.sha256} for p in self.packages],
            "models": {name: asdict(result) for name, result in self.models.items()},
            "measurements": [_measurement(each) for each in self.measurements],
            "not_run": [asdict(each) for each in self.missing],
        }

    def to_page(self) -> str:
        """The page, in Markdown."""
        with_must = [each for each in self.measurements if each.must is not None]
        reached = sum(each.reached is True for each in with_must)
        sample = f", at most {self.sample} cases per suite" if self.sample else ""
        where = f"{self.machine.cpu}, {self.machine.cores} cores, Python {self.machine.python}"
        load = f"{self.machine.load_before:.1f} before and {self.machine.load_after:.1f} after"
        noted = [each for each in self.measurements if each.note and each.reached is not False]
        suites = dict.fromkeys([*(each.suite for each in self.measurements), *(each.suite for each in self.missing)])
        parts = [
            "# Assistant: evaluation\n",
            "Written by `chatscale evaluate --page`; do not edit. No model judges an answer: every check is code.\n",
            f"- Revision `{self.revision}`, {self.at:%Y-%m-%d %H:%M} UTC, {self.took_s / 60:.1f} minutes{sample}",
            f"- {where}; load average {load}",
            f"- {reached} of {len(with_must)} musts reached\n",
            "## Numbers\n",
            _HEADER + "".join(_row(each) for each in self.measurements),
            *_section("Musts that are missed", map(_missed, self.misses)),
            *_section("Suites that did not run", (f"- **{each.suite}**: {each.reason}" for each in self.missing)),
            *_section("The model as writer", (_model(name, result) for name, result in self.models.items())),
            *_section("Notes", (f"- **{_label(each)}**: {each.note}" for each in noted)),
            *_section("How it is measured", (f"- **{name}**: {METHODS[name]}" for name in suites)),
            *_section("Data", (f"- {p.name} {p.version} ({p.licence}): {p.contents}" for p in self.packages)),
        ]
        return "\n".join(parts).rstrip() + "\n"


def _missed(each: Measurement) -> str:
    return f"- **{_label(each)}**: {_show(each.value)}, must {_limit(each)}. {each.note}"


def _model(name: str, result: ModelResult) -> str:
    """The conclusion for `spec.model.writes: WhenEvaluated`."""
    concluded = "passed: it may write" if result.passed else "did not pass: it may not write"
    weights = f", weights at `{result.weights}`" if result.weights else ""
    return f"- `{name}` ({result.url}{weights}) {concluded}. {result.reason}"


def _measurement(each: Measurement) -> dict[str, Any]:
    return {**asdict(each), "reached": each.reached, "reached_aim": each.reached_aim}


def _section(title: str, lines: Iterable[str]) -> list[str]:
    text = "\n".join(lines)
    return [f"## {title}\n\n{text}\n"] if text else []


def _row(each: Measurement) -> str:
    baseline = "" if each.baseline is None else f"{_show(each.baseline)} ({each.baseline_name})"
    reached = {True: "yes", False: "**no**", None: ""}[each.reached]
    cells = (
        each.suite,
        each.name,
        each.language,
        _show(each.value),
        f"{_show(each.low)} to {_show(each.high)}",
        f"{each.n:,}",
        baseline,
        _limit(each),
        "" if each.aim is None else _show(each.aim),
        reached,
    )
    return f"| {' | '.join(cells)} |\n"


def _label(each: Measurement) -> str:
    return f"{each.suite}: {each.name}" + (f" ({each.language})" if each.language else "")


def _limit(each: Measurement) -> str:
    if each.must is None:
        return ""
    return f"{'≤' if each.lower_is_better else '≥'} {_show(each.must)}"


def _show(value: float) -> str:
    """Three decimals below 10, one above; whole numbers without any."""
    if value == int(value):
        return f"{int(value):,}"
    return f"{value:.3f}" if abs(value) < _FEW else f"{value:,.1f}"
