"""Who is compared, and that a reference is told apart from a policy."""

import pickle
from pathlib import Path

import pytest

from chatscale.simulate.contenders import OURS, REFERENCE, SHIPPED, Contender, contenders, tuned_labels
from chatscale.simulate.errors import InputError
from chatscale.simulate.jobs import Job, measure
from chatscale.simulate.traces import Traffic
from chatscale.simulation.outcome import ColdStart, Track
from chatscale.simulation.peers.registry import PEERS
from chatscale.simulation.references.registry import REFERENCES

EXCERPT = Path(__file__).parents[3] / "data" / "traces" / "azure2023-conv-excerpt.csv.gz"


def test_compares_everybody_unless_told():
    found = contenders(None, "M")
    assert {each.policy for each in found} == {OURS, *PEERS, *REFERENCES}
    assert {each.policy for each in found if each.variant == REFERENCE} == set(REFERENCES)


def test_compares_the_named_once_each():
    assert contenders(["no-foresight", OURS, OURS], "no such profile") == [
        Contender("no-foresight", REFERENCE),
        Contender(OURS, SHIPPED),
    ]


def test_names_the_known_if_one_is_not():
    with pytest.raises(InputError, match=r"must be of chatscale, .*, lower-bound, .*found oracle"):
        contenders(["oracle"], "M")


def test_a_reference_is_one_row_that_another_process_can_do():
    traffic = Traffic(EXCERPT, hours=(0.0, 0.1))
    job = Job(traffic, "S", ColdStart.CACHED, Track.EQUAL, Contender("lower-bound", REFERENCE), seed=1)
    row = measure(pickle.loads(pickle.dumps(job)))
    assert (row["policy"], row["variant"], row["slo_attainment"], row["scale_events"]) == (
        "lower-bound", "reference", 1.0, 0,
    )  # fmt: skip


@pytest.mark.parametrize("profile", ["M", "S"])
def test_every_tuned_setting_is_one_that_the_registry_knows(profile: str) -> None:
    labels = tuned_labels(profile)

    assert labels.keys() == PEERS.keys()
    assert all(PEERS[name].variant(label) for name, label in labels.items())
