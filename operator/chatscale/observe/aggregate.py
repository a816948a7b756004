"""Joins pods and scrape results into the `Observation` for the scaling policy. Pure.

A pod that could not be read keeps its last sample with the old time; the policy considers its age. The samples of a
deleted pod are dropped.
"""

from collections.abc import Mapping
from datetime import datetime

from chatscale.observe.pods import Pod
from chatscale.observe.reader import ScrapeResult
from chatscale.scaling.signals import ClientDemand, Observation, Replica, ReplicaSample

Samples = Mapping[str, ReplicaSample]
"""The newest sample of each pod, by name."""


def merge_samples(earlier: Samples, scraped: ScrapeResult, pods: tuple[Pod, ...]) -> dict[str, ReplicaSample]:
    """The newest sample of each pod that still exists."""
    alive = {pod.name for pod in pods}
    return {name: sample for name, sample in {**earlier, **scraped.samples}.items() if name in alive}


def observe(
    pods: tuple[Pod, ...], samples: Samples, taken_at: datetime, clients: ClientDemand | None = None
) -> Observation:
    """The input of the policy. `taken_at` is the time of the last scrape, not of this call.

    clients: what the gateways report now; None if the operator reads no gateways.
    """
    return Observation(
        taken_at=taken_at,
        replicas=tuple(
            Replica(
                name=pod.name,
                phase=pod.phase,
                since=pod.since,
                sample=samples.get(pod.name),
                created=pod.created,
                scheduled=pod.scheduled,
                detail=pod.waits_for,
                reason=pod.problem.reason.value if pod.problem and pod.waits_for else "",
            )
            for pod in pods
        ),
        clients=clients,
    )
