"""The parts of a pod's manifest that scaling and status need: phase, address, engine, and why it is not Ready.

Pure. Almost every field of a manifest may be missing: the pod may be a second old.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Final

from chatscale import names
from chatscale.observe.dialects.dialect import Dialect
from chatscale.observe.dialects.registry import dialect_of
from chatscale.observe.pending import (
    Wait,
    condition_of,
    created_at,
    current_wait,
    lost_node,
    scheduled_at,
    shortened,
    since,
    status_of,
)
from chatscale.observe.problems import Problem, ProblemReason
from chatscale.scaling.signals import ReplicaPhase
from chatscale_contract.gateway.endpoints import DRAIN_ANNOTATION
from chatscale_contract.sysexits import SysExit

__all__ = ["Pod", "Problem", "ProblemReason", "current_problem", "read_pods", "refusal_of_pods"]

TEMPLATE_HASH_LABEL: Final = "pod-template-hash"
"""Set by the Deployment controller: equal on all pods of one pod template."""
_FINISHED: Final = ("Succeeded", "Failed")
_OUR_CONTAINERS: Final = (names.SERVER_CONTAINER, names.ASSISTANT_CONTAINER)


@dataclass(frozen=True, slots=True)
class Pod:
    """One pod of a ChatModel that has not terminated."""

    name: str
    phase: ReplicaPhase
    since: datetime
    """When it entered the phase."""
    created: datetime
    scheduled: datetime | None = None
    """When the scheduler placed it on a node; None if it has not yet, or if the time is unknown."""
    address: str = ""
    """IP address; empty until it has one."""
    template: str = ""
    """Equal on all pods of one pod template."""
    engine: str = ""
    """The pod's engine label; empty if it has none."""
    problem: Problem | None = None
    """Why the pod is not Ready; None for a ready pod."""
    waits_for: str = ""
    """What an UNSCHEDULABLE pod needs before it can start; empty in every other phase."""
    uid: str = ""
    marked_at: datetime | None = None
    """When the operator marked it as the next to be removed; None if it has not. Aware."""
    users_cost: str | None = None
    """The deletion cost that a user set; None without one."""

    @property
    def deletion_cost(self) -> int:
        """`users_cost` as a number. 0 without one, or if the ReplicaSet could not read it either."""
        try:
            return int(self.users_cost or "0")
        except ValueError:
            return 0


def read_pods(manifests: Iterable[Mapping[str, Any]]) -> tuple[Pod, ...]:
    """All pods that are replicas or can become one, oldest first; terminated pods, such as evicted ones, cannot.

    A pod that waits for something that no pod of its template gets is UNSCHEDULABLE. If only one node is affected, and
    pods of the same template are Ready elsewhere, the pod is STARTING: the next pod can start on another node.
    """
    found = [_read(manifest) for manifest in manifests if status_of(manifest).get("phase") not in _FINISHED]
    ready = {pod.template for pod, _ in found if pod.phase is ReplicaPhase.READY}
    affected = Counter(template for template, _ in {(pod.template, wait.node) for pod, wait in found if wait})
    pods = [
        replace(pod, phase=ReplicaPhase.UNSCHEDULABLE, since=wait.since, waits_for=wait.message)
        if wait and not (wait.node and pod.template in ready and affected[pod.template] == 1)
        else pod
        for pod, wait in found
    ]
    return tuple(sorted(pods, key=lambda pod: (pod.created, pod.name)))


def current_problem(pods: Iterable[Pod]) -> Problem | None:
    """The newest problem among pods of the newest template; terminating pods do not count."""
    alive = [pod for pod in pods if pod.phase is not ReplicaPhase.TERMINATING]
    if not alive:
        return None
    newest = max(alive, key=lambda pod: (pod.created, pod.name))
    return next((pod.problem for pod in reversed(alive) if pod.template == newest.template and pod.problem), None)


def refusal_of_pods(deployment: Mapping[str, Any] | None) -> Problem | None:
    """Why the API server refuses to create the Deployment's pods (a quota, a policy); None if it does not."""
    failure = condition_of(deployment or {}, "ReplicaFailure")
    if failure.get("status") != "True":
        return None
    return Problem(ProblemReason.PODS_REFUSED, shortened(failure.get("message")))


def _read(manifest: Mapping[str, Any]) -> tuple[Pod, Wait | None]:
    meta = manifest["metadata"]
    labels: Mapping[str, str] = meta.get("labels") or {}
    annotations: Mapping[str, str] = meta.get("annotations") or {}
    engine = labels.get(names.ENGINE_LABEL, "")
    phase, entered = _phase(manifest)
    is_starting = phase is ReplicaPhase.STARTING
    wait = current_wait(manifest) if is_starting else None
    pod = Pod(
        name=meta["name"],
        phase=phase,
        since=entered,
        created=created_at(manifest),
        scheduled=scheduled_at(manifest),
        address=status_of(manifest).get("podIP") or "",
        template=labels.get(TEMPLATE_HASH_LABEL, ""),
        engine=engine,
        problem=_problem(manifest, wait, dialect_of(engine)) if is_starting else None,
        uid=meta.get("uid", ""),
        marked_at=_marked_at(annotations),
        users_cost=annotations.get(
            names.USERS_COST_ANNOTATION if _marked_at(annotations) else names.DELETION_COST_ANNOTATION
        ),
    )
    return pod, wait


def _marked_at(annotations: Mapping[str, str]) -> datetime | None:
    """A drain annotation that someone else set has no deletion cost of ours, and is no mark of the operator.

    An unreadable time is the earliest one, so that the mark is too old.
    """
    if DRAIN_ANNOTATION not in annotations or annotations.get(names.DELETION_COST_ANNOTATION) != names.VICTIM_COST:
        return None
    try:
        found = datetime.fromisoformat(annotations[DRAIN_ANNOTATION])
    except ValueError:
        return datetime.min.replace(tzinfo=UTC)
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _phase(manifest: Mapping[str, Any]) -> tuple[ReplicaPhase, datetime]:
    """TERMINATING, READY, or else STARTING, and since when."""
    deleted, ready = manifest["metadata"].get("deletionTimestamp"), condition_of(manifest, "Ready")
    if deleted:
        return ReplicaPhase.TERMINATING, datetime.fromisoformat(deleted)
    if ready.get("status") == "True":
        return ReplicaPhase.READY, since(ready, manifest)
    return ReplicaPhase.STARTING, since(condition_of(manifest, "PodScheduled"), manifest)


def _problem(manifest: Mapping[str, Any], wait: Wait | None, dialect: Dialect) -> Problem | None:
    return (wait.problem if wait else None) or lost_node(manifest) or _last_exit(manifest, dialect)


def _last_exit(manifest: Mapping[str, Any], dialect: Dialect) -> Problem | None:
    """Between two restarts the problem still exists: the last exit counts until the container is ready."""
    containers: Iterable[Mapping[str, Any]] = status_of(manifest).get("containerStatuses") or ()
    server = next((found for found in containers if found["name"] in _OUR_CONTAINERS), {})
    terminated = (server.get("state") or {}).get("terminated") or (server.get("lastState") or {}).get("terminated")
    if not terminated:
        return None
    is_assistant = server["name"] == names.ASSISTANT_CONTAINER
    return _why_assistant_exited(terminated) if is_assistant else _why_it_exited(terminated, dialect)


def _why_assistant_exited(terminated: Mapping[str, Any]) -> Problem | None:
    code, message = terminated.get("exitCode", 0), shortened(terminated.get("message"))
    if terminated.get("reason") == "OOMKilled":
        message = "the assistant was killed: it used more than its memory limit, spec.resources.limits.memory"
    elif code == 0:
        return None
    reason = ProblemReason.BAD_SETTINGS if code == SysExit.BAD_SETTINGS else ProblemReason.SERVER_CRASHED
    return Problem(reason, message or f"the assistant exited with code {code}")


def _why_it_exited(terminated: Mapping[str, Any], dialect: Dialect) -> Problem | None:
    code = terminated.get("exitCode", 0)
    if terminated.get("reason") == "OOMKilled":
        return Problem(ProblemReason.MODEL_DOES_NOT_FIT, "the server was killed: it used more than its memory limit")
    if code == 0:
        return None
    message = shortened(terminated.get("message"))
    meaning = dialect.exit_meanings.get(code)
    if meaning is None:
        return Problem(ProblemReason.SERVER_CRASHED, message or f"the server exited with code {code}")
    return Problem(meaning.reason, message or f"the server exited with code {code} ({meaning.name})")
