"""A reduced set of the flash crowds: what the default policy promises on a step, in the simulator."""

import pytest

from chatscale_contract.server.environment import SimulatedProfile
from tests.benchmarks.reaction.measure import Reaction, measure, sufficient
from tests.benchmarks.reaction.page import render
from tests.benchmarks.reaction.scenes import Level, Scene, all_scenes

A10G, CPU = SimulatedProfile.LLAMA_8B_A10G, SimulatedProfile.SMOLLM2_135M_CPU


@pytest.mark.parametrize(
    "scene",
    [
        pytest.param(Scene(A10G, 8, Level.IDLE, 5, 5), id="A10G from idle"),
        pytest.param(Scene(A10G, 8, Level.LOW, 10, 5), id="A10G from a low level"),
        pytest.param(Scene(CPU, 8, Level.IDLE, 10, 5), id="CPU from idle"),
    ],
)
def test_the_default_policy_reaches_the_sufficient_count_within_six_seconds(scene: Scene) -> None:
    found = measure("chatscale", scene)

    assert found.first_write_s is not None
    assert found.first_write_s <= 4.0
    assert found.sufficient_s is not None
    assert found.sufficient_s <= 6.0


def test_fewer_requests_are_late_or_refused_than_with_an_hpa() -> None:
    scene = Scene(A10G, 8, Level.IDLE, 10, 5)

    assert measure("chatscale", scene).missed < measure("hpa", scene).missed


def test_a_larger_crowd_needs_more_replicas() -> None:
    counts = [sufficient(Scene(A10G, 8, Level.IDLE, factor, 30)) for factor in (2, 5, 10)]

    assert counts == sorted(counts)
    assert counts[0] < counts[-1]


def test_the_set_has_every_factor_startup_and_size_of_server() -> None:
    scenes = list(all_scenes())

    assert {scene.factor for scene in scenes} == {2, 5, 10, 30}
    assert {scene.startup_s for scene in scenes} == {5, 30, 80, 295}
    assert {scene.slots for scene in scenes} == {8, 32, 64}
    assert len(scenes) == len(set(scenes)) == 80


def test_the_page_says_the_setting_of_every_number() -> None:
    scene = Scene(A10G, 8, Level.IDLE, 5, 30)
    reaction = Reaction(first_write_s=1.5, sufficient_s=None, missed=0.25, replica_hours=0.5)

    page = render({scene: dict.fromkeys(("chatscale", "hpa", "keda", "knative", "kubeai"), reaction)})

    assert "**8B model on an A10G (`8b-a10g`), 8 slots**, 1 scenes" in page
    assert "| Chatscale | 1.5 | - | 1 | 25.0% | 0.5 |" in page
    assert "| idle | 5 | 30 s | 2 / -, 25.0% |" in page
