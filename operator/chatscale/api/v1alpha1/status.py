"""What the operator reports about a ChatModel; nothing here is asked of the user."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated

from pydantic import Field, StringConstraints

from chatscale.api.v1alpha1.autoscaling import MetricType
from chatscale.api.v1alpha1.common import KEYED_BY_TYPE, ApiModel


class ConditionStatus(StrEnum):
    """As in metav1.Condition."""

    TRUE = "True"
    FALSE = "False"
    UNKNOWN = "Unknown"


class Condition(ApiModel):
    """metav1.Condition."""

    type: Annotated[str, StringConstraints(min_length=1, max_length=316)] = Field(description="Kind of condition.")
    status: ConditionStatus = Field(description="True, False or Unknown.")
    observed_generation: int | None = Field(default=None, description="metadata.generation this was decided for.")
    last_transition_time: datetime = Field(description="When status last changed.")
    reason: Annotated[str, StringConstraints(min_length=1, max_length=1024)] = Field(description="CamelCase reason.")
    message: Annotated[str, StringConstraints(max_length=32_768)] = Field(default="", description="For people.")


class MetricStatus(ApiModel):
    """A metric as last read, summed or averaged over replicas as its type says."""

    type: MetricType = Field(description="Which metric.")
    value: str = Field(description="Value per replica as a decimal number; a string, as floats differ by client.")
    target: int | None = Field(
        default=None, description="Target per replica; absent where no target is followed, as while the SLO is kept."
    )


class ScalingRecord(ApiModel):
    """One change of the replica count."""

    time: datetime = Field(description="When.")
    from_: int = Field(alias="from", description="Replicas before.")
    to: int = Field(description="Replicas after.")
    reason: Annotated[str, StringConstraints(max_length=1024)] = Field(description="Why, with its numbers.")


class AutoscalingPhase(StrEnum):
    """What the operator's policy is doing."""

    STABLE = "Stable"
    PANIC = "Panic"
    SCHEDULED = "Scheduled"
    FALLBACK = "Fallback"


class LearnedStatus(ApiModel):
    """What the policy has learned of this model: it goes on from here after a restart of the operator."""

    reserve_percent: Annotated[int, Field(ge=0, le=10_000)] = Field(
        description="Reserve against queueing and surprises, in percent of the usual one; misses of the SLO raise it."
    )
    forecast_error_percent: Annotated[int, Field(ge=0, le=1000)] = Field(
        description="How far load rose above its forecast within a cold start, as a standard deviation."
    )
    prompt_tokens: Annotated[int, Field(ge=0)] = Field(description="Mean of a request.")
    generated_tokens: Annotated[int, Field(ge=0)] = Field(description="Mean of an answer.")


class AutoscalingStatus(ApiModel):
    """What the autoscaler saw and did."""

    phase: AutoscalingPhase | None = Field(
        default=None,
        description="Stable, Panic (in a burst), Scheduled (an announced event counts) or Fallback (no metrics).",
    )
    active_event: Annotated[str, StringConstraints(max_length=63)] | None = Field(
        default=None, description="The announced event that the least count is taken from now; absent without one."
    )
    cold_start_seconds: Annotated[int, Field(ge=0, le=86_400)] | None = Field(
        default=None,
        description="From the creation of a pod until it is ready, as the last ones took; absent before one was seen.",
    )
    last_metric_time: datetime | None = Field(
        default=None,
        description="When the metrics of every ready pod were last read. While nothing else in the status changes it is "
        "refreshed every 10 to 20 minutes.",
    )
    last_scale_time: datetime | None = Field(default=None, description="When the count last changed.")
    current_metrics: Annotated[list[MetricStatus], Field(max_length=3)] = Field(
        default_factory=list,
        description="Means over the replicas that were read: of the metrics that are followed, over the window; where "
        "none is followed, of all as last read.",
    )
    learned: LearnedStatus | None = Field(
        default=None, description="What the policy has learned of this model; absent before it has."
    )
    history: Annotated[list[ScalingRecord], Field(max_length=5)] = Field(
        default_factory=list, description="The last changes of the count, newest first."
    )


class ChatModelStatus(ApiModel):
    """What is."""

    observed_generation: int | None = Field(default=None, description="metadata.generation that this status is about.")
    replicas: int = Field(default=0, description="Pods that exist.")
    ready_replicas: int = Field(default=0, description="Pods that answer.")
    updated_replicas: int = Field(default=0, description="Pods made from the current spec.")
    desired_replicas: int | None = Field(default=None, description="Replicas that the current mode's writer wants.")
    queue_depth: int | None = Field(
        default=None, description="Requests waiting for a slot, over all replicas, as last read."
    )
    selector: str | None = Field(default=None, description="Label selector of the pods, for the scale subresource.")
    endpoint: str | None = Field(
        default=None, description="Base address of the OpenAI-compatible API inside the cluster."
    )
    phase: str | None = Field(default=None, description="Reason of the Ready condition, for display only.")
    autoscaling: AutoscalingStatus = Field(
        default_factory=AutoscalingStatus, description="What the autoscaler saw and did."
    )
    conditions: Annotated[
        list[Condition],
        Field(max_length=16, json_schema_extra=KEYED_BY_TYPE),
    ] = Field(default_factory=list, description="Ready, ModelLoaded, Available, Progressing, ScalingActive.")
