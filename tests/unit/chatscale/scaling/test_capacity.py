from datetime import timedelta

import pytest

from chatscale.scaling.capacity import Shortage, find_shortage
from chatscale.scaling.signals import Replica, ReplicaPhase
from tests.support.replicas import a_sample, at, in_phase, ready, seen

TIMEOUT = timedelta(seconds=300)
NO_GPU = "0/3 nodes are available: 3 Insufficient nvidia.com/gpu."


def shortage_of(*replicas: Replica, now: float = 300) -> Shortage | None:
    return find_shortage(seen(now, *replicas), TIMEOUT, at(now))


def unschedulable(name: str, since: float = 0, detail: str = NO_GPU) -> Replica:
    return in_phase(name, ReplicaPhase.UNSCHEDULABLE, since, detail)


def test_runnable_includes_starting_and_briefly_pending_replicas() -> None:
    found = shortage_of(
        ready("a", a_sample(0)),
        in_phase("b", ReplicaPhase.STARTING),
        unschedulable("c", since=100),
        unschedulable("d"),
        unschedulable("e"),
        in_phase("f", ReplicaPhase.TERMINATING),
    )

    assert found == Shortage(stuck=2, runnable=3, detail=NO_GPU, timeout=TIMEOUT)
    assert found.most_useful == 4
    assert found.message == f"2 of 5 replicas unschedulable for 300 s ({NO_GPU})"


def test_a_short_wait_is_no_shortage() -> None:
    assert shortage_of(unschedulable("a"), now=299) is None


@pytest.mark.parametrize(
    ("detail", "reason"),
    [
        pytest.param(NO_GPU, "InsufficientGPU", id="gpu"),
        pytest.param("3 Insufficient nvidia.com/mig-1g.5gb", "InsufficientGPU", id="mig"),
        pytest.param("3 Insufficient memory", "TooFewNodes", id="memory"),
        pytest.param("", "TooFewNodes", id="no-words"),
    ],
)
def test_the_reason_names_the_missing_resource(detail: str, reason: str) -> None:
    found = shortage_of(unschedulable("a", detail=detail))

    assert found is not None
    assert found.reason == reason
