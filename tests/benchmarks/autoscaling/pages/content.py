"""All pages of a benchmark, from its scenes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tests.benchmarks.autoscaling.acceptance import Criterion, Scene
from tests.benchmarks.autoscaling.pages.details import (
    acceptance_page,
    method_page,
    results_page,
    scenes_page,
    tuned_settings_page,
)
from tests.benchmarks.autoscaling.pages.front import Front, front_page
from tests.benchmarks.autoscaling.pages.routed import routing_section
from tests.benchmarks.autoscaling.pages.tables import (
    acceptance_tables,
    event_table,
    result_table,
    scene_table,
    setting_table,
    summarize,
)
from tests.benchmarks.autoscaling.plan import Trace
from tests.benchmarks.autoscaling.routing import Recorded
from tests.benchmarks.autoscaling.stages import Setting


@dataclass(frozen=True, slots=True)
class Content:
    """Everything that the pages are made of."""

    scenes: Sequence[Scene]
    criteria: Sequence[Criterion]
    settings: Mapping[str, Mapping[str, Setting]]
    traces: Sequence[Trace]
    revision: str
    played: str
    """How much of the traces was simulated, with how many seeds."""
    note: str = ""
    """What is missing, if anything."""
    whole_days: Sequence[Scene] = ()
    """Scenes on whole traces, where the others are on parts of them."""
    announced: Sequence[Scene] = ()
    """Chatscale on unannounced spikes, without and with an announced event."""
    core_hours: float = 0.0
    """Core time of all runs."""
    day_picture: tuple[str, str] | None = None
    """(caption, file relative to the front page)."""
    cost_pictures: Sequence[tuple[str, str]] = ()
    """(caption, file beside the detail pages)."""
    routing: Recorded | None = None
    """The gateway beside a Service."""


def write_pages(content: Content) -> dict[str, str]:
    """Return Markdown by file name, relative to docs/benchmarks."""
    usual = [scene for scene in content.scenes if scene.cold_start == "cached" and scene.track == "equal"]
    took = f" The runs took {content.core_hours:.1f} hours of one core." if content.core_hours else ""
    descriptions = {trace.name: trace.description for trace in content.traces}
    summaries = [summarize(scene) for scene in usual]
    return {
        "autoscaling.md": front_page(
            Front(
                summaries,
                descriptions,
                content.played,
                content.day_picture,
                content.note,
                routing_section(content.routing),
            )
        ),
        "autoscaling/results.md": results_page(
            result_table(content.scenes),
            result_table(content.whole_days) if content.whole_days else None,
            event_table(content.announced) if content.announced else None,
        ),
        "autoscaling/scenes.md": scenes_page([scene_table(scene) for scene in usual]),
        "autoscaling/tuned-settings.md": tuned_settings_page(setting_table(content.settings)),
        "autoscaling/acceptance.md": acceptance_page(acceptance_tables(content.criteria)),
        "autoscaling/method.md": method_page(
            content.played, f"Revision `{content.revision}`.{took}", content.cost_pictures
        ),
    }
