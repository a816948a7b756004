"""The front page: the result in plain words, for readers who do not know autoscaling."""

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import geometric_mean
from typing import Final

from tests.benchmarks.autoscaling.pages.tables import SceneSummary, Table
from tests.benchmarks.autoscaling.plan import MACHINES
from tests.benchmarks.autoscaling.stages import OBJECTIVE

EXAMPLE_PRICE: Final = 3.0
"""Dollars per GPU-hour in the examples. Not a quote of any cloud."""
_CLEAR: Final = 0.005
"""Cost differences below half a percent are called equal."""
_SIMILAR: Final = 0.05
_MANY: Final = 1000


@dataclass(frozen=True, slots=True)
class Front:
    """The content of the front page."""

    summaries: Sequence[SceneSummary]
    """With the usual cold start and equal signals for all policies."""
    descriptions: Mapping[str, str]
    """What each trace is, by its name."""
    played: str = ""
    """How much of the traces was simulated, with how many seeds."""
    picture: tuple[str, str] | None = None
    """(caption, file relative to the page)."""
    note: str = ""
    """What is missing, if the benchmark is incomplete."""
    routing: str = ""
    """The part about the gateway and a Service."""


def front_page(front: Front) -> str:
    """The page as Markdown."""
    parts = [_HEAD, _result(front.summaries), f"{front.note}\n" if front.note else ""]
    if front.picture is not None:
        caption, file = front.picture
        parts.append(f"![{caption}]({file})\n\n*{caption}. Each line is the number of replicas that were paid for.*\n")
    parts += [_COMPARED, _traces(front)]
    if front.summaries:
        parts += [
            _MEANING,
            _scene_table(front).markdown(),
            _money(front.summaries),
            _played(front),
            _LOSSES,
            _losses(front),
        ]
    parts += [front.routing, _REPEAT, _DETAILS]
    return "\n".join(part for part in parts if part)


_HEAD: Final = """\
<!-- Written by `make bench-autoscaling`; do not edit. -->

# Autoscaling: Chatscale compared with other autoscalers

An autoscaler decides how many copies (replicas) of a model run. Too few, and users wait. Too many, and you pay for
idle GPUs. This page compares what users got and what it cost.
"""
_COMPARED: Final = f"""\
## What was compared

Every autoscaler served the same traffic in a simulator, with the same start-up times and the same failures.
The simulator runs Chatscale's real scaling code with its default settings. The others were reimplemented from their
source code: the HorizontalPodAutoscaler of Kubernetes, KEDA, Knative, KubeAI, AIBrix, llm-d's WVA, NVIDIA Dynamo, Ray
Serve, AWS target tracking, and fixed numbers of replicas. Each of them ran twice: with the settings that its project
ships, and with the best of up to 24 settings, tuned on parts of this traffic. The comparisons below are with the tuned
ones.

A request counts as **in time** if its first token appears within 2 seconds (long prompts get longer) and the others
follow at 10 tokens per second, about 7 words, or faster. The objective is {OBJECTIVE * 100:.0f} % of all requests. The
traffic is:
"""
_MEANING: Final = """\
## What the result means

The competitor in each row is the cheapest one that served as many requests in time as Chatscale. The last column
compares the GPU-hours, and so the cost.
"""
_LOSSES: Final = """\
## Where Chatscale loses

A combination is listed if fewer requests than the objective were in time, or if a tuned competitor served as many for
less. An autoscaler cannot prepare for a spike that it does not know about, because new replicas need a full start. If
you expect a spike, announce it: [the results](autoscaling/results.md#announced-events) show the difference.
"""
_REPEAT: Final = """\
## How to repeat it

```console
make bench-autoscaling                      # all of it: several hours, continues where it stopped
make bench-autoscaling BENCH="--set short"  # up to six hours of each day, two seeds
make bench-autoscaling BENCH="--set routing"  # the gateway and a Service, half an hour
make bench-autoscaling BENCH="--set reduced --json scores.json"  # minutes, on traces in this repository
```

The first three need the public traces in `../shared/traces`. To compare autoscalers on your own traffic, or to get a
forecast for your ChatModel, use `chatscale simulate` ([simulator/README.md](../../simulator/README.md)).
"""
_DETAILS: Final = """\
## The details

| page | content |
| --- | --- |
| [Results](autoscaling/results.md) | every trace, machine and start-up time; whole days; announced events |
| [Scenes](autoscaling/scenes.md) | every autoscaler on every trace |
| [Tuned settings](autoscaling/tuned-settings.md) | the settings that tuning chose for the other autoscalers |
| [Acceptance](autoscaling/acceptance.md) | the project's own criteria, met or missed |
| [Method](autoscaling/method.md) | how it was measured, and what it does not show |
"""


def _result(summaries: Sequence[SceneSummary]) -> str:
    if not summaries:
        return "Nothing is scored yet.\n"
    reached = sum(summary.attainment >= OBJECTIVE for summary in summaries)
    ratios = [summary.best_ratio for summary in summaries if summary.best_ratio is not None]
    lines = []
    if ratios:
        change = geometric_mean(ratios) - 1
        lines.append(
            f"**Chatscale needed {abs(change) * 100:.0f} % {'fewer' if change < 0 else 'more'} GPU-hours** than the "
            f"cheapest competitor that served as many requests in time (geometric mean of {len(ratios)} comparisons)."
        )
    lines.append(
        f"It reached the objective of {OBJECTIVE * 100:.0f} % of requests in time in {reached} of {len(summaries)} "
        "combinations of traffic and machine."
    )
    cheaper = sum(bool(summary.cheaper_peers) for summary in summaries)
    lines.append(
        f"In {cheaper} of them a tuned competitor served as many requests for less money."
        if cheaper
        else "No tuned competitor served as many requests for less money."
    )
    return _wrapped(" ".join(lines)) + "\n"


def _traces(front: Front) -> str:
    names = dict.fromkeys(summary.trace for summary in front.summaries)
    return "".join(f"- `{name}`: {front.descriptions[name]}\n" for name in names if front.descriptions.get(name))


def _scene_table(front: Front) -> Table:
    rows = [
        [
            f"`{summary.trace}`",
            MACHINES.get(summary.profile, summary.profile),
            _in_time(summary.attainment),
            f"{summary.gpu_hours:.1f}",
            summary.best_peer or "none",
            "" if summary.best_ratio is None else _change(summary.best_ratio),
        ]
        for summary in front.summaries
    ]
    head = ["traffic", "machine", "in time, of 1,000 requests", "GPU-hours", "competitor", "Chatscale costs"]
    return Table(head, rows)


def _money(summaries: Sequence[SceneSummary]) -> str:
    """The sums over all scenes with a comparable competitor."""
    pairs = [
        (summary.gpu_hours, summary.gpu_hours / summary.best_ratio)
        for summary in summaries
        if summary.best_ratio is not None
    ]
    if not pairs:
        return ""
    chatscale, peers = (sum(hours) for hours in zip(*pairs, strict=True))
    return (
        _wrapped(
            f"In total these combinations cost {chatscale:,.0f} GPU-hours with Chatscale and {peers:,.0f} with the "
            f"competitors. At an example price of ${EXAMPLE_PRICE:g} per GPU-hour that is "
            f"${chatscale * EXAMPLE_PRICE:,.0f} against ${peers * EXAMPLE_PRICE:,.0f}."
        )
        + "\n"
    )


def _played(front: Front) -> str:
    if not front.played:
        return ""
    return _wrapped(f"{front.played} [The results](autoscaling/results.md) have whole days too.") + "\n"


def _losses(front: Front) -> str:
    """One list item per scene below the objective, or with a cheaper competitor."""
    items = []
    for summary in front.summaries:
        findings = [*_below_objective(summary), *_cheaper(summary)]
        if findings:
            place = f"`{summary.trace}`, {MACHINES.get(summary.profile, summary.profile)}"
            items.append(_wrapped(f"- {place}: {'; '.join(findings)}.", indent="  "))
    return "\n".join(items or ["Nowhere in this comparison."]) + "\n"


def _below_objective(summary: SceneSummary) -> list[str]:
    if summary.attainment >= OBJECTIVE:
        return []
    finding = f"{_in_time(summary.attainment)} of 1,000 requests in time"
    if summary.reaching_peer is None:
        return [finding, "no tuned competitor reaches the objective"]
    policy, gpu_hours = summary.reaching_peer
    times = gpu_hours / summary.gpu_hours
    cost = "about the same GPU-hours" if abs(times - 1) < _SIMILAR else f"{times:.1f} times the GPU-hours"
    return [finding, f"{policy} reaches the objective with {cost}"]


def _cheaper(summary: SceneSummary) -> list[str]:
    return [
        f"Chatscale costs {_change(ratio)} than {policy}, with as many requests in time"
        for policy, ratio in summary.cheaper_peers
    ]


def _in_time(attainment: float) -> str:
    """Of 1,000 requests, rounded down: 999.6 is not all of them."""
    return f"{int(attainment * _MANY + 1e-9)}"


def _change(ratio: float) -> str:
    """A cost ratio in words, e.g. `24 % less`."""
    if abs(ratio - 1) < _CLEAR:
        return "the same"
    return f"{abs(ratio - 1) * 100:.0f} % {'more' if ratio > 1 else 'less'}"


def _wrapped(text: str, indent: str = "") -> str:
    """Break lines between words. indent: of all lines but the first."""
    return textwrap.fill(text, 118, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)
