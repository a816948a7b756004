"""Which policies a comparison runs, by name: Chatscale's own and those of other systems."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from chatscale.api.v1alpha1 import AutoscalingSpec
from chatscale_simulator.errors import InputError
from chatscale_simulator.inputs.events import Event, parse_event
from chatscale_simulator.policies.chatscale import DEFAULT_START, ChatscalePolicy, with_prometheus_source
from chatscale_simulator.policies.context import PolicyContext
from chatscale_simulator.policies.registry import POLICIES, SHIPPED, Registry, Variant
from chatscale_simulator.simulation.policy import Policy
from chatscale_simulator.simulation.profiles import ServerProfile, SloTarget
from chatscale_simulator.simulation.scenario import SCRAPE_INTERVAL_S, Track
from chatscale_simulator.simulation.sizing import Sizing

CHATSCALE: Final = "chatscale"
CHATSCALE_ANNOUNCED: Final = "chatscale-announced"
"""Chatscale with announced events; its setting is the event labels, joined by commas."""
MAX_REPLICAS: Final = 64
"""For every policy. Some projects ship a maximum of 1, 5 or 8, which would decide a comparison."""


@dataclass(frozen=True, slots=True)
class PolicyChoice:
    """One row of a comparison: a policy and its settings. Other processes build the policy from these names."""

    policy: str
    variant: str
    """SHIPPED, or how the settings differ from the shipped ones."""
    setting: str = SHIPPED
    """Label of the settings in the registry."""


def choose_policies(names: Sequence[str] | None) -> list[PolicyChoice]:
    """Each named policy once; None selects all. Raises InputError with the known names."""
    known = (CHATSCALE, *POLICIES)
    chosen = list(dict.fromkeys(known if names is None else names))
    unknown = [name for name in chosen if name not in known]
    if unknown:
        raise InputError(f"--policy must be of {', '.join(known)}, found {unknown[0]}")
    return [PolicyChoice(name, SHIPPED) for name in chosen]


def chatscale_with_events(events: Sequence[Event]) -> PolicyChoice:
    """Chatscale with these events announced."""
    return PolicyChoice(CHATSCALE_ANNOUNCED, SHIPPED, ",".join(event.label for event in events))


def variant_of(choice: PolicyChoice, registry: Registry) -> Variant:
    """The settings with the label of `choice`. Raises InputError if the registry has none."""
    try:
        return registry[choice.policy].variant(choice.setting)
    except KeyError:
        raise InputError(
            f"{choice.policy} must have a setting {choice.setting!r}, found none: tune again (make bench-autoscaling)"
        ) from None


def _spec(choice: PolicyChoice, track: Track) -> AutoscalingSpec:
    """Chatscale's defaults, with Prometheus as the source in the equal track."""
    labels = choice.setting.split(",") if choice.policy == CHATSCALE_ANNOUNCED else []
    events = [parse_event(label).at(DEFAULT_START) for label in labels]
    spec = AutoscalingSpec(max_replicas=MAX_REPLICAS, events=events)
    return spec if track is Track.NATIVE else with_prometheus_source(spec)


def build_policy(
    choice: PolicyChoice,
    server: ServerProfile,
    slo: SloTarget,
    sizing: Sizing,
    track: Track,
    registry: Registry = POLICIES,
) -> Policy:
    """Build a policy for one run. In the equal track all policies have the same decision interval."""
    period_s = SCRAPE_INTERVAL_S if track is Track.EQUAL else None
    if choice.policy in (CHATSCALE, CHATSCALE_ANNOUNCED):
        return ChatscalePolicy(_spec(choice, track), server.max_sequences, period_s)
    context = PolicyContext(
        max_sequences=server.max_sequences,
        kv_capacity_tokens=server.steps.kv_tokens,
        tokens_per_step=server.steps.tokens_per_step,
        step_ms=server.steps.step_ms,
        ttft_slo_s=slo.ttft_s,
        tpot_slo_s=slo.tpot_s,
        peak_replicas=sizing.peak,
        mean_replicas=sizing.mean,
    )
    return variant_of(choice, registry).build(context, period_s=period_s)
