"""The part of the front page that compares the gateway with a Service."""

import textwrap
from collections.abc import Sequence
from statistics import geometric_mean
from typing import Final

from tests.benchmarks.autoscaling.pages.tables import Table
from tests.benchmarks.autoscaling.plan import MACHINES
from tests.benchmarks.autoscaling.routing import HOURS, Compared, Recorded, compare

TITLE: Final = "## With the gateway and with a Service"
_NEXT_PART: Final = "\n## "
_PER_MANY: Final = 1000
_ATTAINMENT_NOISE: Final = 0.0005
"""A smaller difference of attainment counts as none."""
_INTRODUCTION: Final = (
    "The comparison above sends each request to the replica with the fewest requests, for every autoscaler alike. This "
    "one has Chatscale's default policy, its own readings every 2 seconds, and two ways to the replicas. A **Service** "
    "selects a replica at random, and requests wait in the replicas. The **gateway** sends a replica at most 1.1 times "
    "its slots, selects the replica with the fewest requests, and holds the rest in one queue; the policy reads what "
    "the gateway holds, and which requests were late for the client."
)


def routing_section(recorded: Recorded | None) -> str:
    """The part as Markdown; empty if nothing is recorded."""
    pairs = [] if recorded is None else compare(recorded.rows)
    if recorded is None or not pairs:
        return ""
    hours = " and ".join(f"{value:g} hours of each trace for the {MACHINES[name]}" for name, value in HOURS.items())
    how = (
        f"A sample, because whole days take hours: the {hours}, those that change most; one seed. The rows with 8, 32 "
        "and 64 slots have as many copies of the trace as a rough estimate gives for five replicas, at least one. "
        f'`make bench-autoscaling BENCH="--set routing"` repeats it. Revision `{recorded.revision}`; '
        f"{recorded.core_minutes:.0f} minutes of one core."
    )
    return "\n".join(
        [f"{TITLE}\n", _wrapped(_INTRODUCTION), _wrapped(_result(pairs)), _table(pairs).markdown(), _wrapped(how)]
    )


def with_section(page: str, section: str) -> str:
    """The page with this part instead of the one that it has. Raises ValueError if it has none."""
    begin = page.find(TITLE)
    if begin < 0:
        raise ValueError(f"the page must have the heading {TITLE!r}, found none")
    end = page.find(_NEXT_PART, begin)
    return page[:begin] + section + (page[end:] if end >= 0 else "")


def _result(pairs: Sequence[Compared]) -> str:
    change = geometric_mean(pair.cost_ratio for pair in pairs) - 1
    gains = [pair.gateway["slo_attainment"] - pair.service["slo_attainment"] for pair in pairs]
    more, fewer = sum(gain > _ATTAINMENT_NOISE for gain in gains), sum(gain < -_ATTAINMENT_NOISE for gain in gains)
    worse = dict.fromkeys(
        f"`{pair.trace}`" for pair, gain in zip(pairs, gains, strict=True) if gain < -_ATTAINMENT_NOISE
    )
    names = f" ({', '.join(worse)})" if worse else ""
    points = 100 * sum(gains) / len(gains)
    return (
        f"**With the gateway the same traffic costs {abs(change) * 100:.0f} % {'fewer' if change < 0 else 'more'} "
        f"GPU-hours** (geometric mean of {len(pairs)} rows). More requests are in time in {more} rows and fewer in "
        f"{fewer}{names}; the mean difference is {points:+.1f} points."
    )


def _table(pairs: Sequence[Compared]) -> Table:
    head = [
        "traffic", "machine", "slots", "in time, of 1,000: Service", "gateway", "refused, of 1,000: Service", "gateway",
        "GPU-hours: Service", "gateway", "gateway costs",
    ]  # fmt: skip
    return Table(
        head,
        [
            [
                f"`{pair.trace}`", MACHINES[pair.profile], str(pair.slots),
                *(_per_many(row["slo_attainment"]) for row in (pair.service, pair.gateway)),
                *(_per_many(row["dropped_ratio"]) for row in (pair.service, pair.gateway)),
                *(f"{row['gpu_hours']:.1f}" for row in (pair.service, pair.gateway)),
                f"{(pair.cost_ratio - 1) * 100:+.0f} %",
            ]
            for pair in pairs
        ],
    )  # fmt: skip


def _per_many(share: float) -> str:
    return f"{share * _PER_MANY:.1f}"


def _wrapped(text: str) -> str:
    return textwrap.fill(text, 118, break_long_words=False, break_on_hyphens=False) + "\n"
