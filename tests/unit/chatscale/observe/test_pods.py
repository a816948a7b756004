"""Pods from their manifests: phase, since when, and why they are not Ready."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from chatscale import names
from chatscale.observe.aggregate import observe
from chatscale.observe.dialects import registry
from chatscale.observe.pods import Pod, current_problem, read_pods
from chatscale.observe.problems import Problem, ProblemReason
from chatscale.scaling.capacity import find_shortage
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
        pytest.param(a_pod().accepted("n1", at(3)), ReplicaPhase.STARTING, at(3), id="starting on a node"),
        pytest.param(a_pod().ready().terminating(at(90)), ReplicaPhase.TERMINATING, at(90), id="terminating"),
    ],
)
def test_a_pod_is_in_exactly_one_phase(pod: PodBuilder, phase: ReplicaPhase, since):
    (found,) = read(pod)
    assert (found.phase, found.since) == (phase, since)


@pytest.mark.parametrize(
    ("pod", "scheduled"),
    [
        pytest.param(a_pod(), None, id="no condition yet"),
        pytest.param(a_pod().unschedulable("no room", at(2)), None, id="no room"),
        pytest.param(a_pod().gated("quota"), None, id="behind a scheduling gate"),
        pytest.param(a_pod().scheduled("n1", at(3)), at(3), id="bound to a node"),
        pytest.param(a_pod().running("n1", at(3)).ready(at(25)), at(3), id="ready"),
        pytest.param(replace(a_pod(), started=at(4)).ready(at(25)), at(4), id="created with a node name"),
    ],
)
def test_a_pod_has_the_time_when_it_was_scheduled(pod: PodBuilder, scheduled: datetime | None):
    assert [found.scheduled for found in read(pod)] == [scheduled]


@pytest.mark.parametrize("phase", ["Succeeded", "Failed"])
def test_a_terminated_pod_is_no_replica(phase: str):
    assert read(a_pod().finished(phase)) == ()


def test_a_new_pod_may_have_no_status_and_no_labels():
    manifest = a_pod().manifest() | {"status": {}}
    del manifest["metadata"]["labels"]
    (found,) = read_pods([manifest])
    assert found == Pod(name="tiny-1", phase=ReplicaPhase.STARTING, since=at(0), created=at(0), uid="uid-tiny-1")


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


def with_sidecar(pod: PodBuilder, kind: str, reason: str) -> dict[str, Any]:
    """The pod with a container that an admission webhook added."""
    manifest = pod.manifest()
    waiting = {"name": "proxy", "image": "proxy:1", "state": {"waiting": {"reason": reason}}}
    manifest["status"][kind] = [*manifest["status"].get(kind, ()), waiting]
    return manifest


@pytest.mark.parametrize(
    ("pod", "since", "waits_for"),
    [
        pytest.param(a_pod().gated("kueue.x-k8s.io/admission"), at(0), "Scheduling is blocked due to non-empty scheduling gates (kueue.x-k8s.io/admission)", id="scheduling gate"),  # noqa: E501
        pytest.param(a_pod().ignored_by("volcano"), at(0), "the scheduler volcano has not tried to place the pod", id="no such scheduler"),  # noqa: E501
        pytest.param(a_pod().unschedulable('persistentvolumeclaim "weights" not found', at(2)), at(2), 'persistentvolumeclaim "weights" not found', id="no volume claim"),  # noqa: E501
        pytest.param(a_pod().scheduled("n1", at(4)), at(4), "node n1 has not accepted the pod", id="dead kubelet"),
        pytest.param(a_pod().accepted("n1", at(4)).without_sandbox(at(5)), at(5), "volumes or network of the pod are not ready on node n1", id="volume not mounted"),  # noqa: E501
        pytest.param(a_pod().accepted("n1", at(4)).waiting("ImagePullBackOff", "no such image"), at(4), "no such image", id="image"),  # noqa: E501
        pytest.param(a_pod().accepted("n1", at(4)).waiting("CreateContainerConfigError", "no such secret"), at(4), "no such secret", id="secret"),  # noqa: E501
        pytest.param(a_pod().accepted("n1").unready(at(900)).waiting("ErrImagePull", "gone"), at(900), "gone", id="image of a restart"),  # noqa: E501
    ],
)  # fmt: skip
def test_a_pod_that_may_wait_for_ever_is_no_capacity_to_come(pod: PodBuilder, since: datetime, waits_for: str):
    (found,) = read(pod)
    assert (found.phase, found.since, found.waits_for) == (ReplicaPhase.UNSCHEDULABLE, since, waits_for)


def test_the_pending_timeout_acts_on_every_wait():
    waits = (a_pod("a").gated("g"), a_pod("b").ignored_by("volcano"), a_pod("c").waiting("ErrImagePull"))
    pods = read(*waits, a_pod("d").of_template("v0").ready())
    shortage = find_shortage(observe(pods, {}, at(300)), timedelta(seconds=300), at(300))
    assert shortage is not None
    assert (shortage.stuck, shortage.runnable) == (3, 1)


@pytest.mark.parametrize("kind", ["initContainerStatuses", "containerStatuses"])
def test_an_image_of_any_container_keeps_a_pod_from_starting(kind: str):
    (found,) = read_pods([with_sidecar(a_pod(), kind, "ErrImagePull")])
    assert found.problem == Problem(ProblemReason.IMAGE_UNAVAILABLE, "image proxy:1 cannot be pulled")


def test_a_wait_on_one_node_does_not_stop_growth_on_the_others():
    ready, broken = a_pod("a").ready(), a_pod("b").accepted("n2").waiting("ImagePullBackOff", "disk full")
    assert [pod.phase for pod in read(ready, broken)] == [ReplicaPhase.READY, ReplicaPhase.STARTING]
    assert current_problem(read(ready, broken)) == Problem(ProblemReason.IMAGE_UNAVAILABLE, "disk full")


def test_the_same_wait_on_two_nodes_is_not_a_nodes_fault():
    broken = [a_pod(f"b-{node}").accepted(node).waiting("ImagePullBackOff", "gone") for node in ("n2", "n3")]
    phases = [pod.phase for pod in read(a_pod("a").ready(), *broken)]
    assert phases == [ReplicaPhase.READY, ReplicaPhase.UNSCHEDULABLE, ReplicaPhase.UNSCHEDULABLE]


def test_the_first_moments_of_a_pod_are_no_problem():
    moments = a_pod().ignored_by("default-scheduler"), a_pod().scheduled("n1"), a_pod().accepted("n1").without_sandbox()
    assert [read(pod)[0].problem for pod in moments] == [None, None, None]


def test_a_pod_on_a_lost_node_says_so():
    (found,) = read(a_pod().on_lost_node("n1", at(60)))
    message = "node n1 does not report to the control plane; the state of the pod is unknown"
    assert (found.phase, found.problem) == (ReplicaPhase.STARTING, Problem(ProblemReason.NODE_UNREACHABLE, message))


def test_a_readiness_gate_is_not_a_lost_node():
    manifest = a_pod().on_lost_node("n1").manifest()
    manifest["status"]["conditions"][-1]["reason"] = "ReadinessGatesNotReady"
    (found,) = read_pods([manifest])
    assert found.problem is None


OTHERS = "1 node(s) had untolerated taint {node-role.kubernetes.io/control-plane: }"
PREEMPTION = "preemption: 0/4 nodes are available: 4 Preemption is not helpful for scheduling, no volume."


@pytest.mark.parametrize(
    ("causes", "reason"),
    [
        pytest.param(f"{OTHERS}, 3 Insufficient nvidia.com/gpu.", ProblemReason.INSUFFICIENT_GPU, id="GPU"),
        pytest.param("3 Insufficient amd.com/gpu.", ProblemReason.INSUFFICIENT_GPU, id="AMD GPU"),
        pytest.param("3 Insufficient gpu.intel.com/i915.", ProblemReason.INSUFFICIENT_GPU, id="Intel GPU"),
        pytest.param(f"{OTHERS}, 3 Insufficient memory.", ProblemReason.INSUFFICIENT_RESOURCES, id="memory"),
        pytest.param("4 Too many pods.", ProblemReason.INSUFFICIENT_RESOURCES, id="pods"),
        pytest.param("no nodes available to schedule pods", ProblemReason.INSUFFICIENT_RESOURCES, id="no nodes"),
        pytest.param(f"{OTHERS}, 3 node(s) were unschedulable.", ProblemReason.NODES_CORDONED, id="cordoned"),
        pytest.param('persistentvolumeclaim "w" not found.', ProblemReason.VOLUME_UNAVAILABLE, id="no claim"),
        pytest.param("pod has unbound immediate PersistentVolumeClaims.", ProblemReason.VOLUME_UNAVAILABLE, id="unbound claim"),  # noqa: E501
        pytest.param(f"{OTHERS}, 3 node(s) had volume node affinity conflict.", ProblemReason.VOLUME_UNAVAILABLE, id="volume in another zone"),  # noqa: E501
        pytest.param("3 node(s) didn't find available persistent volumes to bind.", ProblemReason.VOLUME_UNAVAILABLE, id="no volume"),  # noqa: E501
        pytest.param("4 node(s) had untolerated taint {nvidia.com/gpu: present}.", ProblemReason.NO_MATCHING_NODE, id="taint"),  # noqa: E501
        pytest.param(f"{OTHERS}, 3 node(s) didn't match Pod's node affinity/selector.", ProblemReason.NO_MATCHING_NODE, id="node selector"),  # noqa: E501
        pytest.param("4 node(s) didn't match pod topology spread constraints.", ProblemReason.NO_MATCHING_NODE, id="spread"),  # noqa: E501
        pytest.param("4 node(s) didn't satisfy existing pods anti-affinity rules.", ProblemReason.NO_MATCHING_NODE, id="anti-affinity"),  # noqa: E501
        pytest.param("4 node(s) had untolerated taint {volume: Insufficient gpu}.", ProblemReason.NO_MATCHING_NODE, id="taint with a misleading name"),  # noqa: E501
        pytest.param("4 something new.", ProblemReason.UNSCHEDULABLE, id="unknown"),
    ],
)  # fmt: skip
def test_what_the_scheduler_misses_has_a_reason_of_its_own(causes: str, reason: ProblemReason):
    message = f"0/4 nodes are available: {causes} {PREEMPTION}"
    (found,) = read(a_pod().unschedulable(message))
    assert found.problem == Problem(reason, message)
