"""Why a pod does not run yet: what it waits for, since when, and whether that is a problem. Pure.

A pod can wait for ever: behind a scheduling gate, for a node, for an image or for a volume. It counts as capacity to
come only for `spec.autoscaling.pendingTimeoutSeconds`. Waits that every pod goes through for a moment, such as the one
for the scheduler's first try, are no problem at first, so they have none.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from chatscale.observe.problems import Problem, ProblemReason

MESSAGE_LENGTH: Final = 1024
"""Characters of a message from Kubernetes or a container that go into the status."""
_IMAGE_WAITS: Final = (
    "ImagePullBackOff",
    "ErrImagePull",
    "InvalidImageName",
    "ErrImageNeverPull",
    "ImageInspectError",
    "RegistryUnavailable",
    "SignatureValidationFailed",
)
_CONFIG_WAITS: Final = (
    "CreateContainerConfigError",
    "CreateContainerError",
    "RunContainerError",
    "PreCreateHookError",
    "PreStartHookError",
    "PostStartHookError",
)
"""Reasons of a container's waiting state, from the kubelet (pkg/kubelet/images/types.go, kuberuntime_container.go)."""
_SCHEDULER_CAUSES: Final = (
    (r"Insufficient (nvidia\.com/|amd\.com/|\S*gpu)", ProblemReason.INSUFFICIENT_GPU),
    (r"Insufficient |Too many pods|no nodes available", ProblemReason.INSUFFICIENT_RESOURCES),
    (r"node\(s\) were unschedulable", ProblemReason.NODES_CORDONED),
    (r"volume|storageclass|pvc", ProblemReason.VOLUME_UNAVAILABLE),
    (r"untolerated taint|didn't (match|satisfy)|didn't have free ports", ProblemReason.NO_MATCHING_NODE),
)
"""Patterns of the scheduler's message, which names a cause for each group of nodes; the first that matches decides.
What the pod lacks on a node that it could use comes before what excludes other nodes, such as the control plane's."""


@dataclass(frozen=True, slots=True)
class Wait:
    """Something that a pod needs before its server can start."""

    since: datetime
    message: str
    problem: Problem | None = None
    """None for a wait that is normal at first."""
    node: str = ""
    """The node, if the cause may lie on this node alone."""


def current_wait(manifest: Mapping[str, Any]) -> Wait | None:
    """What a pod that is neither Ready nor terminating waits for; None while its containers start or run."""
    return _for_node(manifest) or _for_container(manifest) or _for_kubelet(manifest)


def lost_node(manifest: Mapping[str, Any]) -> Problem | None:
    """Whether the node controller set Ready to False, as it does for all pods of a node that does not report.

    The kubelet derives Ready from ContainersReady and from readiness gates; the node controller changes Ready alone.
    """
    ready, containers = condition_of(manifest, "Ready"), condition_of(manifest, "ContainersReady")
    is_gated = ready.get("reason") == "ReadinessGatesNotReady"
    if ready.get("status") != "False" or containers.get("status") != "True" or is_gated:
        return None
    message = f"node {_node_of(manifest)} does not report to the control plane; the state of the pod is unknown"
    return Problem(ProblemReason.NODE_UNREACHABLE, message)


def condition_of(manifest: Mapping[str, Any], kind: str) -> Mapping[str, Any]:
    """The condition of this type; empty if there is none."""
    return next((c for c in status_of(manifest).get("conditions") or () if c.get("type") == kind), {})


def status_of(manifest: Mapping[str, Any]) -> Mapping[str, Any]:
    """The status; empty if there is none."""
    status: Mapping[str, Any] = manifest.get("status") or {}
    return status


def created_at(manifest: Mapping[str, Any]) -> datetime:
    """The time of creation."""
    return datetime.fromisoformat(manifest["metadata"]["creationTimestamp"])


def scheduled_at(manifest: Mapping[str, Any]) -> datetime | None:
    """When the pod was scheduled, or else when the kubelet accepted it; None before that.

    The API server sets the condition's time as it binds the pod. A pod that was created with a node name may have none.
    """
    scheduled = condition_of(manifest, "PodScheduled")
    if scheduled.get("status") == "False":
        return None
    found = scheduled.get("lastTransitionTime") or status_of(manifest).get("startTime")
    return datetime.fromisoformat(found) if found else None


def since(condition: Mapping[str, Any], manifest: Mapping[str, Any]) -> datetime:
    """The condition's last transition. The API server writes some conditions at creation, without a time."""
    found = condition.get("lastTransitionTime")
    return datetime.fromisoformat(found) if found else created_at(manifest)


def shortened(message: str | None) -> str:
    """One line of limited length."""
    return " ".join((message or "").split())[:MESSAGE_LENGTH]


def _for_node(manifest: Mapping[str, Any]) -> Wait | None:
    scheduled = condition_of(manifest, "PodScheduled")
    if scheduled.get("status") == "False":
        problem = _why_unscheduled(scheduled, manifest.get("spec") or {})
        return Wait(since(scheduled, manifest), problem.message, problem)
    spec = manifest.get("spec") or {}
    if not scheduled and not spec.get("nodeName") and status_of(manifest).get("phase") == "Pending":
        name = spec.get("schedulerName") or "default-scheduler"
        return Wait(created_at(manifest), f"the scheduler {name} has not tried to place the pod")
    return None


def _why_unscheduled(scheduled: Mapping[str, Any], spec: Mapping[str, Any]) -> Problem:
    message = shortened(scheduled.get("message"))
    if scheduled.get("reason") == "SchedulingGated":
        gates = ", ".join(gate["name"] for gate in spec.get("schedulingGates") or ())
        return Problem(ProblemReason.SCHEDULING_GATED, shortened(f"{message} ({gates})" if gates else message))
    # What preemption could not do repeats the causes in other words; braces hold the names of taints.
    causes = re.sub(r"\{[^}]*\}", "", message.partition("preemption:")[0])
    found = (reason for pattern, reason in _SCHEDULER_CAUSES if re.search(pattern, causes, re.IGNORECASE))
    return Problem(next(found, ProblemReason.UNSCHEDULABLE), message)


def _for_container(manifest: Mapping[str, Any]) -> Wait | None:
    """An image or a configuration that a container needs, one that an admission webhook added included."""
    problem = next(_container_problems(manifest), None)
    if problem is None:
        return None
    # A container may wait again after the pod was Ready: the wait began when the pod stopped being Ready.
    ready = condition_of(manifest, "Ready")
    began = ready if ready.get("status") == "False" else condition_of(manifest, "PodScheduled")
    return Wait(since(began, manifest), problem.message, problem, _node_of(manifest))


def _container_problems(manifest: Mapping[str, Any]) -> Iterator[Problem]:
    status = status_of(manifest)
    for container in (*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())):
        waiting = (container.get("state") or {}).get("waiting") or {}
        message = shortened(waiting.get("message"))
        if waiting.get("reason") in _IMAGE_WAITS:
            yield Problem(
                ProblemReason.IMAGE_UNAVAILABLE, message or f"image {container.get('image')} cannot be pulled"
            )
        elif waiting.get("reason") in _CONFIG_WAITS:
            yield Problem(ProblemReason.POD_CONFIG_ERROR, message)


def _for_kubelet(manifest: Mapping[str, Any]) -> Wait | None:
    scheduled, sandbox = condition_of(manifest, "PodScheduled"), condition_of(manifest, "PodReadyToStartContainers")
    node = _node_of(manifest)
    if scheduled.get("status") == "True" and not status_of(manifest).get("startTime"):
        return Wait(since(scheduled, manifest), f"node {node} has not accepted the pod", node=node)
    if sandbox.get("status") == "False":
        message = f"volumes or network of the pod are not ready on node {node}"
        return Wait(since(sandbox, manifest), message, node=node)
    return None


def _node_of(manifest: Mapping[str, Any]) -> str:
    name: str = (manifest.get("spec") or {}).get("nodeName") or "unknown"
    return name
