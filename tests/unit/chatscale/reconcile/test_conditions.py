"""What the five conditions say in each situation, and what is told of them."""

from dataclasses import replace

import pytest

from chatscale.api.v1alpha1 import ChatModelStatus
from chatscale.observe.pods import read_pods
from chatscale.reconcile.events import Note, status_notes
from chatscale.reconcile.pass_result import PassResult
from chatscale.reconcile.replicas import Writer
from chatscale.reconcile.status import as_patch, compute_status, is_worth_writing
from chatscale.scaling.state import ScalerState
from tests.support.builders import PodBuilder, a_chatmodel, a_pod, at
from tests.support.fake_reader import a_sample

GPU_MESSAGE = "0/3 nodes are available: 3 Insufficient nvidia.com/gpu."


def facts(*pods: PodBuilder, replicas: int = 1, updated: int | None = None, **more) -> PassResult:
    status = {"observedGeneration": 1, "updatedReplicas": replicas if updated is None else updated}
    return PassResult(
        chatmodel=a_chatmodel().build(),
        pods=read_pods(pod.manifest() for pod in pods),
        deployment={"metadata": {"generation": 1}, "status": status},
        replicas=replicas,
        writer=Writer.USER,
        remembered=ScalerState.rebuilt(replicas, at(0)),
        **more,
    )


def reasons(found: PassResult) -> dict[str, str]:
    """`status/reason` by type."""
    return {c.type: f"{c.status}/{c.reason}" for c in compute_status(found, at(0)).conditions}


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        pytest.param(
            facts(updated=0),
            {
                "Ready": "False/Starting",
                "ModelLoaded": "Unknown/NotStarted",
                "Available": "False/NoReadyReplicas",
                "Progressing": "True/RollingOut",
            },
            id="nothing yet",
        ),
        pytest.param(
            facts(a_pod()),
            {
                "Ready": "False/Starting",
                "ModelLoaded": "Unknown/Loading",
                "Available": "False/NoReadyReplicas",
                "Progressing": "True/Starting",
            },
            id="loading",
        ),
        pytest.param(
            facts(a_pod().ready()),
            {
                "Ready": "True/Ready",
                "ModelLoaded": "True/Loaded",
                "Available": "True/ReplicasReady",
                "Progressing": "False/Complete",
            },
            id="as the spec says",
        ),
        pytest.param(
            facts(a_pod().ready(), a_pod("tiny-2"), replicas=2),
            {
                "Ready": "True/PartlyReady",
                "ModelLoaded": "True/Loaded",
                "Available": "True/ReplicasReady",
                "Progressing": "True/Starting",
            },
            id="one more is coming",
        ),
        pytest.param(
            facts(a_pod().ready(), a_pod("tiny-2").unschedulable(GPU_MESSAGE), replicas=2),
            {
                "Ready": "True/InsufficientGPU",
                "ModelLoaded": "True/Loaded",
                "Available": "True/ReplicasReady",
                "Progressing": "False/InsufficientGPU",
            },
            id="no GPU for one more",
        ),
        pytest.param(
            facts(a_pod().ended(69, "needs 16 GiB, has 8 GiB")),
            {
                "Ready": "False/ModelDoesNotFit",
                "ModelLoaded": "False/ModelDoesNotFit",
                "Available": "False/NoReadyReplicas",
                "Progressing": "False/ModelDoesNotFit",
            },
            id="does not fit",
        ),
        pytest.param(
            facts(a_pod().ready(), a_pod("tiny-2").created_at(at(60)).of_template("v2").ended(66, "no such model")),
            {
                "Ready": "True/Ready",
                "ModelLoaded": "False/ModelNotFound",
                "Available": "True/ReplicasReady",
                "Progressing": "False/ModelNotFound",
            },
            id="the old version answers while the new one has no model",
        ),
        pytest.param(
            facts(a_pod().ready(), a_pod("tiny-2").terminating(), replicas=1),
            {
                "Ready": "True/Ready",
                "ModelLoaded": "True/Loaded",
                "Available": "True/ReplicasReady",
                "Progressing": "False/Complete",
            },
            id="one is leaving",
        ),
        pytest.param(
            facts(replicas=0),
            {
                "Ready": "False/ScaledToZero",
                "ModelLoaded": "Unknown/NotStarted",
                "Available": "False/NoReadyReplicas",
                "Progressing": "False/Complete",
            },
            id="zero by the user",
        ),
    ],
)
def test_conditions_say_what_is(found: PassResult, expected: dict[str, str]):
    assert reasons(found) == expected | {"ScalingActive": "False/ScalingDisabled"}


def test_pods_that_a_quota_refuses_are_named():
    message = 'pods "tiny-1" is forbidden: exceeded quota: gpus'
    found = facts(updated=0)
    assert found.deployment is not None
    failure = {"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": message}
    found = replace(found, deployment=found.deployment | {"status": {"conditions": [failure]}})
    status = compute_status(found, at(0))
    assert (status.phase, status.conditions[0].message) == ("PodsRefused", f"0 of 1 replicas answer: {message}")


def test_the_phase_is_the_reason_of_ready():
    assert compute_status(facts(a_pod().ended(66, "no such model")), at(0)).phase == "ModelNotFound"


def test_a_rollout_counts_only_once_the_controller_has_seen_it():
    old = facts(a_pod().ready())
    assert old.deployment is not None
    newer = replace(old, deployment={**old.deployment, "metadata": {"generation": 2}})
    assert compute_status(newer, at(0)).updated_replicas == 0
    assert reasons(newer)["Progressing"] == "True/RollingOut"


@pytest.mark.parametrize(
    ("autoscaler", "expected"),
    [
        pytest.param(None, "Unknown/AutoscalerStarting", id="not made yet"),
        pytest.param(
            {
                "status": {
                    "conditions": [{"type": "ScalingActive", "status": "False", "reason": "FailedGetExternalMetric"}]
                }
            },
            "False/FailedGetExternalMetric",
            id="its own words",
        ),
    ],
)
def test_in_mode_hpa_the_hpa_speaks(autoscaler, expected: str):
    found = facts(a_pod().ready())
    found = replace(found, writer=Writer.AUTOSCALER, autoscaler=autoscaler)
    assert reasons(found)["ScalingActive"] == expected


def test_what_prometheus_scraped_while_a_pod_loaded_is_not_taken_for_an_old_server():
    silent = a_sample(at(10), work=None)
    found = replace(facts(a_pod().ready(since=at(20))), samples={"tiny-1": silent})
    assert found.not_counting == []
    assert replace(found, samples={"tiny-1": replace(silent, taken_at=at(25))}).not_counting == ["tiny-1"]


def test_times_move_only_with_the_status_of_a_condition():
    before = compute_status(facts(a_pod()), at(0))
    chatmodel = a_chatmodel().build().model_copy(update={"status": before})
    later = facts(a_pod().ended(66, "no such model"))
    later = replace(later, chatmodel=chatmodel)
    times = {c.type: c.last_transition_time for c in compute_status(later, at(60)).conditions}
    assert times["Ready"] == at(0)
    assert times["ModelLoaded"] == at(60)


def test_a_status_survives_being_written_and_read():
    status = compute_status(facts(a_pod().ready(), queue_depth=3, read_whole_at=at(0)), at(0))
    assert ChatModelStatus.model_validate(as_patch(status)) == status


def test_volatile_numbers_alone_are_written_once_a_minute():
    before = compute_status(facts(a_pod().ready(), queue_depth=3, read_whole_at=at(0)), at(0))
    chatmodel = a_chatmodel().build().model_copy(update={"status": before})

    def after(seconds: float, queue_depth: int) -> ChatModelStatus:
        found = facts(a_pod().ready(), queue_depth=queue_depth, read_whole_at=at(seconds))
        found = replace(found, chatmodel=chatmodel)
        return compute_status(found, at(seconds))

    assert not is_worth_writing(before, after(5, 3), at(5))
    assert is_worth_writing(before, after(5, 4), at(5))
    assert is_worth_writing(before, after(60, 3), at(60))


def test_a_bad_reason_is_told_once_however_many_conditions_give_it():
    fine = compute_status(facts(a_pod().ready()), at(0))
    broken = compute_status(facts(a_pod().ended(66, "no such model")), at(60))
    assert status_notes(fine, broken) == [Note("ModelNotFound", "0 of 1 replicas answer: no such model", warning=True)]
    assert status_notes(broken, broken) == []
    assert status_notes(broken, fine) == [Note("Ready", "1 of 1 replicas answer")]
