"""The five conditions of a ChatModel, judged from facts. Pure. Positive polarity: True is what one hopes for.

`Ready` follows pods that answer, not what was applied; its reason is the ChatModel's phase.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from chatscale.api.v1alpha1 import ConditionStatus
from chatscale.observe.pods import Problem, ProblemReason, current_problem, refusal_of_pods
from chatscale.reconcile.pass_result import PassResult
from chatscale.reconcile.replicas import Writer
from chatscale.scaling.policy import Decision
from chatscale.scaling.signals import ReplicaPhase

INVALID_SPEC: Final = "InvalidSpec"
FORBIDDEN: Final = "Forbidden"
CONFLICTING_AUTOSCALER: Final = "ConflictingAutoscaler"
METRICS_UNAVAILABLE: Final = "MetricsUnavailable"
SLO_NOT_FOLLOWED: Final = "SLONotFollowed"

BAD_REASONS: Final = frozenset(
    {INVALID_SPEC, FORBIDDEN, CONFLICTING_AUTOSCALER, METRICS_UNAVAILABLE, SLO_NOT_FOLLOWED, *ProblemReason}
)
"""Reasons that deserve a Warning when they appear."""


@dataclass(frozen=True, slots=True)
class ConditionState:
    """One condition before it has a time."""

    type: str
    status: ConditionStatus
    reason: str
    message: str


def compute_conditions(facts: PassResult) -> list[ConditionState]:
    """Judge all five, in the order in which they are shown."""
    problem = current_problem(facts.pods) or refusal_of_pods(facts.deployment)
    return [
        _ready(facts, problem),
        _model_loaded(facts, problem),
        _available(facts),
        _progressing(facts, problem),
        _scaling_active(facts),
    ]


def invalid_spec_condition(message: str) -> ConditionState:
    """The spec cannot be carried out; nothing happens until it changes."""
    return ConditionState("Ready", ConditionStatus.FALSE, INVALID_SPEC, message)


def _ready(facts: PassResult, problem: Problem | None) -> ConditionState:
    ready, wanted = facts.ready, facts.replicas
    count = f"{ready} of {wanted} replicas answer"
    if facts.refusal:
        return ConditionState("Ready", ConditionStatus.FALSE, facts.refusal.reason, facts.refusal.message)
    if wanted == 0:
        return ConditionState("Ready", ConditionStatus.FALSE, "ScaledToZero", "spec.replicas is 0")
    if ready >= wanted:
        return ConditionState("Ready", ConditionStatus.TRUE, "Ready", count)
    status = ConditionStatus.TRUE if ready else ConditionStatus.FALSE
    if problem:
        return ConditionState("Ready", status, problem.reason, f"{count}: {problem.message}")
    return ConditionState("Ready", status, "PartlyReady" if ready else "Starting", count)


def _model_loaded(facts: PassResult, problem: Problem | None) -> ConditionState:
    kind = "ModelLoaded"
    if problem and problem.reason.is_about_model:
        return ConditionState(kind, ConditionStatus.FALSE, problem.reason, problem.message)
    if facts.ready:
        return ConditionState(kind, ConditionStatus.TRUE, "Loaded", "a replica has loaded the model and answers")
    if any(pod.phase is ReplicaPhase.STARTING for pod in facts.pods):
        return ConditionState(kind, ConditionStatus.UNKNOWN, "Loading", "no replica has finished loading the model")
    return ConditionState(kind, ConditionStatus.UNKNOWN, "NotStarted", "no replica has started")


def _available(facts: PassResult) -> ConditionState:
    if facts.ready:
        return ConditionState("Available", ConditionStatus.TRUE, "ReplicasReady", "requests are answered")
    return ConditionState("Available", ConditionStatus.FALSE, "NoReadyReplicas", "no replica answers")


def _progressing(facts: PassResult, problem: Problem | None) -> ConditionState:
    kind, wanted = "Progressing", facts.replicas
    if facts.refusal:
        return ConditionState(kind, ConditionStatus.FALSE, facts.refusal.reason, facts.refusal.message)
    if problem:
        return ConditionState(kind, ConditionStatus.FALSE, problem.reason, problem.message)
    if facts.updated < wanted:
        counts = f"{facts.updated} of {wanted} replicas are made from the current spec"
        return ConditionState(kind, ConditionStatus.TRUE, "RollingOut", counts)
    if facts.existing > wanted:
        return ConditionState(
            kind, ConditionStatus.TRUE, "ScalingDown", f"{facts.existing} replicas exist, {wanted} wanted"
        )
    if facts.ready < wanted:
        return ConditionState(kind, ConditionStatus.TRUE, "Starting", f"{facts.ready} of {wanted} replicas answer")
    return ConditionState(kind, ConditionStatus.FALSE, "Complete", "everything is as the spec says")


def _scaling_active(facts: PassResult) -> ConditionState:
    kind, decision = "ScalingActive", facts.decision
    if facts.conflict is not None:
        return ConditionState(
            kind, ConditionStatus.FALSE, CONFLICTING_AUTOSCALER, facts.conflict.describe(facts.chatmodel)
        )
    if facts.writer is Writer.AUTOSCALER:
        return _as_autoscaler_says(facts.autoscaler)
    if decision is None:
        return ConditionState(kind, ConditionStatus.FALSE, "ScalingDisabled", "mode Fixed: spec.replicas is yours")
    if not decision.metrics_ok:
        message = "; ".join(part for part in (decision.message, facts.read_failure) if part)
        return ConditionState(kind, ConditionStatus.FALSE, METRICS_UNAVAILABLE, message)
    obstacle = _obstacle_to_slo(facts, decision)
    message = f"{obstacle}. {decision.message}" if obstacle else decision.message
    if facts.writer is Writer.USER:
        return ConditionState(
            kind, ConditionStatus.FALSE, "DryRun", f"would run {decision.replicas} replicas: {message}"
        )
    return ConditionState(kind, ConditionStatus.TRUE, SLO_NOT_FOLLOWED if obstacle else decision.reason, message)


def _obstacle_to_slo(facts: PassResult, decision: Decision) -> str | None:
    """Why a target was followed although the spec names none; None if it does, or if none was."""
    autoscaling, silent = facts.chatmodel.spec.autoscaling, facts.not_counting
    if autoscaling.metrics or not decision.readings or not silent:
        return None
    target = autoscaling.targets[0]
    return (
        f"{silent[0]} does not report its work, as a server image older than the operator does not, so "
        f"{target.type.value} {target.target} is followed instead of spec.autoscaling.slo"
    )


def _as_autoscaler_says(autoscaler: Mapping[str, Any] | None) -> ConditionState:
    """Our HPA's own condition of the same name; Kubernetes' words are better than a paraphrase."""
    found: list[Mapping[str, Any]] = ((autoscaler or {}).get("status") or {}).get("conditions") or []
    own = next((condition for condition in found if condition.get("type") == "ScalingActive"), None)
    if own is None:
        return ConditionState(
            "ScalingActive", ConditionStatus.UNKNOWN, "AutoscalerStarting", "the HPA has not read metrics yet"
        )
    return ConditionState(
        "ScalingActive",
        ConditionStatus(own["status"]),
        own.get("reason") or "HorizontalPodAutoscaler",
        own.get("message") or "",
    )
