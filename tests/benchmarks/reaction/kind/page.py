"""The section of docs/benchmarks/reaction.md about the kind cluster."""

from collections.abc import Sequence
from statistics import fmean, median
from typing import Final

from hack.paths import ROOT
from tests.benchmarks.reaction.kind.results import Burst, Measured
from tests.benchmarks.reaction.kind.scene import (
    ANSWER_TOKENS,
    BURST_S,
    IDLE_S,
    MAX_REPLICAS,
    PROFILE,
    PROMPT_TOKENS,
    REQUESTS_PER_S,
    SLOTS,
    STARTUP_S,
    Variant,
)

PAGE: Final = ROOT / "docs" / "benchmarks" / "reaction.md"
DATA: Final = ROOT / "docs" / "benchmarks" / "reaction-kind.json"
HEADING: Final = "## Measured on a kind cluster"
NAMES: Final = {
    Variant.SLO: f"only `maxReplicas: {MAX_REPLICAS}` (the default policy)",
    Variant.QUEUE_DEPTH: "`metrics: [QueueDepth: 4]`",
    Variant.HPA: "mode HPA",
}
FIRST_MEDIAN_S: Final = 2.0
FIRST_MAX_S: Final = 4.0
SUFFICIENT_S: Final = 6.0


def with_section(page: str, measured: Measured) -> str:
    """The page with this section as its last, in place of an earlier one."""
    simulated = page.partition(HEADING)[0].rstrip("\n")
    return f"{simulated}\n\n{section(measured)}"


def section(measured: Measured) -> str:
    """The whole section, with its heading."""
    return "\n".join(
        [
            HEADING,
            "",
            _setting(measured),
            "",
            _summary(measured),
            "",
            *_goals(measured),
            "",
            "**Fixed counts**",
            "",
            *_fixed(measured),
            "",
            (
                "**Every burst.** First write / sufficient in seconds, and the share late, refused or lost. *Load*: "
                "load average of the machine in the last minute of each burst."
            ),
            "",
            *_rounds(measured),
            "",
        ]
    )


def _setting(measured: Measured) -> str:
    return (
        f'`make bench-reaction BENCH="--kind"` writes this section from `{DATA.name}`: the real operator, API server, '
        f"HPA controller and servers, on {measured.machine}, {measured.date}, revision {measured.revision}. Other work "
        "ran on the machine.\n\n"
        f"**Setting.** Engine Simulated, profile `{PROFILE}`, {SLOTS} slots, startup {STARTUP_S} s; one replica, idle "
        f"for at least {IDLE_S:.0f} s after Ready. Then {REQUESTS_PER_S:g} requests/s for {BURST_S:.0f} s: a Poisson "
        f"process, open loop, prompts of {PROMPT_TOKENS} and answers of {ANSWER_TOKENS} tokens, through a Service. The "
        "three autoscaling blocks take turns; within a round they get the same arrivals. *First write* and "
        "*sufficient* are times from the first request to the watch event with the higher `spec.replicas`; a count of "
        f"**{measured.sufficient}** is sufficient: the smallest fixed count that refused nothing. *Late*: over 2 s to "
        "the first token or 100 ms per token."
    )


def _summary(measured: Measured) -> str:
    lines = [
        (
            "| autoscaling | bursts | first write, median (range) s | sufficient, median (range) s | "
            "late or refused, mean (range) | highest count, mean |"
        ),
        "|---|---:|---:|---:|---:|---:|",
    ]
    for variant, name in NAMES.items():
        bursts = measured.of(variant)
        if not bursts:
            continue
        sufficient = [burst.time_to(measured.sufficient) for burst in bursts]
        highest = fmean(max(count for _, count in burst.counts) for burst in bursts)
        missed = [burst.missed for burst in bursts]
        lines.append(
            f"| {name} | {len(bursts)} | {_range([burst.first_write_s for burst in bursts])} | {_range(sufficient)} "
            f"| {fmean(missed):.1%} ({min(missed):.1%} to {max(missed):.1%}) | {highest:.1f} |"
        )
    return "\n".join(lines)


def _goals(measured: Measured) -> list[str]:
    """Each goal of the default policy, and whether it was reached."""
    bursts = measured.of(Variant.SLO)
    if not bursts:
        return []
    first = [_or_never(burst.first_write_s) for burst in bursts]
    sufficient = [_or_never(burst.time_to(measured.sufficient)) for burst in bursts]
    missed = {variant: fmean(burst.missed for burst in measured.of(variant)) for variant in _seen(measured)}
    others = [share for variant, share in missed.items() if variant is not Variant.SLO]
    return [
        "**Goals of the default policy**",
        "",
        "| goal | found | reached |",
        "|---|---|---|",
        (
            f"| first write: median at most {FIRST_MEDIAN_S:g} s | {_s(median(first))} "
            f"| {_yes(median(first) <= FIRST_MEDIAN_S)} |"
        ),
        f"| first write: at most {FIRST_MAX_S:g} s | {_s(max(first))} | {_yes(max(first) <= FIRST_MAX_S)} |",
        (
            f"| sufficient count within {SUFFICIENT_S:g} s | {_s(max(sufficient))}, "
            f"{sum(at_s <= SUFFICIENT_S for at_s in sufficient)} of {len(sufficient)} bursts "
            f"| {_yes(max(sufficient) <= SUFFICIENT_S)} |"
        ),
        (
            f"| late or refused below both others | {missed[Variant.SLO]:.1%}, others "
            f"{' and '.join(f'{share:.1%}' for share in others)} "
            f"| {_yes(all(missed[Variant.SLO] < share for share in others))} |"
        ),
    ]


def _fixed(measured: Measured) -> list[str]:
    rows = [
        f"| {count} | {burst.sent} | {burst.refused} | {burst.late} | {burst.lost} | {burst.load_average:.1f} |"
        for count, burst in sorted(measured.fixed.items())
    ]
    return ["| replicas | requests | refused | late | lost | load |", "|---:|---:|---:|---:|---:|---:|", *rows]


def _rounds(measured: Measured) -> list[str]:
    variants = _seen(measured)
    lines = [
        f"| round | {' | '.join(f'{NAMES[variant]} | load' for variant in variants)} |",
        f"|---:|{'---:|---:|' * len(variants)}",
    ]
    for number, bursts in enumerate(measured.rounds, start=1):
        cells = [_cells(bursts.get(variant), measured.sufficient) for variant in variants]
        lines.append(f"| {number} | {' | '.join(cells)} |")
    return lines


def _cells(burst: Burst | None, sufficient: int) -> str:
    if burst is None:
        return "- | -"
    times = f"{_plain(burst.first_write_s)} / {_plain(burst.time_to(sufficient))}"
    return f"{times}, {burst.missed:.1%} | {burst.load_average:.1f}"


def _seen(measured: Measured) -> list[Variant]:
    return [variant for variant in NAMES if measured.of(variant)]


def _range(times_s: Sequence[float | None]) -> str:
    """Median and range; a burst without it is "never"."""
    known = [_or_never(at_s) for at_s in times_s]
    low, middle, high = (_s(at_s).removesuffix(" s") for at_s in (min(known), median(known), max(known)))
    return f"{middle} ({low} to {high})"


def _or_never(at_s: float | None) -> float:
    return float("inf") if at_s is None else at_s


def _s(at_s: float) -> str:
    return "never" if at_s == float("inf") else f"{at_s:.1f} s"


def _plain(at_s: float | None) -> str:
    return "-" if at_s is None else f"{at_s:.1f}"


def _yes(reached: bool) -> str:  # noqa: FBT001 - the only argument
    return "yes" if reached else "**no**"
