"""Pods from their manifests: phase, since when, and why they are not Ready."""

import pytest

from chatscale import names
from chatscale.observe.dialects import registry
from chatscale.observe.pods import Pod, current_problem, read_pods
from chatscale.observe.problems import Problem, ProblemReason
from chatscale.scaling.signals import ReplicaPhase
from chatscale_contract.server.environment import EngineName
from tests.support.builders import PodBuilder, a_pod, at
from tests.support.dialects import OTHER_DIALECT


def read(*builders: PodBuilder) -> tuple[Pod, ...]:
    return read_pods(builder.manifest() for builder in builders)


@pytest.mark.parametrize(
    ("pod", "phase", "since"),
    [
        pytest.param(a_pod(), ReplicaPhase.STARTING, at(0), id="just made"),
        pytest.param(a_pod().ready(at(30)), ReplicaPhase.READY, at(30), id="ready"),
        pytest.param(a_pod().unschedulable("no room", at(2)), ReplicaPhase.UNSCHEDULABLE, at(2), id="no room"),
        pytest.param(a_pod().ready().terminating(at(90)), ReplicaPhase.TERMINATING, at(90), id="terminating"),
    ],
)
def test_a_pod_is_in_exactly_one_phase(pod: PodBuilder, phase: ReplicaPhase, since):
    (found,) = read(pod)
    assert (found.phase, found.since) == (phase, since)


@pytest.mark.parametrize("phase", ["Succeeded", "Failed"])
def test_a_terminated_pod_is_no_replica(phase: str):
    assert read(a_pod().finished(phase)) == ()


def test_a_new_pod_may_have_no_status_and_no_labels():
    manifest = a_pod().manifest() | {"status": {}}
    del manifest["metadata"]["labels"]
    (found,) = read_pods([manifest])
    assert found == Pod(name="tiny-1", phase=ReplicaPhase.STARTING, since=at(0), created=at(0))


@pytest.mark.parametrize(
    ("pod", "problem"),
    [
        pytest.param(a_pod(), None, id="starting"),
        pytest.param(a_pod().ended(66, "hf://a/b: no such repository").ready(), None, id="recovered"),
        pytest.param(a_pod().ended(0), None, id="exited with 0"),
        pytest.param(a_pod().ended(66, "hf://a/b: no such\n repository"), Problem(ProblemReason.MODEL_NOT_FOUND, "hf://a/b: no such repository"), id="not found"),  # noqa: E501
        pytest.param(a_pod().ended(65, "a diffusion model"), Problem(ProblemReason.MODEL_UNSUPPORTED, "a diffusion model"), id="unsupported"),  # noqa: E501
        pytest.param(a_pod().ended(69, "16 GiB"), Problem(ProblemReason.MODEL_DOES_NOT_FIT, "16 GiB"), id="too large"),
        pytest.param(a_pod().ended(64), Problem(ProblemReason.BAD_SETTINGS, "the server exited with code 64 (BAD_SETTINGS)"), id="settings, no message"),  # noqa: E501
        pytest.param(a_pod().ended(70, "stuck"), Problem(ProblemReason.ENGINE_FAILED, "stuck"), id="engine"),
        pytest.param(a_pod().ended(137, reason="OOMKilled"), Problem(ProblemReason.MODEL_DOES_NOT_FIT, "the server was killed: it used more than its memory limit"), id="out of memory"),  # noqa: E501
        pytest.param(a_pod().ended(139), Problem(ProblemReason.SERVER_CRASHED, "the server exited with code 139"), id="crash"),  # noqa: E501
        pytest.param(a_pod().waiting("ImagePullBackOff", "not found"), Problem(ProblemReason.IMAGE_UNAVAILABLE, "not found"), id="image"),  # noqa: E501
        pytest.param(a_pod().waiting("ErrImagePull"), Problem(ProblemReason.IMAGE_UNAVAILABLE, "image server:1 cannot be pulled"), id="image, no message"),  # noqa: E501
        pytest.param(a_pod().waiting("CreateContainerConfigError", 'secret "t" not found'), Problem(ProblemReason.POD_CONFIG_ERROR, 'secret "t" not found'), id="secret"),  # noqa: E501
        pytest.param(a_pod().unschedulable("3 Insufficient nvidia.com/gpu."), Problem(ProblemReason.INSUFFICIENT_GPU, "3 Insufficient nvidia.com/gpu."), id="GPU"),  # noqa: E501
        pytest.param(a_pod().unschedulable("3 Insufficient cpu."), Problem(ProblemReason.INSUFFICIENT_RESOURCES, "3 Insufficient cpu."), id="CPU"),  # noqa: E501
    ],
)  # fmt: skip
def test_a_problem_has_a_reason_and_the_pods_message(pod: PodBuilder, problem: Problem | None):
    (found,) = read(pod)
    assert found.problem == problem


def test_an_exit_code_means_what_the_pods_own_runtime_says(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(registry.DIALECTS, EngineName.SIMULATED, OTHER_DIALECT)
    manifest = a_pod().ended(3).manifest()
    manifest["metadata"]["labels"][names.ENGINE_LABEL] = "Simulated"
    (found,) = read_pods([manifest])
    assert found.problem == Problem(ProblemReason.MODEL_DOES_NOT_FIT, "the server exited with code 3 (NO_MEMORY)")


def test_a_message_in_the_status_has_a_limit():
    (found,) = read(a_pod().ended(66, "x" * 100_000))
    assert found.problem is not None
    assert len(found.problem.message) == 1024


def test_the_problem_of_an_older_template_does_not_count():
    old, new = a_pod("a").ended(66, "no such model"), a_pod("b").of_template("v2").created_at(at(60))
    assert current_problem(read(old, new)) is None
    assert current_problem(read(old)) == Problem(ProblemReason.MODEL_NOT_FOUND, "no such model")


def test_one_stuck_pod_of_the_newest_template_is_a_problem():
    stuck, newer = a_pod("a").unschedulable("3 Insufficient cpu."), a_pod("b").created_at(at(60)).ready(at(90))
    assert current_problem(read(stuck, newer)) == Problem(ProblemReason.INSUFFICIENT_RESOURCES, "3 Insufficient cpu.")


def test_no_pods_have_no_problem():
    assert current_problem(read(a_pod().ended(66, "x").terminating())) is None
