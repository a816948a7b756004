"""Runs one policy in one scene, and measures how fast and how well it reacts."""

from dataclasses import dataclass
from functools import cache, partial
from typing import Final

from chatscale.api.v1alpha1 import AutoscalingSpec
from chatscale_simulator.policies.chatscale import ChatscalePolicy
from chatscale_simulator.policies.hpa import Hpa, HpaMetric, HpaSettings
from chatscale_simulator.policies.keda import Keda, KedaSettings
from chatscale_simulator.policies.knative import Knative, KnativeSettings
from chatscale_simulator.policies.kubeai import KubeAi, KubeAiSettings
from chatscale_simulator.policies.static import Static, StaticSettings
from chatscale_simulator.simulation.policy import Policy
from chatscale_simulator.simulation.profiles import SloTarget
from chatscale_simulator.simulation.result import RunResult
from chatscale_simulator.simulation.run import run
from chatscale_simulator.simulation.scenario import Scenario, Track
from chatscale_simulator.simulation.score import within_slo
from chatscale_simulator.simulation.snapshot import Column
from tests.benchmarks.reaction.scenes import Scene

MAX_REPLICAS: Final = 64
OBJECTIVE: Final = 0.99
SLO: Final = SloTarget()
POLICIES: Final = ("chatscale", "hpa", "keda", "knative", "kubeai")
_SHARE_OF_SLOTS: Final = 0.8
"""Target of running requests in the HPA of mode HPA."""
_QUEUE_TARGET: Final = 4.0
_KNATIVE_UTILIZATION: Final = 0.7


@dataclass(frozen=True, slots=True)
class Reaction:
    """What one policy did. Times are seconds after the first request of the crowd; None: not before its end."""

    first_write_s: float | None
    """First higher replica count."""
    sufficient_s: float | None
    """Until the replica count is sufficient; 0 if it was before."""
    missed: float
    """Share of the crowd's requests that were late or refused, 0 to 1."""
    replica_hours: float
    """One GPU, or one CPU node, each. From the creation of each pod."""


def build(policy: str, scene: Scene) -> Policy:
    """Every policy with its own metrics and interval. A target in requests is set from the slots of the server."""
    slots = scene.slots
    match policy:
        case "chatscale":
            return ChatscalePolicy(AutoscalingSpec(max_replicas=MAX_REPLICAS), slots)
        case "hpa":
            queue = HpaMetric((Column.WAITING,), _QUEUE_TARGET)
            return Hpa(HpaSettings(metrics=(queue, HpaMetric((Column.RUNNING,), _SHARE_OF_SLOTS * slots))))
        case "keda":
            return Keda(KedaSettings())
        case "knative":
            return Knative(KnativeSettings(target=_KNATIVE_UTILIZATION * slots))
        case "kubeai":
            return KubeAi(KubeAiSettings(target_requests=float(slots)))
        case _:
            raise ValueError(f"policy must be of {', '.join(POLICIES)}, found {policy}")


def measure(policy: str, scene: Scene, seed: int = 1) -> Reaction:
    """Run one policy, from one replica on."""
    result = _run(scene, build(policy, scene), 1, seed)
    first = scene.begins_s
    raised = [
        at_s
        for (at_s, count), (_, before) in zip(result.counts[1:], result.counts, strict=False)
        if at_s >= first and count > before
    ]
    return Reaction(
        first_write_s=raised[0] - first if raised else None,
        sufficient_s=_time_to(result, sufficient(scene, seed), first),
        missed=_missed(result, first),
        replica_hours=sum(pod.ended_s - pod.created_s for pod in result.pods) / 3600,
    )


def sufficient(scene: Scene, seed: int = 1) -> int:
    """The smallest fixed number of replicas that serves the crowd's requests within the SLO, 99 % of them."""
    return _sufficient(Scene(scene.profile, scene.slots, scene.level, scene.factor, startup_s=30), seed)


@cache
def _sufficient(scene: Scene, seed: int) -> int:
    """Binary search: more replicas never serve fewer requests."""
    served = partial(_is_served, scene, seed)
    low, high = 0, 1
    while high < MAX_REPLICAS and not served(high):
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if served(middle) else (middle, high)
    return high


def _is_served(scene: Scene, seed: int, replicas: int) -> bool:
    result = _run(scene, Static(StaticSettings(replicas=replicas)), replicas, seed)
    return _missed(result, scene.begins_s) <= 1 - OBJECTIVE


def _run(scene: Scene, policy: Policy, replicas: int, seed: int) -> RunResult:
    scenario = Scenario(
        track=Track.NATIVE,
        seed=seed,
        max_replicas=MAX_REPLICAS,
        initial_replicas=replicas,
        outage=False,
        startup_s=float(scene.startup_s),
        server=scene.server,
    )
    return run(scene.workload(seed), scenario, policy)


def _missed(result: RunResult, first_s: float) -> float:
    in_crowd = result.workload.arrival_s >= first_s
    return 1 - float(within_slo(result, SLO)[in_crowd].mean())


def _time_to(result: RunResult, replicas: int, first_s: float) -> float | None:
    """When the count first was at least `replicas`, from `first_s` on."""
    count = 0
    for at_s, changed in result.counts:
        if at_s > first_s and count >= replicas:
            return 0.0
        count = changed
        if at_s > first_s and count >= replicas:
            return at_s - first_s
    return 0.0 if count >= replicas else None
