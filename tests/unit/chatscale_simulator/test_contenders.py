"""Which policies `chatscale simulate` compares."""

import pickle
from pathlib import Path

import pytest

from chatscale_simulator.contenders import OURS, Contender, contenders
from chatscale_simulator.errors import InputError
from chatscale_simulator.inputs.traces import Traffic
from chatscale_simulator.jobs import Job, measure
from chatscale_simulator.policies.registry import POLICIES, SHIPPED
from chatscale_simulator.simulation.outcome import ColdStart, Track

EXCERPT = Path(__file__).parents[2] / "data" / "traces" / "azure2023-conv-excerpt.csv.gz"


def test_compares_every_known_policy_by_default():
    assert contenders(None) == [Contender(name, SHIPPED) for name in (OURS, *POLICIES)]


def test_compares_the_named_once_each():
    assert contenders(["kubeai", OURS, OURS]) == [Contender("kubeai", SHIPPED), Contender(OURS, SHIPPED)]


def test_names_the_known_if_one_is_not():
    with pytest.raises(InputError, match=r"must be of chatscale, .*, kubeai, found oracle"):
        contenders(["oracle"])


def test_a_setting_that_the_registry_lacks_is_named():
    job = _job(Contender("kubeai", "tuned", "target=7 window=1"))
    with pytest.raises(InputError, match="kubeai must have a setting 'target=7 window=1', found none"):
        measure(job)


def test_another_process_can_do_a_job():
    row = measure(pickle.loads(pickle.dumps(_job(Contender("kubeai", SHIPPED)))))
    assert (row["policy"], row["variant"], row["profile"]) == ("kubeai", "shipped", "S")


def _job(contender: Contender) -> Job:
    return Job(Traffic(EXCERPT, hours=(0.0, 0.1)), "S", ColdStart.CACHED, Track.EQUAL, contender, seed=1)
