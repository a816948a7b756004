"""The five conditions in each situation, the Events that follow from them, and when the status is written."""

from dataclasses import replace

import pytest

from chatscale.api.v1alpha1 import CapacityStatus, ChatModelStatus
from chatscale.observe.pods import read_pods
from chatscale.reconcile.chatmodel.events import status_events
from chatscale.reconcile.chatmodel.pass_result import PassResult
from chatscale.reconcile.chatmodel.replicas import Writer
from chatscale.reconcile.chatmodel.status import as_patch, compute_status, write_due_in_s
from chatscale.reconcile.events import EventDraft
from chatscale.reconcile.refusal import Refusal
from chatscale.scaling.state import ScalerState
from tests.support.builders import PodBuilder, a_chatmodel, a_pod, at
from tests.support.fake_reader import a_sample

GPU_MESSAGE = "0/3 nodes are available: 3 Insufficient nvidia.com/gpu."


def a_result(*pods: PodBuilder, replicas: int = 1, updated: int | None = None, **more) -> PassResult:
    status = {"observedGeneration": 1, "updatedReplicas": replicas if updated is None else updated}
    return PassResult(
        chatmodel=a_chatmodel().build(),
        pods=read_pods(pod.manifest() for pod in pods),
        deployment={"metadata": {"generation": 1}, "status": status},
        replicas=replicas,
        writer=Writer.USER,
        scaler=ScalerState.rebuilt(replicas, at(0)),
        **more,
    )


def reasons(found: PassResult) -> dict[str, str]:
    """`status/reason` by type."""
    return {c.type: f"{c.status}/{c.reason}" for c in compute_status(found, at(0)).conditions}


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        pytest.param(
            a_result(updated=0),
            {
                "Ready": "False/Starting",
                "ModelLoaded": "Unknown/NotStarted",
                "Available": "False/NoReadyReplicas",
                "Progressing": "True/RollingOut",
            },
            id="nothing yet",
        ),
        pytest.param(
            a_result(a_pod()),
            {
                "Ready": "False/Starting",
                "ModelLoaded": "Unknown/Loading",
                "Available": "False/NoReadyReplicas",
                "Progressing": "True/Starting",
            },
            id="loading",
        ),
        pytest.param(
            a_result(a_pod().ready()),
            {
                "Ready": "True/Ready",
                "ModelLoaded": "True/Loaded",
                "Available": "True/ReplicasReady",
                "Progressing": "True/Complete",
            },
            id="as the spec says",
        ),
        pytest.param(
            a_result(a_pod().ready(), a_pod("tiny-2"), replicas=2),
            {
                "Ready": "True/PartlyReady",
                "ModelLoaded": "True/Loaded",
                "Available": "True/ReplicasReady",
                "Progressing": "True/Starting",
            },
            id="one more is coming",
        ),
        pytest.param(
            a_result(a_pod().ready(), a_pod("tiny-2").unschedulable(GPU_MESSAGE), replicas=2),
            {
                "Ready": "True/InsufficientGPU",
                "ModelLoaded": "True/Loaded",
                "Available": "True/ReplicasReady",
                "Progressing": "False/InsufficientGPU",
            },
            id="no GPU for one more",
        ),
        pytest.param(
            a_result(a_pod().ended(69, "needs 16 GiB, has 8 GiB")),
            {
                "Ready": "False/ModelDoesNotFit",
                "ModelLoaded": "False/ModelDoesNotFit",
                "Available": "False/NoReadyReplicas",
                "Progressing": "False/ModelDoesNotFit",
            },
            id="does not fit",
        ),
        pytest.param(
            a_result(a_pod().ready(), a_pod("tiny-2").created_at(at(60)).of_template("v2").ended(66, "no such model")),
            {
                "Ready": "True/Ready",
                "ModelLoaded": "False/ModelNotFound",
                "Available": "True/ReplicasReady",
                "Progressing": "False/ModelNotFound",
            },
            id="the old version answers while the new one has no model",
        ),
        pytest.param(
            a_result(a_pod().ready(), a_pod("tiny-2").terminating(), replicas=1),
            {
                "Ready": "True/Ready",
                "ModelLoaded": "True/Loaded",
                "Available": "True/ReplicasReady",
                "Progressing": "True/Complete",
            },
            id="one is leaving",
        ),
        pytest.param(
            a_result(replicas=0),
            {
                "Ready": "False/ScaledToZero",
                "ModelLoaded": "Unknown/NotStarted",
                "Available": "False/NoReadyReplicas",
                "Progressing": "True/Complete",
            },
            id="zero by the user",
        ),
    ],
)
def test_conditions_match_the_observed_state(found: PassResult, expected: dict[str, str]):
    assert reasons(found) == expected | {"ScalingActive": "False/ScalingDisabled", "RoutingReady": "True/NamesAccepted"}


@pytest.mark.parametrize(
    ("found", "status"),
    [
        pytest.param(a_result(a_pod().ready()), "True", id="complete"),
        pytest.param(a_result(replicas=0), "True", id="complete at zero"),
        pytest.param(a_result(a_pod(), updated=0), "True", id="a rollout"),
        pytest.param(a_result(a_pod()), "True", id="a start"),
        pytest.param(a_result(a_pod().ready(), a_pod("tiny-2").ready()), "True", id="a scale-down"),
        pytest.param(a_result(a_pod().unschedulable(GPU_MESSAGE)), "False", id="stuck without a GPU"),
        pytest.param(a_result(a_pod().ended(66, "no such model")), "False", id="stuck without a model"),
        pytest.param(a_result(refusal=Refusal("Forbidden", "quota")), "False", id="stuck at a quota"),
    ],
)
def test_progressing_is_false_only_if_something_prevents_progress_as_in_a_deployment(found: PassResult, status: str):
    assert reasons(found)["Progressing"].partition("/")[0] == status


def test_pods_that_a_quota_refuses_are_named_with_the_backoff_of_the_replicaset():
    message = 'pods "tiny-1" is forbidden: exceeded quota: gpus'
    found = a_result(updated=0)
    assert found.deployment is not None
    failure = {"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": message}
    found = replace(found, deployment=found.deployment | {"status": {"conditions": [failure]}})
    status = compute_status(found, at(0))
    assert status.phase == "PodsRefused"
    assert status.conditions[0].message == (
        f"0 of 1 replicas are ready: {message}; the ReplicaSet tries again with growing pauses, "
        "so this can remain for up to 17 minutes after the cause is gone"
    )


def a_rollout_of_seven(*new: PodBuilder) -> PassResult:
    """Seven old replicas are ready, and some new ones exist beside them."""
    old = [a_pod(f"tiny-{index}").ready() for index in range(8 - len(new))]
    return a_result(*old, *new, replicas=7, updated=len(new))


NEW = a_pod("tiny-new").created_at(at(60)).of_template("v2")


@pytest.mark.parametrize(
    ("found", "ready", "progressing"),
    [
        pytest.param(
            a_rollout_of_seven(NEW.ready(at(90))),
            "8 replicas are ready, 7 are desired",
            ("RollingOut", "1 of 7 replicas run the current spec"),
            id="a surplus replica",
        ),
        pytest.param(
            replace(a_rollout_of_seven(NEW.ready(at(90))), deployment=a_result(replicas=7).deployment),
            "8 replicas are ready, 7 are desired",
            ("RollingOut", "8 replicas exist, some of them of an earlier spec; 7 are desired"),
            id="the last old replica",
        ),
        pytest.param(
            a_result(*(a_pod(f"tiny-{index}").ready() for index in range(8)), replicas=7),
            "8 replicas are ready, 7 are desired",
            ("ScalingDown", "8 replicas exist, 7 are desired"),
            id="a scale-down",
        ),
    ],
)
def test_a_surplus_of_a_rollout_is_no_scale_down_and_counts_are_never_more_of_less(
    found: PassResult, ready: str, progressing: tuple[str, str]
):
    conditions = {c.type: c for c in compute_status(found, at(0)).conditions}
    assert conditions["Ready"].message == ready
    assert (conditions["Progressing"].reason, conditions["Progressing"].message) == progressing


def test_the_phase_is_the_reason_of_ready():
    assert compute_status(a_result(a_pod().ended(66, "no such model")), at(0)).phase == "ModelNotFound"


@pytest.mark.parametrize("mode", [None, "Fixed", "Operator", "HPA"])
def test_the_mode_is_shown_also_if_autoscaling_is_left_out(mode: str | None):
    model = a_chatmodel().in_mode(mode) if mode else a_chatmodel()
    status = compute_status(replace(a_result(), chatmodel=model.build()), at(0))
    assert as_patch(status)["autoscaling"]["mode"] == (mode or "Fixed")


def test_a_rollout_counts_only_once_the_controller_has_seen_it():
    old = a_result(a_pod().ready())
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
def test_in_mode_hpa_the_condition_is_that_of_the_hpa(autoscaler, expected: str):
    found = a_result(a_pod().ready())
    found = replace(found, writer=Writer.AUTOSCALER, autoscaler=autoscaler)
    assert reasons(found)["ScalingActive"] == expected


def test_a_sample_from_before_readiness_does_not_mean_an_old_server():
    silent = a_sample(at(10), work=None)
    found = replace(a_result(a_pod().ready(since=at(20))), samples={"tiny-1": silent})
    assert found.not_counting == []
    assert replace(found, samples={"tiny-1": replace(silent, taken_at=at(25))}).not_counting == ["tiny-1"]


def test_transition_times_change_only_with_the_status_of_a_condition():
    before = compute_status(a_result(a_pod()), at(0))
    chatmodel = a_chatmodel().build().model_copy(update={"status": before})
    later = a_result(a_pod().ended(66, "no such model"))
    later = replace(later, chatmodel=chatmodel)
    times = {c.type: c.last_transition_time for c in compute_status(later, at(60)).conditions}
    assert times["Ready"] == at(0)
    assert times["ModelLoaded"] == at(60)


def test_a_status_survives_being_written_and_read():
    status = compute_status(a_result(a_pod().ready(), queue_depth=3, read_whole_at=at(0)), at(0))
    assert ChatModelStatus.model_validate(as_patch(status)) == status


@pytest.mark.parametrize(
    ("seconds", "queue_depth", "running", "due_in_s"),
    [
        pytest.param(3, 4, 0, 7, id="a queue not within ten seconds"),
        pytest.param(10, 4, 0, 0, id="a queue after ten seconds"),
        pytest.param(10, 3, 1, 50, id="other metrics not within a minute"),
        pytest.param(60, 3, 1, 0, id="other metrics after a minute"),
        pytest.param(1200, 3, 0, 0, id="the time alone after twenty minutes"),
    ],
)
def test_a_status_is_written_as_often_as_its_change_matters(
    seconds: float, queue_depth: int, running: int, due_in_s: float
):
    def status(seconds: float, queue_depth: int, running: int) -> ChatModelStatus:
        samples = {"tiny-1": a_sample(at(seconds), running=running)}
        found = a_result(a_pod().ready(), queue_depth=queue_depth, read_whole_at=at(seconds), samples=samples)
        return compute_status(found, at(0))

    before, after = status(0, 3, 0), status(seconds, queue_depth, running)
    assert write_due_in_s(before, after, seconds, "uid-tiny") == due_in_s
    assert write_due_in_s(before, before, seconds, "uid-tiny") is None


def test_the_capacity_has_the_smallest_number_of_slots_and_stays_when_no_replica_is_read():
    few, many = (replace(a_sample(at(0)), slots=slots) for slots in (16, 32))
    found = compute_status(a_result(a_pod().ready(), samples={"tiny-1": many, "tiny-2": few}), at(0))
    silent = a_result(a_pod().ready())
    later = compute_status(replace(silent, chatmodel=silent.chatmodel.model_copy(update={"status": found})), at(9))
    assert found.autoscaling.capacity == CapacityStatus(max_concurrency=16)
    assert later.autoscaling.capacity == found.autoscaling.capacity


@pytest.mark.parametrize(
    ("capacity", "due_in_s"),
    [
        pytest.param(CapacityStatus(max_concurrency=16), 9, id="slots"),
        pytest.param(CapacityStatus(max_concurrency=8, binding_limit="Slots"), 59, id="what binds"),
    ],
)
def test_a_capacity_is_written_as_often_as_its_change_matters(capacity: CapacityStatus, due_in_s: float):
    before = compute_status(a_result(a_pod().ready(), samples={"tiny-1": a_sample(at(0))}), at(0))
    scaling = before.autoscaling.model_copy(update={"capacity": capacity})
    after = before.model_copy(update={"autoscaling": scaling})
    assert write_due_in_s(before, after, 1, "uid-tiny") == due_in_s


def test_the_time_of_the_metrics_alone_is_not_written_within_ten_minutes():
    before = compute_status(a_result(a_pod().ready(), read_whole_at=at(0)), at(0))
    after = compute_status(a_result(a_pod().ready(), read_whole_at=at(600)), at(0))
    assert 0 < (write_due_in_s(before, after, 600, "uid-tiny") or 0) <= 600


def a_status(conditions: dict[str, tuple[str, str, str]] | None = None, **fields: object) -> ChatModelStatus:
    """Of a ready model. conditions: (status, reason, message) by type."""
    found = compute_status(a_result(a_pod().ready()), at(0))
    changed = [
        condition.model_copy(update=dict(zip(("status", "reason", "message"), change, strict=True)))
        if (change := (conditions or {}).get(condition.type))
        else condition
        for condition in found.conditions
    ]
    return found.model_copy(update={"conditions": changed, **fields})


@pytest.mark.parametrize(
    ("after", "due_in_s"),
    [
        pytest.param(a_status({"Ready": ("True", "Ready", "other words")}), 9, id="the message of Ready"),
        pytest.param(
            a_status({"Progressing": ("True", "Complete", "other words")}), 9, id="the message of Progressing"
        ),
        pytest.param(a_status({"ScalingActive": ("False", "ScalingDisabled", "x")}), 59, id="the message of scaling"),
        pytest.param(a_status({"Ready": ("True", "PartlyReady", "")}), 0, id="a reason"),
        pytest.param(
            a_status({"ScalingActive": ("Unknown", "ScalingDisabled", "")}), 0, id="the status of a condition"
        ),
        pytest.param(a_status(replicas=2), 0, id="pods"),
        pytest.param(a_status(ready_replicas=0), 0, id="ready pods"),
        pytest.param(a_status(updated_replicas=0), 0, id="updated pods"),
        pytest.param(a_status(desired_replicas=2), 0, id="the desired count"),
        pytest.param(a_status(observed_generation=2), 9, id="a generation that changes nothing else"),
        pytest.param(a_status(queue_depth=1), 9, id="the queue"),
    ],
)
def test_only_a_conditions_status_or_reason_or_a_replica_count_is_written_within_ten_seconds(
    after: ChatModelStatus, due_in_s: float
):
    assert write_due_in_s(a_status(), after, 1.0, "uid-tiny") == due_in_s


def test_many_unchanged_statuses_are_not_written_in_the_same_minute():
    before = compute_status(a_result(a_pod().ready(), read_whole_at=at(0)), at(0))

    def written(minute: int) -> int:
        now = at(60 * minute)
        after = compute_status(a_result(a_pod().ready(), read_whole_at=now), at(0))
        return sum(write_due_in_s(before, after, 60.0 * minute, f"uid-{index}") == 0 for index in range(200))

    by_minute = [written(minute + 1) - written(minute) for minute in range(20)]
    assert sum(by_minute) == 200
    assert max(by_minute) <= 35


def test_a_bad_reason_causes_one_event_however_many_conditions_have_it():
    fine = compute_status(a_result(a_pod().ready()), at(0))
    broken = compute_status(a_result(a_pod().ended(66, "no such model")), at(60))
    assert status_events(fine, broken) == [
        EventDraft("ModelNotFound", "0 of 1 replicas are ready: no such model", warning=True)
    ]
    assert status_events(broken, broken) == []
    assert status_events(broken, fine) == [EventDraft("Ready", "1 of 1 replicas are ready")]
