"""Which policies a comparison plays: our own, and those of other systems."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from chatscale.api.v1alpha1 import AutoscalingSpec
from chatscale_simulator.errors import InputError
from chatscale_simulator.inputs.events import Event, parse_event
from chatscale_simulator.policies.context import PolicyContext
from chatscale_simulator.policies.registry import POLICIES, SHIPPED, Registry, Variant
from chatscale_simulator.simulation.outcome import Track
from chatscale_simulator.simulation.profiles import ServerProfile, SloTarget
from chatscale_simulator.simulation.run import SCRAPE_EVERY_S
from chatscale_simulator.simulation.shipping import STARTS_AT, Shipping, as_scraped
from chatscale_simulator.simulation.sizing import Sizing
from chatscale_simulator.simulation.view import Policy

OURS: Final = "chatscale"
ANNOUNCED: Final = "chatscale-announced"
"""Our policy with announced events; its setting is their labels, joined by commas."""
MAX_REPLICAS: Final = 64
"""For every policy: shipped caps of 1, 5 and 8 would decide a comparison."""


@dataclass(frozen=True, slots=True)
class Contender:
    """One line of a comparison."""

    policy: str
    variant: str
    """SHIPPED, or how the line differs from the shipped settings."""
    setting: str = SHIPPED
    """Which of the policy's settings is played, by its label in the registry."""


def contenders(names: Sequence[str] | None) -> list[Contender]:
    """Each policy named once, all known ones for None. Raises InputError that lists the known ones."""
    known = (OURS, *POLICIES)
    wanted = list(dict.fromkeys(known if names is None else names))
    unknown = [name for name in wanted if name not in known]
    if unknown:
        raise InputError(f"--policy must be of {', '.join(known)}, found {unknown[0]}")
    return [Contender(name, SHIPPED) for name in wanted]


def announced(events: Sequence[Event]) -> Contender:
    """Our policy with these events announced."""
    return Contender(ANNOUNCED, SHIPPED, ",".join(event.label for event in events))


def variant_of(contender: Contender, registry: Registry) -> Variant:
    """The settings behind a label. Raises InputError if the registry has none of that label, or no longer."""
    try:
        return registry[contender.policy].variant(contender.setting)
    except KeyError:
        raise InputError(
            f"{contender.policy} must have a setting {contender.setting!r}, found none: tune again "
            "(make bench-autoscaling)"
        ) from None


def _spec(contender: Contender, track: Track) -> AutoscalingSpec:
    """Ours as it ships. Prometheus' 15 s scrapes in the equal track; in the native one its own scrapes of pods."""
    labels = contender.setting.split(",") if contender.policy == ANNOUNCED else []
    events = [parse_event(label).at(STARTS_AT) for label in labels]
    spec = AutoscalingSpec(max_replicas=MAX_REPLICAS, events=events)
    return spec if track is Track.NATIVE else as_scraped(spec)


def build(
    contender: Contender,
    server: ServerProfile,
    slo: SloTarget,
    sizing: Sizing,
    track: Track,
    registry: Registry = POLICIES,
) -> Policy:
    """Make a policy for one run; in the equal track it acts as often as all others."""
    period_s = SCRAPE_EVERY_S if track is Track.EQUAL else None
    if contender.policy in (OURS, ANNOUNCED):
        return Shipping(_spec(contender, track), server.max_sequences, period_s)
    facts = PolicyContext(
        max_sequences=server.max_sequences,
        kv_capacity_tokens=server.steps.kv_tokens,
        tokens_per_step=server.steps.tokens_per_step,
        step_ms=server.steps.step_ms,
        ttft_slo_s=slo.ttft_s,
        tpot_slo_s=slo.tpot_s,
        peak_replicas=sizing.peak,
        mean_replicas=sizing.mean,
    )
    return variant_of(contender, registry).build(facts, period_s=period_s)
