"""The policies of other projects by name, with the settings that the projects ship."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from chatscale_simulator.policies.context import PolicyContext
from chatscale_simulator.policies.hpa import CONCURRENCY, QUEUE, Hpa, HpaMetric, HpaSettings
from chatscale_simulator.policies.keda import Keda, KedaSettings
from chatscale_simulator.policies.knative import Knative, KnativeSettings
from chatscale_simulator.policies.kubeai import KubeAi, KubeAiSettings
from chatscale_simulator.policies.static import Static, StaticSettings
from chatscale_simulator.simulation.policy import Policy

SHIPPED: Final = "shipped"
"""Label of the settings that a project ships."""


@dataclass(frozen=True, slots=True)
class Variant:
    """One policy with its settings. It cannot be pickled: other processes look it up by name and label."""

    label: str
    """`shipped`, or the settings, e.g. `target=6.3 window=60`."""
    settings: Any
    """A frozen dataclass with the policy's own `period_s`."""
    make: Callable[[Any, PolicyContext], Policy]

    def build(self, context: PolicyContext, *, period_s: float | None = None) -> Policy:
        """Build a policy for one run.

        `period_s`: seconds between decisions, instead of the policy's own. The policy gets it as a setting, so windows
        that it counts in periods keep their length in seconds.
        """
        settings = self.settings if period_s is None else replace(self.settings, period_s=period_s)
        return self.make(settings, context)


@dataclass(frozen=True, slots=True)
class KnownPolicy:
    """A policy with its shipped settings, and other settings that a run may select."""

    name: str
    shipped: Variant
    others: tuple[Variant, ...] = ()

    def variant(self, label: str) -> Variant:
        """Return the variant with this label; KeyError if there is none."""
        return {each.label: each for each in (self.shipped, *self.others)}[label]


Registry = Mapping[str, KnownPolicy]


def known(name: str, make: Callable[[Any, PolicyContext], Policy], shipped: Any) -> KnownPolicy:
    """A policy with its shipped settings only."""
    return KnownPolicy(name, Variant(SHIPPED, shipped, make))


def _fixed(name: str, count: Callable[[PolicyContext], int]) -> KnownPolicy:
    return known(
        name, lambda settings, context: Static(replace(settings, replicas=count(context))), StaticSettings(replicas=1)
    )


POLICIES: Final[Registry] = {
    policy.name: policy
    for policy in (
        _fixed("static-peak", lambda context: context.peak_replicas),
        _fixed("static-mean", lambda context: context.mean_replicas),
        known("hpa-queue", lambda settings, _: Hpa(settings), HpaSettings(metrics=(HpaMetric(QUEUE, 5.0),))),
        known(
            "hpa-concurrency", lambda settings, _: Hpa(settings), HpaSettings(metrics=(HpaMetric(CONCURRENCY, 100.0),))
        ),
        known("keda-queue", lambda settings, _: Keda(settings), KedaSettings()),
        known("knative-kpa", lambda settings, _: Knative(settings), KnativeSettings()),
        known("kubeai", lambda settings, _: KubeAi(settings), KubeAiSettings()),
    )
}
"""In the order of the tables."""
