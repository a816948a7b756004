"""What the benchmark plays beside the policies of the simulator."""

import pickle
from pathlib import Path

import pytest

from chatscale_simulator.inputs.traces import Traffic
from chatscale_simulator.jobs import Job
from chatscale_simulator.policies.registry import POLICIES
from chatscale_simulator.policy_choice import PolicyChoice
from chatscale_simulator.simulation.scenario import ColdStart, Track
from tests.benchmarks.autoscaling.peers.registry import PEERS
from tests.benchmarks.autoscaling.variants import REFERENCE, measure, tuned_labels

EXCERPT = Path(__file__).parents[2] / "data" / "traces" / "azure2023-conv-excerpt.csv.gz"


def test_a_reference_is_one_row_that_another_process_can_do():
    traffic = Traffic(EXCERPT, hours=(0.0, 0.1))
    job = Job(traffic, "S", ColdStart.CACHED, Track.EQUAL, PolicyChoice("lower-bound", REFERENCE), seed=1)
    row = measure(pickle.loads(pickle.dumps(job)))
    assert (row["policy"], row["variant"], row["slo_attainment"], row["scale_events"]) == (
        "lower-bound", "reference", 1.0, 0,
    )  # fmt: skip


def test_the_simulators_policies_are_peers_with_the_same_shipped_settings():
    assert {name: PEERS[name].shipped for name in POLICIES} == {name: known.shipped for name, known in POLICIES.items()}


@pytest.mark.parametrize("profile", ["M", "S"])
def test_every_tuned_setting_is_one_that_the_registry_knows(profile: str) -> None:
    labels = tuned_labels(profile)

    assert labels.keys() == PEERS.keys()
    assert all(PEERS[name].variant(label) for name, label in labels.items())
