"""The pages with the tables. Each is made of `Table`s, so it does not depend on where the numbers came from."""

from collections.abc import Sequence
from typing import Final

from tests.benchmarks.autoscaling.pages.tables import Table, Titled

_HEAD: Final = """\
<!-- Written by `make bench-autoscaling`; do not edit. -->

# {title}

Part of the [autoscaling comparison](../autoscaling.md). {text}
"""
TERMS: Final = """\
Profile M is a 70B model on four H100, profile S an 8B model on an A100. **Within SLO** is the share of requests with
a first token within 2 s (or three times its time on an idle replica) and at most 100 ms per token after it. The
**best peer** is the cheapest tuned peer with at least Chatscale's attainment less 0.1 points. A **cost ratio** is
Chatscale's GPU-hours over those of the other: below 1 Chatscale is cheaper. The **optimum** is the cheapest schedule
found with knowledge of the whole future, **no foresight** the best schedule that follows the present load exactly.
"""
_WHOLE: Final = """\
## Whole days

The table above is measured on the hours that change most, where a policy that learns has had no calm hours yet. This
one is measured from midnight to midnight, for Chatscale and the tuned peers that were close in those hours.
"""
_EVENTS: Final = """\
## Announced events

No policy without spare replicas can follow a spike of 12x that is over in minutes, but a team often knows about it.
Here the quarter hours of the spike are announced (`spec.autoscaling.events`), with the replicas that an estimate
gives for its busiest five minutes.
"""
_METHOD: Final = """\
Peers were reimplemented from their sources. They run as shipped (with bounds of 1 and 64 replicas for all) and tuned:
up to 8 values of the main target times 3 of the main window, of which the cheapest that reaches 99 % over windows of
the development traces is chosen. Chatscale runs with its defaults.

In the equal track all policies see the same 15 s scrapes and decide every 15 s. 2 % of the scrapes fail, and all
scrapes fail once for two minutes. In the native track each policy has its own interval and source of metrics.
GPU-hours are billed from the creation of a pod to its end. Requests that were refused or timed out count as missed.

All policies run with one seed; Chatscale and the tuned peers that come close run with all seeds. Ratios and
differences are over the seeds that both have, with a bootstrap 95 % interval where there are several.
"""
_LIMITS: Final = """\
## What this does not show

- Servers are simulated, and some of their constants are derived, not measured.
- Peers were read and reimplemented, not run.
- Prefix caching is off.
- Request lengths of the World Cup traces are taken from the Azure trace. Input and output lengths of the ServeGen
  traces are independent of each other.
- A node is always available up to 64 replicas.
- Fixed fleets are sized with knowledge of the load.
- Without an idle count, KEDA is the HPA on the same metric, so tuned they are the same.
- The settings of AIBrix come closest to the objective where they use nearly every replica.
- Tuning saw parts of these traces. Other traces are the harder test.
"""
_CRITERIA: Final = """\
| criterion | meaning |
| --- | --- |
| W1 | attainment: at least 99 %, or that of the best tuned peer if none reaches 99 % |
| W2 tuned | cost ratio to the best peer at most 0.90 without an unannounced spike, and 0.85 in the geometric mean |
| W2 shipped | against every peer as shipped: at most 0.80 of the cost, or at least 5 points more attainment |
| W3 | cost ratio to a reference that knows more than any policy |
| W4 | few reversals of the count, and at most 0.1 % of requests dropped |
| W5 | W1 to W4 with fast (30 s) and cold (295 s) starts, without tuning again |
"""


def results_page(results: Table, whole_days: Table | None, events: Table | None) -> str:
    """All scenes in one table, whole days, and announced events."""
    text = "One row per combination of trace, profile, cold start and track."
    parts = [_HEAD.format(title="Results", text=text), TERMS, results.markdown()]
    parts += [_WHOLE, whole_days.markdown()] if whole_days else []
    parts += [_EVENTS, events.markdown()] if events else []
    return "\n".join(parts)


def scenes_page(scenes: Sequence[Titled]) -> str:
    """Every policy on every scene with the usual cold start."""
    text = "Every policy on every trace, with the usual cold start of 80 s and equal signals."
    return "\n".join([_HEAD.format(title="Scenes", text=text), TERMS, *(scene.markdown() for scene in scenes)])


def tuned_settings_page(settings: Table) -> str:
    """The settings that tuning chose."""
    text = "The settings that tuning chose, with their scores on the tuning windows."
    return "\n".join([_HEAD.format(title="Tuned settings", text=text), settings.markdown()])


def acceptance_page(tables: Sequence[Titled]) -> str:
    """The acceptance criteria, scene by scene."""
    text = "The criteria that the project set for itself, scene by scene."
    return "\n".join([_HEAD.format(title="Acceptance", text=text), _CRITERIA, *(table.markdown() for table in tables)])


def method_page(played: str, provenance: str, pictures: Sequence[tuple[str, str]]) -> str:
    """How it is measured, and what it does not show. pictures: (caption, file beside the page)."""
    drawn = [f"![{caption}]({file})\n\n*{caption}*\n" for caption, file in pictures]
    parts = [_HEAD.format(title="Method", text="How it is measured, and what it does not show."), TERMS, _METHOD]
    parts += [f"{played}\n", f"{provenance}\n"]
    parts += ["## Cost against attainment\n", "Each point is one setting.\n", *drawn] if drawn else []
    return "\n".join([*parts, _LIMITS])
