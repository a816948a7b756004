"""Which policies `chatscale simulate` compares."""

import pickle
from pathlib import Path

import pytest

from chatscale_simulator.errors import InputError
from chatscale_simulator.inputs.traces import Traffic
from chatscale_simulator.jobs import Job, measure
from chatscale_simulator.policies.registry import POLICIES, SHIPPED
from chatscale_simulator.policy_choice import CHATSCALE, PolicyChoice, choose_policies
from chatscale_simulator.simulation.scenario import ColdStart, Track

EXCERPT = Path(__file__).parents[2] / "data" / "traces" / "azure2023-conv-excerpt.csv.gz"


def test_compares_every_known_policy_by_default():
    assert choose_policies(None) == [PolicyChoice(name, SHIPPED) for name in (CHATSCALE, *POLICIES)]


def test_compares_each_named_policy_once():
    assert choose_policies(["kubeai", CHATSCALE, CHATSCALE]) == [
        PolicyChoice("kubeai", SHIPPED),
        PolicyChoice(CHATSCALE, SHIPPED),
    ]


def test_an_unknown_policy_is_refused_with_the_known_names():
    with pytest.raises(InputError, match=r"must be of chatscale, .*, kubeai, found oracle"):
        choose_policies(["oracle"])


def test_the_error_names_a_setting_that_the_registry_lacks():
    job = _job(PolicyChoice("kubeai", "tuned", "target=7 window=1"))
    with pytest.raises(InputError, match="kubeai must have a setting 'target=7 window=1', found none"):
        measure(job)


def test_a_job_can_run_in_another_process():
    row = measure(pickle.loads(pickle.dumps(_job(PolicyChoice("kubeai", SHIPPED)))))
    assert (row["policy"], row["variant"], row["profile"]) == ("kubeai", "shipped", "S")


def _job(choice: PolicyChoice) -> Job:
    return Job(Traffic(EXCERPT, hours=(0.0, 0.1)), "S", ColdStart.CACHED, Track.EQUAL, choice, seed=1)
