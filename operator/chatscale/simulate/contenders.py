"""Who is compared: our own policy, every peer as shipped and as tuned, and the references."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from chatscale.api.v1alpha1 import AutoscalingSpec
from chatscale.simulate.errors import InputError
from chatscale.simulate.events import Event, parse_event
from chatscale.simulation.outcome import Track
from chatscale.simulation.peers.facts import Facts
from chatscale.simulation.peers.registry import PEERS, Peer, Variant
from chatscale.simulation.profiles import ServerProfile, Slo
from chatscale.simulation.references.registry import REFERENCES
from chatscale.simulation.run import SCRAPE_EVERY_S
from chatscale.simulation.shipping import STARTS_AT, Shipping, as_scraped
from chatscale.simulation.sizing import Sizing
from chatscale.simulation.view import Policy

OURS: Final = "chatscale"
ANNOUNCED: Final = "chatscale-announced"
"""Ours, told of events beforehand; its setting is their labels, joined by commas."""
MAX_REPLICAS: Final = 64
"""For every policy: shipped caps of 1, 5 and 8 would decide a comparison."""
SHIPPED: Final = "shipped"
TUNED: Final = "tuned"
REFERENCE: Final = "reference"
"""Variant of what reads the whole workload first: no policy, but a yardstick for all."""
TUNED_FILE: Final = Path(__file__).parent / "tuned.json"
"""What tuning chose, by profile and policy; written by the benchmark."""


@dataclass(frozen=True, slots=True)
class Contender:
    """One line of a comparison."""

    policy: str
    variant: str
    """SHIPPED, TUNED, REFERENCE, or the label of a setting."""
    setting: str = SHIPPED
    """Which of the policy's settings is played, by its label in the registry."""


def contenders(names: list[str] | None, profile: str) -> list[Contender]:
    """Both variants of each policy named, of all if None. Raises InputError that lists the known ones.

    Ours has one variant: what ships is what is scored. A reference has one too, and takes dozens of runs.
    """
    known = (OURS, *PEERS, *REFERENCES)
    wanted = list(dict.fromkeys(known if names is None else names))
    unknown = [name for name in wanted if name not in known]
    if unknown:
        raise InputError(f"--policy must be of {', '.join(known)}, found {unknown[0]}")
    tuned = tuned_labels(profile)
    found = []
    for name in wanted:
        found.append(Contender(name, REFERENCE if name in REFERENCES else SHIPPED))
        if name in tuned:
            found.append(Contender(name, TUNED, tuned[name]))
    return found


def announced(events: Sequence[Event]) -> Contender:
    """Ours, told of these events beforehand."""
    return Contender(ANNOUNCED, SHIPPED, ",".join(event.label for event in events))


def tuned_labels(profile: str) -> dict[str, str]:
    """The setting that tuning chose for each policy on this profile; nothing before anything was tuned."""
    if not TUNED_FILE.exists():
        return {}
    known = json.loads(TUNED_FILE.read_text(encoding="utf-8"))
    return {name: str(chosen["setting"]) for name, chosen in known.get(profile, {}).items()}


def variant_of(contender: Contender) -> Variant:
    """The settings behind a label. Raises InputError if the registry has none of that label, or no longer."""
    peer: Peer = PEERS[contender.policy]
    for variant in (peer.shipped, *peer.tuned):
        if variant.label == contender.setting:
            return variant
    raise InputError(
        f"{contender.policy} must have a setting {contender.setting!r}, found none: tune again (make bench-autoscaling)"
    )


def _spec(contender: Contender, track: Track) -> AutoscalingSpec:
    """Ours as it ships. Prometheus' 15 s scrapes in the equal track; in the native one its own reading of pods."""
    labels = contender.setting.split(",") if contender.policy == ANNOUNCED else []
    events = [parse_event(label).at(STARTS_AT) for label in labels]
    spec = AutoscalingSpec(max_replicas=MAX_REPLICAS, events=events)
    return spec if track is Track.NATIVE else as_scraped(spec)


def build(contender: Contender, server: ServerProfile, slo: Slo, sizing: Sizing, track: Track) -> Policy:
    """Make a policy for one run; in the equal track it acts as often as all others."""
    period_s = SCRAPE_EVERY_S if track is Track.EQUAL else None
    if contender.policy in (OURS, ANNOUNCED):
        return Shipping(_spec(contender, track), server.max_sequences, period_s)
    facts = Facts(
        max_sequences=server.max_sequences,
        kv_capacity_tokens=server.steps.kv_tokens,
        tokens_per_step=server.steps.tokens_per_step,
        step_ms=server.steps.step_ms,
        ttft_slo_s=slo.ttft_s,
        tpot_slo_s=slo.tpot_s,
        peak_replicas=sizing.peak,
        mean_replicas=sizing.mean,
    )
    return variant_of(contender).build(facts, period_s=period_s)
