"""Where the pods of a ChatModel may run: the scheduling fields of a Pod, under their own names."""

from enum import StrEnum
from typing import Annotated, Any

from pydantic import ConfigDict, Field

from chatscale.api.v1alpha1.common import ApiModel, LabelKey, LabelValue, NonEmptyName


class NodeOperator(StrEnum):
    """As in a NodeSelectorRequirement."""

    IN = "In"
    NOT_IN = "NotIn"
    EXISTS = "Exists"
    DOES_NOT_EXIST = "DoesNotExist"
    GT = "Gt"
    LT = "Lt"


class LabelOperator(StrEnum):
    """As in a LabelSelectorRequirement."""

    IN = "In"
    NOT_IN = "NotIn"
    EXISTS = "Exists"
    DOES_NOT_EXIST = "DoesNotExist"


class _Passed(ApiModel):
    """A part of a Pod that is passed on as it is. Its CRD schema is open, so unknown fields are refused here.

    With an unknown field, the server-side apply of the Deployment fails with status 500 (kubernetes issue 139253). This
    looks like an outage of the API server.
    """

    model_config = ConfigDict(extra="forbid")


class NodeRequirement(_Passed):
    """As in a Pod."""

    key: LabelKey
    operator: NodeOperator
    values: list[str] | None = None


class NodeSelectorTerm(_Passed):
    """As in a Pod."""

    match_expressions: list[NodeRequirement] | None = None
    match_fields: list[NodeRequirement] | None = None


class NodeSelector(_Passed):
    """As in a Pod."""

    node_selector_terms: list[NodeSelectorTerm]


class PreferredNodes(_Passed):
    """As in a Pod."""

    weight: int
    preference: NodeSelectorTerm


class NodeAffinity(_Passed):
    """As in a Pod."""

    required_during_scheduling_ignored_during_execution: NodeSelector | None = None
    preferred_during_scheduling_ignored_during_execution: list[PreferredNodes] | None = None


class LabelRequirement(_Passed):
    """As in a Pod."""

    key: LabelKey
    operator: LabelOperator
    values: list[str] | None = None


class LabelSelector(_Passed):
    """As in a Pod."""

    match_labels: dict[str, str] | None = None
    match_expressions: list[LabelRequirement] | None = None


class PodAffinityTerm(_Passed):
    """As in a Pod."""

    topology_key: str
    label_selector: LabelSelector | None = None
    namespaces: list[str] | None = None
    namespace_selector: LabelSelector | None = None
    match_label_keys: list[str] | None = None
    mismatch_label_keys: list[str] | None = None


class WeightedPodAffinityTerm(_Passed):
    """As in a Pod."""

    weight: int
    pod_affinity_term: PodAffinityTerm


class PodAffinity(_Passed):
    """Affinity or anti-affinity, as in a Pod."""

    required_during_scheduling_ignored_during_execution: list[PodAffinityTerm] | None = None
    preferred_during_scheduling_ignored_during_execution: list[WeightedPodAffinityTerm] | None = None


class Affinity(_Passed):
    """As in a Pod."""

    node_affinity: NodeAffinity | None = None
    pod_affinity: PodAffinity | None = None
    pod_anti_affinity: PodAffinity | None = None


def _open(schema: dict[str, Any]) -> None:
    """Publish an object of any fields: the whole schema would nearly double the CRD."""
    description = schema["description"]
    schema.clear()
    schema |= {"type": "object", "description": description, "x-kubernetes-preserve-unknown-fields": True}


class TolerationOperator(StrEnum):
    """As in a Pod."""

    EXISTS = "Exists"
    EQUAL = "Equal"


class TaintEffect(StrEnum):
    """As in a Pod."""

    NO_SCHEDULE = "NoSchedule"
    PREFER_NO_SCHEDULE = "PreferNoSchedule"
    NO_EXECUTE = "NoExecute"


class Toleration(ApiModel):
    """A taint that the pods tolerate."""

    key: LabelKey | None = Field(default=None, description="Key of the taint; without a key: every taint.")
    operator: TolerationOperator | None = Field(
        default=None, description="Equal (default): key and value match. Exists: any value."
    )
    value: LabelValue | None = Field(default=None, description="Value of the taint.")
    effect: TaintEffect | None = Field(default=None, description="Effect of the taint; without it: every effect.")
    toleration_seconds: Annotated[int, Field(ge=0, le=2_147_483_647)] | None = Field(
        default=None, description="For effect NoExecute: seconds until the pod is evicted. Default: never."
    )


class WhenUnsatisfiable(StrEnum):
    """As in a Pod."""

    DO_NOT_SCHEDULE = "DoNotSchedule"
    SCHEDULE_ANYWAY = "ScheduleAnyway"


class NodePolicy(StrEnum):
    """As in a Pod."""

    HONOR = "Honor"
    IGNORE = "Ignore"


class SpreadConstraint(ApiModel):
    """How the pods of this ChatModel spread over nodes, zones or another topology."""

    topology_key: LabelKey = Field(description="Node label that names the domain, such as topology.kubernetes.io/zone.")
    when_unsatisfiable: WhenUnsatisfiable = Field(description="DoNotSchedule or ScheduleAnyway.")
    max_skew: Annotated[int, Field(ge=1, le=10_000)] = Field(
        default=1, description="Maximum difference of the number of pods between two domains."
    )
    min_domains: Annotated[int, Field(ge=1, le=10_000)] | None = Field(
        default=None, description="Minimum number of domains, with DoNotSchedule."
    )
    node_affinity_policy: NodePolicy | None = Field(default=None, description="As in a Pod.")
    node_taints_policy: NodePolicy | None = Field(default=None, description="As in a Pod.")
    match_label_keys: Annotated[list[LabelKey], Field(max_length=8)] | None = Field(
        default=None, description="As in a Pod: pod-template-hash spreads each rollout by itself."
    )


class SchedulingSpec(ApiModel):
    """Where the pods run. The fields mean what they mean in a Pod; a change rolls the replicas out."""

    node_selector: Annotated[dict[str, LabelValue], Field(max_length=32)] = Field(
        default_factory=dict, description="Labels that a node must have."
    )
    tolerations: Annotated[list[Toleration], Field(max_length=32)] = Field(
        default_factory=list,
        description="Taints that the pods tolerate, besides taints with the name of a resource in "
        "spec.resources.limits, such as nvidia.com/gpu.",
    )
    affinity: Affinity | None = Field(
        default=None,
        description="Node affinity, pod affinity and pod anti-affinity, as in a Pod. The operator and the API server "
        "check it when they create the pods; the condition Ready reports an error as InvalidSpec.",
        json_schema_extra=_open,
    )
    topology_spread_constraints: Annotated[
        list[SpreadConstraint],
        Field(
            max_length=8,
            json_schema_extra={
                "x-kubernetes-list-type": "map",
                "x-kubernetes-list-map-keys": ["topologyKey", "whenUnsatisfiable"],
            },
        ),
    ] = Field(
        default_factory=list,
        description="As in a Pod, except that labelSelector is set by the operator: it selects the pods of this "
        "ChatModel.",
    )
    priority_class_name: NonEmptyName | None = Field(
        default=None, description="As in a Pod. Without the PriorityClass, pods are refused (PodsRefused)."
    )
    runtime_class_name: NonEmptyName | None = Field(default=None, description="As in a Pod, such as nvidia.")
    scheduler_name: NonEmptyName | None = Field(
        default=None, description="As in a Pod. Pods of a scheduler that does not run stay pending."
    )
