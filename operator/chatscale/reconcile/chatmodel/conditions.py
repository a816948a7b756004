"""The conditions of a ChatModel, computed from the result of a pass. Pure. True is always the good state.

`Ready` follows the ready pods and not what was applied; its reason is the ChatModel's phase.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from chatscale.api.v1alpha1 import ConditionStatus
from chatscale.observe.pods import Problem, ProblemReason, current_problem, refusal_of_pods
from chatscale.reconcile.chatmodel.pass_result import PassResult
from chatscale.reconcile.chatmodel.replicas import Writer
from chatscale.reconcile.conditions import ConditionState
from chatscale.reconcile.refusal import FORBIDDEN, INVALID_SPEC
from chatscale.scaling.policy import Decision, Recommendation
from chatscale.scaling.signals import ReplicaPhase

CONFLICTING_AUTOSCALER: Final = "ConflictingAutoscaler"
METRICS_UNAVAILABLE: Final = "MetricsUnavailable"
SLO_NOT_FOLLOWED: Final = "SLONotFollowed"
ALIAS_CONFLICT: Final = "AliasConflict"
FALLBACK_UNAVAILABLE: Final = "FallbackUnavailable"
GATEWAY_UNREADABLE: Final = "GatewayUnreadable"

RETRIED_BY_REPLICASET: Final = (
    "the ReplicaSet tries again with growing pauses, so this can remain for up to 17 minutes after the cause is gone"
)
"""The ReplicaSet controller doubles its pause from 5 ms up to 1000 s (client-go, DefaultTypedControllerRateLimiter)."""

BAD_REASONS: Final = frozenset(
    {
        INVALID_SPEC,
        FORBIDDEN,
        CONFLICTING_AUTOSCALER,
        METRICS_UNAVAILABLE,
        SLO_NOT_FOLLOWED,
        ALIAS_CONFLICT,
        FALLBACK_UNAVAILABLE,
        *ProblemReason,
    }
)
"""Reasons that cause a Warning when they appear."""


def compute_conditions(result: PassResult) -> list[ConditionState]:
    """All, in the order in which the status lists them."""
    problem = current_problem(result.pods) or _refusal_of_pods(result)
    return [
        _ready(result, problem),
        _model_loaded(result, problem),
        _available(result),
        _progressing(result, problem),
        _scaling_active(result),
        _routing_ready(result),
    ]


def ready_count(ready: int, desired: int) -> str:
    """How many replicas are ready. More than desired are ready during a rollout and before a scale-down ends."""
    if ready > desired:
        return f"{ready} replicas are ready, {desired} are desired"
    return f"{ready} of {desired} replicas are ready"


def invalid_spec_condition(message: str) -> ConditionState:
    """The spec cannot be applied; the operator waits for a change."""
    return ConditionState("Ready", ConditionStatus.FALSE, INVALID_SPEC, message)


def _refusal_of_pods(result: PassResult) -> Problem | None:
    """A quota or policy that refuses pods. The message stays until the ReplicaSet's next try, so it names that wait."""
    refused = refusal_of_pods(result.deployment)
    return replace(refused, message=f"{refused.message}; {RETRIED_BY_REPLICASET}") if refused else None


def _ready(result: PassResult, problem: Problem | None) -> ConditionState:
    ready, desired = result.ready, result.replicas
    count = ready_count(ready, desired)
    if result.refusal:
        return ConditionState("Ready", ConditionStatus.FALSE, result.refusal.reason, result.refusal.message)
    if result.is_asleep:
        # True, so that `kubectl wait --for=condition=Ready` ends: the model answers the next request.
        message = "no replica runs; the first request at the gateway starts one"
        return ConditionState("Ready", ConditionStatus.TRUE, "ScaledToZero", message)
    if desired == 0:
        return ConditionState("Ready", ConditionStatus.FALSE, "ScaledToZero", "spec.replicas is 0")
    if ready >= desired:
        return ConditionState("Ready", ConditionStatus.TRUE, "Ready", count)
    status = ConditionStatus.TRUE if ready else ConditionStatus.FALSE
    if problem:
        return ConditionState("Ready", status, problem.reason, f"{count}: {problem.message}")
    return ConditionState("Ready", status, "PartlyReady" if ready else "Starting", count)


def _model_loaded(result: PassResult, problem: Problem | None) -> ConditionState:
    kind = "ModelLoaded"
    if problem and problem.reason.is_about_model:
        return ConditionState(kind, ConditionStatus.FALSE, problem.reason, problem.message)
    if result.ready:
        return ConditionState(kind, ConditionStatus.TRUE, "Loaded", "a ready replica has loaded the model")
    if any(pod.phase is ReplicaPhase.STARTING for pod in result.pods):
        return ConditionState(kind, ConditionStatus.UNKNOWN, "Loading", "no replica has finished loading the model")
    return ConditionState(kind, ConditionStatus.UNKNOWN, "NotStarted", "no replica has started")


def _available(result: PassResult) -> ConditionState:
    if result.ready:
        return ConditionState("Available", ConditionStatus.TRUE, "ReplicasReady", "at least one replica is ready")
    return ConditionState("Available", ConditionStatus.FALSE, "NoReadyReplicas", "no replica is ready")


def _progressing(result: PassResult, problem: Problem | None) -> ConditionState:
    """As in a Deployment: True also when all is complete, False when something prevents progress."""
    kind, desired = "Progressing", result.replicas
    if obstacle := result.refusal or problem:
        return ConditionState(kind, ConditionStatus.FALSE, obstacle.reason, obstacle.message)
    if result.updated < desired:
        counts = f"{result.updated} of {desired} replicas run the current spec"
        return ConditionState(kind, ConditionStatus.TRUE, "RollingOut", counts)
    if result.templates > 1 and desired:
        # A surplus of old pods belongs to the rollout: nobody lowered the count.
        counts = f"{result.existing} replicas exist, some of them of an earlier spec; {desired} are desired"
        return ConditionState(kind, ConditionStatus.TRUE, "RollingOut", counts)
    if result.existing > desired:
        return ConditionState(
            kind, ConditionStatus.TRUE, "ScalingDown", f"{result.existing} replicas exist, {desired} are desired"
        )
    if result.ready < desired:
        return ConditionState(kind, ConditionStatus.TRUE, "Starting", ready_count(result.ready, desired))
    waits = result.update_waits
    reason, message = ("UpdateWaiting", waits) if waits else ("Complete", "all replicas match the spec")
    return ConditionState(kind, ConditionStatus.TRUE, reason, message)


def _scaling_active(result: PassResult) -> ConditionState:
    kind, decision = "ScalingActive", result.decision
    if result.conflict is not None:
        return ConditionState(
            kind, ConditionStatus.FALSE, CONFLICTING_AUTOSCALER, result.conflict.describe(result.chatmodel)
        )
    if result.writer is Writer.AUTOSCALER:
        return _condition_of_autoscaler(result.autoscaler, result.at_zero)
    if decision is None:
        return ConditionState(kind, ConditionStatus.FALSE, "ScalingDisabled", "mode Fixed: you set spec.replicas")
    if result.source_failure or not decision.metrics_ok:
        # A failure of the source is known at once; decisions use earlier samples until they are too old.
        cause = "" if result.source_failure else result.read_failure
        message = "; ".join(part for part in (result.source_failure, decision.message, cause) if part)
        return ConditionState(kind, ConditionStatus.FALSE, METRICS_UNAVAILABLE, message)
    obstacle = _obstacle_to_slo(result, decision)
    message = f"{obstacle}. {decision.message}" if obstacle else decision.message
    if result.writer is Writer.USER:
        return ConditionState(
            kind, ConditionStatus.FALSE, "DryRun", f"would run {decision.replicas} replicas: {message}"
        )
    return ConditionState(kind, ConditionStatus.TRUE, SLO_NOT_FOLLOWED if obstacle else decision.reason, message)


def _routing_ready(result: PassResult) -> ConditionState:
    kind, chatmodel = "RoutingReady", result.chatmodel
    if result.alias_conflict:
        return ConditionState(kind, ConditionStatus.FALSE, ALIAS_CONFLICT, result.alias_conflict)
    if result.fallback_fault:
        return ConditionState(kind, ConditionStatus.FALSE, FALLBACK_UNAVAILABLE, result.fallback_fault)
    if result.unread_gateways:
        pods = ", ".join(result.unread_gateways[:3])
        message = (
            f"{len(result.unread_gateways)} gateway pods cannot be read and are ignored ({pods}): "
            "scaling does not see the requests that they hold"
        )
        return ConditionState(kind, ConditionStatus.FALSE, GATEWAY_UNREADABLE, message)
    found = ", ".join([chatmodel.key, chatmodel.metadata.name, *chatmodel.spec.routing.aliases])
    return ConditionState(kind, ConditionStatus.TRUE, "NamesAccepted", f"the gateway accepts the names {found}")


def _obstacle_to_slo(result: PassResult, decision: Decision) -> str | None:
    """Why the policy used a target and not the SLO; None if it used the SLO or the spec names targets."""
    autoscaling, silent = result.chatmodel.spec.autoscaling, result.not_counting
    if autoscaling.metrics or not decision.readings or not silent:
        return None
    target = autoscaling.targets[0]
    return (
        f"{silent[0]} does not report its work because its server image is older than the operator; "
        f"scaling uses {target.type.value} {target.target} and not spec.autoscaling.slo"
    )


def _condition_of_autoscaler(autoscaler: Mapping[str, Any] | None, at_zero: Recommendation | None) -> ConditionState:
    """Our HPA's own condition ScalingActive, with its reason and message; at 0 replicas the operator's decision."""
    if at_zero is not None:
        return ConditionState("ScalingActive", ConditionStatus.TRUE, at_zero.reason, at_zero.message)
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
