"""What the operator reports about a ChatModel. The user sets none of it."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated

from pydantic import Field, StringConstraints

from chatscale.api.v1alpha1.autoscaling import AutoscalingMode, MetricType
from chatscale.api.v1alpha1.common import KEYED_BY_TYPE, ApiModel


class ConditionStatus(StrEnum):
    """As in metav1.Condition."""

    TRUE = "True"
    FALSE = "False"
    UNKNOWN = "Unknown"


class Condition(ApiModel):
    """metav1.Condition."""

    type: Annotated[str, StringConstraints(min_length=1, max_length=316)] = Field(description="Type of the condition.")
    status: ConditionStatus = Field(description="True, False or Unknown.")
    observed_generation: int | None = Field(
        default=None, description="metadata.generation that the condition was computed for."
    )
    last_transition_time: datetime = Field(description="When the status last changed.")
    reason: Annotated[str, StringConstraints(min_length=1, max_length=1024)] = Field(description="Reason in CamelCase.")
    message: Annotated[str, StringConstraints(max_length=32_768)] = Field(
        default="", description="Human-readable details."
    )


class MetricStatus(ApiModel):
    """The last value of one metric."""

    type: MetricType = Field(description="The metric.")
    value: str = Field(
        description="Value per replica, a decimal number. A string, because clients format floats differently."
    )
    target: int | None = Field(
        default=None, description="Target per replica; absent while scaling follows the SLO instead of a target."
    )


class ScalingRecord(ApiModel):
    """One change of the replica count."""

    time: datetime = Field(description="When the count changed.")
    from_: int = Field(alias="from", description="Replicas before the change.")
    to: int = Field(description="Replicas after the change.")
    reason: Annotated[str, StringConstraints(max_length=1024)] = Field(
        description="Reason, with the numbers behind it."
    )


class AutoscalingPhase(StrEnum):
    """State of the operator's scaling policy."""

    STABLE = "Stable"
    PANIC = "Panic"
    SCHEDULED = "Scheduled"
    FALLBACK = "Fallback"


class LearnedStatus(ApiModel):
    """What the scaling policy has learned about this model; a restarted operator continues from it."""

    reserve_percent: Annotated[int, Field(ge=0, le=10_000)] = Field(
        description="Reserve capacity, in percent of the default reserve; requests that miss the SLO raise it."
    )
    forecast_error_percent: Annotated[int, Field(ge=0, le=1000)] = Field(
        description="Standard deviation of the load above its forecast within a cold start."
    )
    prompt_tokens: Annotated[int, Field(ge=0)] = Field(description="Mean prompt tokens of a request.")
    generated_tokens: Annotated[int, Field(ge=0)] = Field(description="Mean generated tokens of a request.")


class BindingLimit(StrEnum):
    """What limits the requests per second of one full replica."""

    SLOTS = "Slots"
    KV_CACHE = "KvCache"
    DECODE = "Decode"
    PREFILL = "Prefill"


class CapacityStatus(ApiModel):
    """What one replica can serve."""

    max_concurrency: Annotated[int, Field(ge=1)] = Field(
        description="Requests that one replica processes concurrently, as it reports; the smallest of all replicas."
    )
    binding_limit: BindingLimit | None = Field(
        default=None,
        description="What limits a full replica with the present mix of requests. Slots: a larger maxConcurrency would "
        "generate more tokens per second. KvCache: the KV cache is full before the slots are. Decode: a larger "
        "batch would hardly generate more. Prefill: prompts. Absent in modes HPA and Fixed, and before the mix is "
        "known.",
    )
    requests_per_second: str | None = Field(
        default=None,
        description="Requests per second that one full replica serves, a decimal number; absent like bindingLimit.",
    )


class AutoscalingStatus(ApiModel):
    """What the autoscaler observed and did."""

    mode: AutoscalingMode | None = Field(
        default=None, description="The mode that applies: Fixed if spec.autoscaling is left out."
    )
    phase: AutoscalingPhase | None = Field(
        default=None,
        description="Stable, Panic (burst), Scheduled (an announced event sets the minimum), Fallback (no metrics).",
    )
    active_event: Annotated[str, StringConstraints(max_length=63)] | None = Field(
        default=None, description="The announced event that sets the minimum count now; absent if there is none."
    )
    cold_start_seconds: Annotated[int, Field(ge=0, le=86_400)] | None = Field(
        default=None,
        description="How long the last pods took to start: from when a pod was scheduled until it was Ready. Only "
        "measured starts count, and newer ones weigh more. Absent before the first start that was measured.",
    )
    scheduling_seconds: Annotated[int, Field(ge=0, le=86_400)] | None = Field(
        default=None,
        description="How long the same pods waited for a node: from the creation of a pod until it was scheduled. "
        "Newer ones weigh more.",
    )
    last_metric_time: datetime | None = Field(
        default=None,
        description="When the metrics of all Ready pods were last read. If nothing else changes, the operator "
        "writes it every 10 to 20 minutes.",
    )
    last_scale_time: datetime | None = Field(default=None, description="When the replica count last changed.")
    current_metrics: Annotated[list[MetricStatus], Field(max_length=3)] = Field(
        default_factory=list,
        description="Means over the replicas that were read. Metrics with a target: averaged over the window. If none "
        "has a target: the last values of all metrics.",
    )
    capacity: CapacityStatus | None = Field(
        default=None, description="What one replica can serve; absent before one has been read."
    )
    learned: LearnedStatus | None = Field(
        default=None, description="What the scaling policy has learned about this model; absent until it has."
    )
    history: Annotated[list[ScalingRecord], Field(max_length=5)] = Field(
        default_factory=list, description="The last changes of the replica count, newest first."
    )


class ChatModelStatus(ApiModel):
    """Observed state of a ChatModel."""

    observed_generation: int | None = Field(
        default=None, description="metadata.generation that the status was computed for."
    )
    replicas: int = Field(default=0, description="Pods, without terminating ones.")
    ready_replicas: int = Field(default=0, description="Pods that are Ready.")
    updated_replicas: int = Field(default=0, description="Pods that have the current pod template.")
    desired_replicas: int | None = Field(default=None, description="Replica count set by the current mode's writer.")
    queue_depth: int | None = Field(
        default=None,
        description="Requests that wait in gateways for a replica, and in replicas for a slot, as last read.",
    )
    selector: str | None = Field(default=None, description="Label selector of all pods, for the scale subresource.")
    endpoint: str | None = Field(
        default=None,
        description="Base URL of the model's own Service inside the cluster. With NetworkPolicies, the default, "
        "clients cannot reach it and use the gateway.",
    )
    phase: str | None = Field(default=None, description="Reason of the Ready condition, for display only.")
    autoscaling: AutoscalingStatus = Field(
        default_factory=AutoscalingStatus, description="What the autoscaler observed and did."
    )
    conditions: Annotated[
        list[Condition],
        Field(max_length=16, json_schema_extra=KEYED_BY_TYPE),
    ] = Field(
        default_factory=list, description="Ready, ModelLoaded, Available, Progressing, ScalingActive, RoutingReady."
    )
