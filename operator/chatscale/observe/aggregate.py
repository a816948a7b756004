"""Pods and readings joined into the policy's `Observation`. Pure.

A pod that could not be read keeps its last sample, with its old time: the policy judges the age. A pod that is
gone takes its samples with it.
"""

from collections.abc import Mapping
from datetime import datetime

from chatscale.observe.pods import Pod
from chatscale.observe.reader import ScrapeResult
from chatscale.scaling.signals import Observation, Replica, ReplicaPhase, ReplicaSample

Samples = Mapping[str, ReplicaSample]
"""The newest sample of each pod, by name."""


def merge_samples(earlier: Samples, reading: ScrapeResult, pods: tuple[Pod, ...]) -> dict[str, ReplicaSample]:
    """The newest samples after a reading, of the pods that still exist."""
    alive = {pod.name for pod in pods}
    return {name: sample for name, sample in {**earlier, **reading.samples}.items() if name in alive}


def observe(pods: tuple[Pod, ...], samples: Samples, taken_at: datetime) -> Observation:
    """What the policy is told. `taken_at` is the time of the last reading, not of this call."""
    return Observation(
        taken_at=taken_at,
        replicas=tuple(
            Replica(
                name=pod.name,
                phase=pod.phase,
                since=pod.since,
                sample=samples.get(pod.name),
                created=pod.created,
                detail=pod.problem.message if pod.problem and pod.phase is ReplicaPhase.UNSCHEDULABLE else "",
            )
            for pod in pods
        ),
    )
