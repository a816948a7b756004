"""The parts of a pod's manifest that scaling and status need: phase, address, engine, and why it is not Ready.

Pure. Almost every field of a manifest may be missing: the pod may be a second old.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from chatscale import names
from chatscale.observe.dialects.dialect import Dialect
from chatscale.observe.dialects.registry import dialect_of
from chatscale.observe.problems import Problem, ProblemReason
from chatscale.scaling.signals import ReplicaPhase

__all__ = ["Pod", "Problem", "ProblemReason", "current_problem", "read_pods", "refusal_of_pods"]

TEMPLATE_HASH_LABEL: Final = "pod-template-hash"
"""Set by the Deployment controller: equal on all pods of one pod template."""
_FINISHED: Final = ("Succeeded", "Failed")
_IMAGE_WAITS: Final = ("ImagePullBackOff", "ErrImagePull", "InvalidImageName", "ErrImageNeverPull")
_CONFIG_WAITS: Final = ("CreateContainerConfigError", "CreateContainerError", "RunContainerError")
MESSAGE_LENGTH: Final = 1024
"""Characters of a container's message that go into the status."""


@dataclass(frozen=True, slots=True)
class Pod:
    """One pod of a ChatModel that has not terminated."""

    name: str
    phase: ReplicaPhase
    since: datetime
    """When it entered the phase."""
    created: datetime
    address: str = ""
    """IP address; empty until it has one."""
    template: str = ""
    """Equal on all pods of one pod template."""
    engine: str = ""
    """The pod's engine label; empty if it has none."""
    problem: Problem | None = None
    """Why the pod is not Ready; None for a ready pod."""


def read_pods(manifests: Iterable[Mapping[str, Any]]) -> tuple[Pod, ...]:
    """All pods that are replicas or can become one, oldest first; terminated pods, such as evicted ones, cannot."""
    found = [_read(manifest) for manifest in manifests if _status(manifest).get("phase") not in _FINISHED]
    return tuple(sorted(found, key=lambda pod: (pod.created, pod.name)))


def current_problem(pods: Iterable[Pod]) -> Problem | None:
    """The newest problem among pods of the newest template; terminating pods do not count."""
    alive = [pod for pod in pods if pod.phase is not ReplicaPhase.TERMINATING]
    if not alive:
        return None
    newest = max(alive, key=lambda pod: (pod.created, pod.name))
    return next((pod.problem for pod in reversed(alive) if pod.template == newest.template and pod.problem), None)


def refusal_of_pods(deployment: Mapping[str, Any] | None) -> Problem | None:
    """Why the API server refuses to create the Deployment's pods (a quota, a policy); None if it does not."""
    failure = _condition(deployment or {}, "ReplicaFailure")
    if failure.get("status") != "True":
        return None
    return Problem(ProblemReason.PODS_REFUSED, _short(failure.get("message")))


def _read(manifest: Mapping[str, Any]) -> Pod:
    meta = manifest["metadata"]
    labels: Mapping[str, str] = meta.get("labels") or {}
    phase, since = _phase(manifest)
    engine = labels.get(names.ENGINE_LABEL, "")
    is_settled = phase in (ReplicaPhase.READY, ReplicaPhase.TERMINATING)
    return Pod(
        name=meta["name"],
        phase=phase,
        since=since,
        created=_time(meta["creationTimestamp"]),
        address=_status(manifest).get("podIP") or "",
        template=labels.get(TEMPLATE_HASH_LABEL, ""),
        engine=engine,
        problem=None if is_settled else _problem(manifest, dialect_of(engine)),
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


def _problem(manifest: Mapping[str, Any], dialect: Dialect) -> Problem | None:
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
    # Between two restarts the problem still exists: the last exit counts until the container is ready.
    terminated = state.get("terminated") or (server.get("lastState") or {}).get("terminated")
    return _why_it_exited(terminated, dialect) if terminated else None


def _why_it_exited(terminated: Mapping[str, Any], dialect: Dialect) -> Problem | None:
    code = terminated.get("exitCode", 0)
    if terminated.get("reason") == "OOMKilled":
        return Problem(ProblemReason.MODEL_DOES_NOT_FIT, "the server was killed: it used more than its memory limit")
    if code == 0:
        return None
    message = _short(terminated.get("message"))
    meaning = dialect.exit_meanings.get(code)
    if meaning is None:
        return Problem(ProblemReason.SERVER_CRASHED, message or f"the server exited with code {code}")
    return Problem(meaning.reason, message or f"the server exited with code {code} ({meaning.name})")


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
