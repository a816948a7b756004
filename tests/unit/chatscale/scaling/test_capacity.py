from datetime import timedelta

import pytest

from chatscale.scaling.capacity import Shortage, find_shortage
from chatscale.scaling.signals import Replica, ReplicaPhase
from tests.support.replicas import a_sample, at, in_phase, ready, seen

TIMEOUT = timedelta(seconds=300)
NO_GPU = "0/3 nodes are available: 3 Insufficient nvidia.com/gpu."


def shortage_of(*replicas: Replica, now: float = 300) -> Shortage | None:
    return find_shortage(seen(now, *replicas), TIMEOUT, at(now))


def unschedulable(name: str, since: float = 0, detail: str = NO_GPU, reason: str = "InsufficientGPU") -> Replica:
    return in_phase(name, ReplicaPhase.UNSCHEDULABLE, since, detail, reason)


def test_runnable_includes_starting_and_briefly_pending_replicas() -> None:
    found = shortage_of(
        ready("a", a_sample(0)),
        in_phase("b", ReplicaPhase.STARTING),
        unschedulable("c", since=100),
        unschedulable("d"),
        unschedulable("e"),
        in_phase("f", ReplicaPhase.TERMINATING),
    )

    assert found == Shortage(stuck=2, runnable=3, detail=NO_GPU, timeout=TIMEOUT, lacks_gpu=True)
    assert found.most_useful == 4
    assert found.message == f"2 of 5 replicas could not start for 300 s ({NO_GPU})"


def test_a_short_wait_is_no_shortage() -> None:
    assert shortage_of(unschedulable("a"), now=299) is None


@pytest.mark.parametrize(
    ("problem", "detail", "reason"),
    [
        pytest.param("InsufficientGPU", NO_GPU, "InsufficientGPU", id="gpu"),
        pytest.param("InsufficientResources", "3 Insufficient memory", "TooFewNodes", id="memory"),
        pytest.param(
            "NoMatchingNode", "3 node(s) had untolerated taint {nvidia.com/gpu: true}", "TooFewNodes", id="a GPU taint"
        ),
        pytest.param("SchedulingGated", "gates (example.com/gpu-quota)", "TooFewNodes", id="a gate named after GPUs"),
        pytest.param("ImageUnavailable", "image nvidia.com/server cannot be pulled", "TooFewNodes", id="an image"),
        pytest.param("", "", "TooFewNodes", id="no problem yet"),
    ],
)
def test_only_the_reason_of_the_pods_problem_means_that_a_gpu_is_missing(
    problem: str, detail: str, reason: str
) -> None:
    found = shortage_of(unschedulable("a", detail=detail, reason=problem))

    assert found is not None
    assert found.reason == reason
