"""A pod as the policy and the status need it, read from its manifest: phase, address, and what is wrong with it.

Pure. Everything in a manifest may be missing: the pod may be a second old.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

from chatscale import names
from chatscale.scaling.signals import ReplicaPhase
from chatscale_contract.server.exit_codes import ExitCode

TEMPLATE_HASH_LABEL: Final = "pod-template-hash"
"""Set by the Deployment controller: equal on pods of one version of the template."""
_FINISHED: Final = ("Succeeded", "Failed")
_IMAGE_WAITS: Final = ("ImagePullBackOff", "ErrImagePull", "InvalidImageName", "ErrImageNeverPull")
_CONFIG_WAITS: Final = ("CreateContainerConfigError", "CreateContainerError", "RunContainerError")
MESSAGE_LENGTH: Final = 1024
"""Of what a container may put into our status."""


class ProblemReason(StrEnum):
    """Why a pod does not become ready; reasons of conditions."""

    MODEL_NOT_FOUND = "ModelNotFound"
    MODEL_DOES_NOT_FIT = "ModelDoesNotFit"
    MODEL_UNSUPPORTED = "ModelUnsupported"
    BAD_SETTINGS = "BadSettings"
    ENGINE_FAILED = "EngineFailed"
    SERVER_CRASHED = "ServerCrashed"
    IMAGE_UNAVAILABLE = "ImageUnavailable"
    POD_CONFIG_ERROR = "PodConfigError"
    INSUFFICIENT_GPU = "InsufficientGPU"
    INSUFFICIENT_RESOURCES = "InsufficientResources"
    PODS_REFUSED = "PodsRefused"

    @property
    def is_about_model(self) -> bool:
        """Whether the model itself is at fault, so that ModelLoaded says it."""
        return self in (self.MODEL_NOT_FOUND, self.MODEL_DOES_NOT_FIT, self.MODEL_UNSUPPORTED)


_BY_EXIT_CODE: Final = {
    ExitCode.MODEL_NOT_FOUND: ProblemReason.MODEL_NOT_FOUND,
    ExitCode.MODEL_UNSUPPORTED: ProblemReason.MODEL_UNSUPPORTED,
    ExitCode.MODEL_TOO_LARGE: ProblemReason.MODEL_DOES_NOT_FIT,
    ExitCode.BAD_SETTINGS: ProblemReason.BAD_SETTINGS,
    ExitCode.ENGINE_FAILED: ProblemReason.ENGINE_FAILED,
}


@dataclass(frozen=True, slots=True)
class Problem:
    """What keeps a pod from becoming ready, in its own words."""

    reason: ProblemReason
    message: str


@dataclass(frozen=True, slots=True)
class Pod:
    """One pod of a ChatModel that has not finished."""

    name: str
    phase: ReplicaPhase
    since: datetime
    """When it entered the phase."""
    created: datetime
    address: str = ""
    """IP address; empty until it has one."""
    template: str = ""
    """Equal for pods made from the same template."""
    problem: Problem | None = None
    """None for a ready pod."""


def read_pods(manifests: Iterable[Mapping[str, Any]]) -> tuple[Pod, ...]:
    """All pods that are or may become replicas, oldest first; finished ones (evicted, say) are neither."""
    found = [_read(manifest) for manifest in manifests if _status(manifest).get("phase") not in _FINISHED]
    return tuple(sorted(found, key=lambda pod: (pod.created, pod.name)))


def current_problem(pods: Iterable[Pod]) -> Problem | None:
    """The newest problem among pods of the newest template: pods that are on their way out do not count."""
    alive = [pod for pod in pods if pod.phase is not ReplicaPhase.TERMINATING]
    if not alive:
        return None
    newest = max(alive, key=lambda pod: (pod.created, pod.name))
    return next((pod.problem for pod in reversed(alive) if pod.template == newest.template and pod.problem), None)


def refusal_of_pods(deployment: Mapping[str, Any] | None) -> Problem | None:
    """Why the API server lets the Deployment make no more pods (a quota, a policy); None if it does."""
    failure = _condition(deployment or {}, "ReplicaFailure")
    if failure.get("status") != "True":
        return None
    return Problem(ProblemReason.PODS_REFUSED, _short(failure.get("message")))


def _read(manifest: Mapping[str, Any]) -> Pod:
    meta = manifest["metadata"]
    phase, since = _phase(manifest)
    return Pod(
        name=meta["name"],
        phase=phase,
        since=since,
        created=_time(meta["creationTimestamp"]),
        address=_status(manifest).get("podIP") or "",
        template=(meta.get("labels") or {}).get(TEMPLATE_HASH_LABEL, ""),
        problem=None if phase in (ReplicaPhase.READY, ReplicaPhase.TERMINATING) else _problem(manifest),
    )


def _phase(manifest: Mapping[str, Any]) -> tuple[ReplicaPhase, datetime]:
    meta = manifest["metadata"]
    created = _time(meta["creationTimestamp"])
    if meta.get("deletionTimestamp"):
        return ReplicaPhase.TERMINATING, _time(meta["deletionTimestamp"])
    ready, scheduled = _condition(manifest, "Ready"), _condition(manifest, "PodScheduled")
    if ready.get("status") == "True":
        return ReplicaPhase.READY, _since(ready, created)
    if scheduled.get("status") == "False" and scheduled.get("reason") == "Unschedulable":
        return ReplicaPhase.UNSCHEDULABLE, _since(scheduled, created)
    return ReplicaPhase.STARTING, _since(scheduled, created)


def _problem(manifest: Mapping[str, Any]) -> Problem | None:
    scheduled = _condition(manifest, "PodScheduled")
    if scheduled.get("status") == "False" and scheduled.get("reason") == "Unschedulable":
        message = _short(scheduled.get("message"))
        lacks_gpu = "Insufficient nvidia.com/" in message or "Insufficient amd.com/" in message
        return Problem(ProblemReason.INSUFFICIENT_GPU if lacks_gpu else ProblemReason.INSUFFICIENT_RESOURCES, message)
    containers: Iterable[Mapping[str, Any]] = _status(manifest).get("containerStatuses") or ()
    server = next((found for found in containers if found["name"] == names.SERVER_CONTAINER), {})
    state = server.get("state") or {}
    waiting = state.get("waiting") or {}
    if waiting.get("reason") in _IMAGE_WAITS:
        message = _short(waiting.get("message")) or f"image {server.get('image')} cannot be pulled"
        return Problem(ProblemReason.IMAGE_UNAVAILABLE, message)
    if waiting.get("reason") in _CONFIG_WAITS:
        return Problem(ProblemReason.POD_CONFIG_ERROR, _short(waiting.get("message")))
    # The last end counts until the container is ready: between two tries the problem is still there.
    ended = state.get("terminated") or (server.get("lastState") or {}).get("terminated")
    return _why_it_ended(ended) if ended else None


def _why_it_ended(ended: Mapping[str, Any]) -> Problem | None:
    code = ended.get("exitCode", 0)
    if ended.get("reason") == "OOMKilled":
        return Problem(ProblemReason.MODEL_DOES_NOT_FIT, "the server was killed: it used more than its memory limit")
    if code == 0:
        return None
    message = _short(ended.get("message"))
    reason = _BY_EXIT_CODE.get(code)
    if reason is None:
        return Problem(ProblemReason.SERVER_CRASHED, message or f"the server ended with exit code {code}")
    return Problem(reason, message or f"the server ended with exit code {code} ({ExitCode(code).name})")


def _status(manifest: Mapping[str, Any]) -> Mapping[str, Any]:
    status: Mapping[str, Any] = manifest.get("status") or {}
    return status


def _condition(manifest: Mapping[str, Any], kind: str) -> Mapping[str, Any]:
    return next((c for c in _status(manifest).get("conditions") or () if c.get("type") == kind), {})


def _since(condition: Mapping[str, Any], created: datetime) -> datetime:
    found = condition.get("lastTransitionTime")
    return _time(found) if found else created


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _short(message: str | None) -> str:
    return " ".join((message or "").split())[:MESSAGE_LENGTH]
