"""The ChatModel resource: the one source of the CRD, of `kubectl explain` and of what the operator reads.

Field descriptions are user documentation. Rules between fields stand twice, as CEL for the API server
(`cel_rules`) and as what the reconciler may rely on; `crd.py` attaches the former. Every string and list
that a rule reads is bounded, or the API server refuses the rule for its cost.
"""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, ClassVar, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, StringConstraints
from pydantic.alias_generators import to_camel

from chatscale_server.wire import EngineName, SimulatedProfile


class CelRule(NamedTuple):
    """One `x-kubernetes-validations` entry; `self` is the object of the model that carries it."""

    rule: str
    message: str
    message_expression: str | None = None
    """CEL that yields the message, where it can name the value found."""


class ApiModel(BaseModel):
    """Reads Kubernetes' camelCase, ignores unknown fields as the API server prunes them."""

    model_config = ConfigDict(frozen=True, alias_generator=to_camel, populate_by_name=True, extra="ignore")
    cel_rules: ClassVar[tuple[CelRule, ...]] = ()


NonEmptyName = Annotated[str, StringConstraints(min_length=1, max_length=253)]
Seconds = Annotated[int, Field(ge=0, le=86_400)]
Quantity = Annotated[int | str, Field(description="A Kubernetes quantity, such as 500m, 2 or 16Gi.")]


class SecretKeyRef(ApiModel):
    """A key of a Secret in the ChatModel's namespace."""

    name: NonEmptyName = Field(description="Name of the Secret.")
    key: NonEmptyName = Field(default="token", description="Key within the Secret.")


class LocalObjectRef(ApiModel):
    """An object of the ChatModel's namespace, by name."""

    name: NonEmptyName = Field(description="Name of the object.")


class ModelSource(ApiModel):
    """Which model is served, and under what name."""

    cel_rules = (
        CelRule(
            "self.uri.matches('^(hf|pvc|file)://.+')",
            "spec.model.uri must be hf://OWNER/NAME, pvc://CLAIM/PATH or file:///PATH",
            "'spec.model.uri must be hf://OWNER/NAME, pvc://CLAIM/PATH or file:///PATH, found \"' + self.uri + '\"'",
        ),
    )

    uri: Annotated[str, StringConstraints(min_length=1, max_length=1024)] = Field(
        description="Where the weights are: hf://OWNER/NAME (Hugging Face Hub), pvc://CLAIM/PATH (a volume in this "
        "namespace) or file:///PATH (inside the server image). The Simulated engine reads none of it.",
    )
    revision: Annotated[str, StringConstraints(max_length=128)] | None = Field(
        default=None,
        description="Branch, tag or, best, commit of an hf:// model. Without a commit two pods may serve different weights.",
    )
    served_name: Annotated[str, StringConstraints(min_length=1, max_length=253)] | None = Field(
        default=None,
        description="The `model` of the OpenAI API. Defaults to the ChatModel's name.",
    )
    token_secret_ref: SecretKeyRef | None = Field(
        default=None,
        description="Secret with the hub token of a gated model.",
    )
    chat_template: Annotated[str, StringConstraints(max_length=16_384)] | None = Field(
        default=None,
        description="Jinja chat template that replaces the tokenizer's own.",
    )


class Dtype(StrEnum):
    """Number format of weights and activations."""

    AUTO = "auto"
    FLOAT32 = "float32"
    BFLOAT16 = "bfloat16"
    FLOAT16 = "float16"


class ImagePullPolicy(StrEnum):
    """As in a Pod."""

    ALWAYS = "Always"
    IF_NOT_PRESENT = "IfNotPresent"
    NEVER = "Never"


class EnvVar(ApiModel):
    """One environment variable with a literal value."""

    name: NonEmptyName = Field(description="Name of the variable; CHATSCALE_* names belong to the operator.")
    value: Annotated[str, StringConstraints(max_length=32_768)] = Field(default="", description="Its value.")


class EnvFromSource(ApiModel):
    """All keys of a ConfigMap or a Secret as environment variables."""

    cel_rules = (
        CelRule(
            "has(self.configMapRef) != has(self.secretRef)",
            "spec.server.envFrom[] needs exactly one of configMapRef and secretRef",
        ),
    )

    config_map_ref: LocalObjectRef | None = Field(default=None, description="A ConfigMap.")
    secret_ref: LocalObjectRef | None = Field(default=None, description="A Secret.")


class SimulatedServer(ApiModel):
    """How the Simulated engine behaves; for rehearsals and tests without GPUs."""

    profile: SimulatedProfile = Field(
        default=SimulatedProfile.LLAMA_8B_A100,
        description="Model and machine whose step times the clock follows.",
    )
    startup_seconds: Annotated[int, Field(ge=0, le=3600)] = Field(
        default=5,
        description="Pretended time of loading the model before the pod is ready.",
    )


class ServerSpec(ApiModel):
    """The inference server of each replica."""

    cel_rules = (
        CelRule(
            "!has(self.env) || self.env.all(e, !e.name.startsWith('CHATSCALE_'))",
            "spec.server.env[].name must not start with CHATSCALE_: the operator sets those",
        ),
    )

    engine: EngineName = Field(
        default=EngineName.TRANSFORMERS,
        description="Transformers runs the model; Simulated has the same API, queue, metrics and drain, and makes up "
        "the text at the speed of `simulated.profile`.",
    )
    simulated: SimulatedServer = Field(
        default_factory=SimulatedServer, description="Settings of the Simulated engine; other engines ignore them."
    )
    image: Annotated[str, StringConstraints(min_length=1, max_length=1024)] | None = Field(
        default=None,
        description="Container image. Defaults to the chart's image for the engine.",
    )
    image_pull_policy: ImagePullPolicy = Field(default=ImagePullPolicy.IF_NOT_PRESENT, description="As in a Pod.")
    image_pull_secrets: Annotated[list[LocalObjectRef], Field(max_length=16)] = Field(
        default_factory=list, description="As in a Pod."
    )
    env: Annotated[list[EnvVar], Field(max_length=64)] = Field(
        default_factory=list, description="Further environment variables of the server container."
    )
    env_from: Annotated[list[EnvFromSource], Field(max_length=16)] = Field(
        default_factory=list, description="ConfigMaps and Secrets whose keys become environment variables."
    )
    dtype: Dtype = Field(
        default=Dtype.AUTO, description="Number format of the weights; auto takes what the model and machine suit."
    )
    max_model_len: Annotated[int, Field(ge=16, le=1_048_576)] | None = Field(
        default=None,
        description="Most tokens of prompt plus answer of one request. Defaults to the model's own limit. Each slot "
        "keeps KV cache for this many tokens.",
    )
    max_concurrency: Annotated[int, Field(ge=1, le=512)] = Field(
        default=8, description="Requests that one replica decodes at a time (batch slots)."
    )
    max_queue: Annotated[int, Field(ge=0, le=100_000)] = Field(
        default=64,
        description="Requests that may wait for a slot in one replica; one more gets 429 with Retry-After.",
    )
    queue_timeout_seconds: Annotated[int, Field(ge=1, le=3600)] = Field(
        default=60, description="A request that waited this long for a slot is refused with 503 and Retry-After."
    )


class ResourceRequirements(ApiModel):
    """Compute resources of the server container, as in a Pod."""

    limits: Annotated[dict[str, Quantity], Field(max_length=16)] = Field(
        default_factory=dict,
        description="Upper bounds, by resource name; GPUs (nvidia.com/gpu or a MIG resource) go here.",
    )
    requests: Annotated[dict[str, Quantity], Field(max_length=16)] = Field(
        default_factory=dict, description="What the scheduler sets aside, by resource name."
    )


class Device(StrEnum):
    """What a replica computes on."""

    GPU = "GPU"
    CPU = "CPU"


class AutoscalingMode(StrEnum):
    """Who writes spec.replicas."""

    FIXED = "Fixed"
    OPERATOR = "Operator"
    HPA = "HPA"


class MetricType(StrEnum):
    """What the replica count follows."""

    QUEUE_DEPTH = "QueueDepth"
    ACTIVE_REQUESTS = "ActiveRequests"
    KV_CACHE_UTILIZATION = "KVCacheUtilization"


class MetricTarget(ApiModel):
    """One metric and its target per replica."""

    cel_rules = (
        CelRule(
            "self.type != 'KVCacheUtilization' || self.target <= 100",
            "spec.autoscaling.metrics[].target of KVCacheUtilization is a percentage from 1 to 100",
        ),
    )

    type: MetricType = Field(
        description="QueueDepth: requests waiting for a slot. ActiveRequests: waiting plus running. "
        "KVCacheUtilization: percent of the KV cache in use, mean over replicas.",
    )
    target: Annotated[int, Field(ge=1, le=100_000)] = Field(
        description="Value per replica that scaling aims at: requests, or percent for KVCacheUtilization.",
    )


class SourceType(StrEnum):
    """Where the operator reads metrics."""

    POD_SCRAPE = "PodScrape"
    PROMETHEUS = "Prometheus"


class MetricSource(ApiModel):
    """Where and how often the operator reads metrics."""

    cel_rules = (
        CelRule(
            "(self.type == 'Prometheus') == has(self.prometheusURL)",
            "spec.autoscaling.source.prometheusURL is required with type Prometheus and forbidden otherwise",
        ),
        CelRule(
            "!has(self.prometheusURL) || self.prometheusURL.matches('^https?://[^/]+')",
            "spec.autoscaling.source.prometheusURL must be an http:// or https:// address",
        ),
    )

    type: SourceType = Field(
        default=SourceType.POD_SCRAPE,
        description="PodScrape: the operator reads each pod's /metrics itself. Prometheus: it asks a Prometheus server.",
    )
    prometheus_url: Annotated[str, StringConstraints(min_length=1, max_length=1024)] | None = Field(
        default=None, alias="prometheusURL", description="Base address, such as http://prometheus.monitoring:9090."
    )
    interval_seconds: Annotated[int, Field(ge=1, le=300)] = Field(
        default=5, description="Time between two readings, and between two decisions."
    )


class ScalingPolicyType(StrEnum):
    """What a rate limit counts."""

    PODS = "Pods"
    PERCENT = "Percent"


class ScalingPolicy(ApiModel):
    """A rate limit: at most `value` pods or percent within `periodSeconds`."""

    type: ScalingPolicyType = Field(description="Pods or Percent (of the count at the start of the period).")
    value: Annotated[int, Field(ge=1, le=100_000)] = Field(description="Most change within the period.")
    period_seconds: Annotated[int, Field(ge=1, le=1800)] = Field(description="Length of the period.")


class ScalingRules(ApiModel):
    """One direction of `behavior`, in the shape of autoscaling/v2."""

    stabilization_window_seconds: Annotated[int, Field(ge=0, le=3600)] = Field(
        description="Look this far back over earlier wishes: up takes the lowest of them, down the highest.",
    )
    policies: Annotated[list[ScalingPolicy], Field(min_length=1, max_length=8)] = Field(
        description="Rate limits; the one that allows the larger change counts.",
    )


class ScaleUpRules(ScalingRules):
    """Raising the replica count: at once, by at most the larger of 4 pods and 100 percent in 15 s (as HPA)."""

    stabilization_window_seconds: Annotated[int, Field(ge=0, le=3600)] = Field(
        default=0, description="A rise waits until it was wished for this long; 0 rises at once."
    )
    policies: Annotated[list[ScalingPolicy], Field(min_length=1, max_length=8)] = Field(
        default_factory=lambda: [
            ScalingPolicy(type=ScalingPolicyType.PERCENT, value=100, period_seconds=15),
            ScalingPolicy(type=ScalingPolicyType.PODS, value=4, period_seconds=15),
        ],
        description="Rate limits; the one that allows the larger change counts.",
    )


class ScaleDownRules(ScalingRules):
    """Lowering the replica count: only to the highest wish of the last five minutes (as HPA)."""

    stabilization_window_seconds: Annotated[int, Field(ge=0, le=3600)] = Field(
        default=300, description="Lower only to the highest count wished for in this window."
    )
    policies: Annotated[list[ScalingPolicy], Field(min_length=1, max_length=8)] = Field(
        default_factory=lambda: [ScalingPolicy(type=ScalingPolicyType.PERCENT, value=100, period_seconds=15)],
        description="Rate limits; the one that allows the larger change counts.",
    )


class Behavior(ApiModel):
    """How fast the replica count may move; HPA mode copies it verbatim."""

    scale_up: ScaleUpRules = Field(default_factory=ScaleUpRules, description="Rules for raising the count.")
    scale_down: ScaleDownRules = Field(default_factory=ScaleDownRules, description="Rules for lowering the count.")


class FallbackBehavior(StrEnum):
    """What to do while the load is unknown."""

    HOLD = "Hold"
    HOLD_IF_HIGHER = "HoldIfHigher"
    STATIC = "Static"


class Fallback(ApiModel):
    """What to do once metrics have been missing; a metric outage never shrinks by itself."""

    cel_rules = (
        CelRule(
            "self.behavior == 'Hold' || has(self.replicas)",
            "spec.autoscaling.fallback.replicas is required unless behavior is Hold",
        ),
    )

    failure_threshold: Annotated[int, Field(ge=1, le=1000)] = Field(
        default=3,
        description="Readings that must fail in a row before the fallback acts; until then the count is held.",
    )
    behavior: FallbackBehavior = Field(
        default=FallbackBehavior.HOLD,
        description="Hold: keep the count. HoldIfHigher: the larger of the count and `replicas`. Static: `replicas`.",
    )
    replicas: Annotated[int, Field(ge=1, le=10_000)] | None = Field(
        default=None, description="Count to fall back to; kept between minReplicas and maxReplicas."
    )


class AutoscalingSpec(ApiModel):
    """Who decides the replica count, from what, within which bounds."""

    cel_rules = (
        CelRule(
            "self.mode == 'Fixed' || has(self.maxReplicas)",
            "spec.autoscaling.maxReplicas is required unless mode is Fixed: GPUs cost money, so there is no 'no limit'",
        ),
        CelRule(
            "!has(self.maxReplicas) || self.minReplicas <= self.maxReplicas",
            "spec.autoscaling.minReplicas must not be above maxReplicas",
            "'spec.autoscaling.minReplicas ' + string(self.minReplicas) + ' is above maxReplicas ' + "
            "string(self.maxReplicas)",
        ),
        CelRule(
            "self.panicWindowSeconds <= self.windowSeconds",
            "spec.autoscaling.panicWindowSeconds must not be above windowSeconds",
            "'spec.autoscaling.panicWindowSeconds ' + string(self.panicWindowSeconds) + ' is above windowSeconds ' + "
            "string(self.windowSeconds)",
        ),
        CelRule(
            "self.mode != 'HPA' || !self.dryRun",
            "spec.autoscaling.dryRun needs mode Operator: an HPA cannot be told to only report",
        ),
    )

    mode: AutoscalingMode = Field(
        default=AutoscalingMode.OPERATOR,
        description="Operator: Chatscale's own policy. HPA: a HorizontalPodAutoscaler on external metrics. Fixed: you, "
        "through spec.replicas or kubectl scale. Each mode has exactly one writer of spec.replicas.",
    )
    min_replicas: Annotated[int, Field(ge=1, le=10_000)] = Field(
        default=1, description="Never fewer replicas than this."
    )
    max_replicas: Annotated[int, Field(ge=1, le=10_000)] | None = Field(
        default=None, description="Never more replicas than this; required unless mode is Fixed."
    )
    metrics: Annotated[
        list[MetricTarget],
        Field(
            min_length=1,
            max_length=3,
            json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]},
        ),
    ] = Field(
        default_factory=lambda: [MetricTarget(type=MetricType.QUEUE_DEPTH, target=4)],
        description="What the count follows; of several proposals the largest wins.",
    )
    source: MetricSource = Field(
        default_factory=MetricSource, description="Where the operator reads metrics (mode Operator)."
    )
    window_seconds: Annotated[int, Field(ge=1, le=3600)] = Field(
        default=60, description="Load is averaged over this time in calm."
    )
    panic_window_seconds: Annotated[int, Field(ge=1, le=3600)] = Field(
        default=10, description="In a burst load is averaged over this time instead."
    )
    panic_threshold_percent: Annotated[int, Field(ge=101, le=1000)] = Field(
        default=200,
        description="A burst is a short-window load above this percentage of what the ready replicas aim at.",
    )
    tolerance_percent: Annotated[int, Field(ge=0, le=100)] = Field(
        default=10, description="Load within this percentage of the target changes nothing."
    )
    behavior: Behavior = Field(default_factory=Behavior, description="How fast the count may move.")
    fallback: Fallback = Field(default_factory=Fallback, description="What to do while metrics are missing.")
    pending_timeout_seconds: Annotated[int, Field(ge=10, le=86_400)] = Field(
        default=300,
        description="A pod that could not be scheduled for this long no longer counts as capacity to come; the operator "
        "stops asking for more until it can be scheduled.",
    )
    dry_run: bool = Field(
        default=False, description="Decide and report in status and Events, but change no replica count."
    )


class DrainSpec(ApiModel):
    """How a replica leaves without cutting an answer."""

    timeout_seconds: Annotated[int, Field(ge=1, le=3600)] = Field(
        default=120,
        description="Most time that admitted requests get to finish after the server stops taking new ones.",
    )
    pre_stop_delay_seconds: Annotated[int, Field(ge=0, le=300)] = Field(
        default=10, description="Time the server goes on taking requests after SIGTERM, while endpoints are withdrawn."
    )


class ChatModelSpec(ApiModel):
    """One chat model, served by replicas that follow demand."""

    cel_rules = (
        CelRule(
            "self.device != 'CPU' || !has(self.resources.limits) || "
            "self.resources.limits.all(name, !name.startsWith('nvidia.com/') && !name.startsWith('amd.com/'))",
            "spec.resources.limits must not name GPUs with spec.device CPU",
        ),
        CelRule(
            "self.device != 'GPU' || self.server.engine == 'Simulated' || (has(self.resources.limits) && "
            "self.resources.limits.exists(name, name.contains('/')))",
            "spec.resources.limits must name a GPU resource, such as nvidia.com/gpu, with spec.device GPU",
        ),
    )

    model: ModelSource = Field(description="Which model is served.")
    server: ServerSpec = Field(default_factory=ServerSpec, description="The inference server of each replica.")
    resources: ResourceRequirements = Field(
        default_factory=ResourceRequirements, description="Compute resources of each replica."
    )
    device: Device = Field(default=Device.GPU, description="What a replica computes on.")
    replicas: Annotated[int, Field(ge=0, le=10_000)] = Field(
        default=1,
        description="Wanted replicas. Written by the autoscaler, or by you in mode Fixed (kubectl scale); leave it out of "
        "manifests kept in Git.",
    )
    autoscaling: AutoscalingSpec = Field(
        default_factory=lambda: AutoscalingSpec(mode=AutoscalingMode.FIXED),
        description="Who decides the replica count. Left out: mode Fixed.",
    )
    drain: DrainSpec = Field(default_factory=DrainSpec, description="How a replica leaves without cutting an answer.")


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


class MetricReading(ApiModel):
    """A metric as last read, summed or averaged over replicas as its type says."""

    type: MetricType = Field(description="Which metric.")
    value: str = Field(description="Value per replica as a decimal number; a string, as floats differ by client.")
    target: int = Field(description="Target per replica.")


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
    FALLBACK = "Fallback"


class AutoscalingStatus(ApiModel):
    """What the autoscaler saw and did."""

    phase: AutoscalingPhase | None = Field(
        default=None, description="Stable, Panic (in a burst) or Fallback (no metrics)."
    )
    last_metric_time: datetime | None = Field(default=None, description="When metrics were last read whole.")
    last_scale_time: datetime | None = Field(default=None, description="When the count last changed.")
    current_metrics: Annotated[list[MetricReading], Field(max_length=3)] = Field(
        default_factory=list, description="Metrics as last read."
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
        Field(
            max_length=16, json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]}
        ),
    ] = Field(default_factory=list, description="Ready, ModelLoaded, Available, Progressing, ScalingActive.")


class ObjectMeta(ApiModel):
    """The parts of metav1.ObjectMeta that the operator reads."""

    name: str
    namespace: str
    uid: str = ""
    generation: int = 0
    resource_version: str = ""
    deletion_timestamp: datetime | None = None
    labels: dict[str, str] = Field(default_factory=dict)


class ChatModel(ApiModel):
    """A chat LLM, served by replicas that follow demand."""

    cel_rules = (
        CelRule(
            "self.metadata.name.size() <= 40",
            "metadata.name must have at most 40 characters, so that the names of its pods fit",
            "'metadata.name must have at most 40 characters, found ' + string(self.metadata.name.size())",
        ),
    )

    metadata: ObjectMeta
    spec: ChatModelSpec
    status: ChatModelStatus = Field(default_factory=ChatModelStatus)

    @property
    def key(self) -> str:
        """namespace/name, as messages and logs name the object."""
        return f"{self.metadata.namespace}/{self.metadata.name}"

    @property
    def served_name(self) -> str:
        """The `model` that clients of the OpenAI API ask for."""
        return self.spec.model.served_name or self.metadata.name
