"""Who sets the replica count, from which metrics, within which limits, and how fast."""

from enum import StrEnum
from typing import Annotated

from pydantic import AwareDatetime, Field, StringConstraints

from chatscale.api.v1alpha1.common import KEYED_BY_NAME, KEYED_BY_TYPE, ApiModel, CelRule


class AutoscalingMode(StrEnum):
    """Who writes spec.replicas."""

    FIXED = "Fixed"
    OPERATOR = "Operator"
    HPA = "HPA"


class MetricType(StrEnum):
    """A metric that scaling can follow."""

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
        description="Target value per replica: requests, or percent for KVCacheUtilization.",
    )


class SloSpec(ApiModel):
    """Service level objective: latency targets, and the share of requests that must meet them."""

    ttft_milliseconds: Annotated[int, Field(ge=1, le=600_000)] = Field(
        default=2000,
        description="Time to first token, in milliseconds. If an idle replica needs more than a third of it to compute "
        "the prompt, the request may take three times the computation time instead.",
    )
    tpot_milliseconds: Annotated[int, Field(ge=1, le=60_000)] = Field(
        default=100, description="Mean time per output token after the first, in milliseconds."
    )
    objective_percent: Annotated[int, Field(ge=50, le=99)] = Field(
        default=99, description="Percentage of requests that must meet both times."
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
            "!has(self.prometheusURL) || self.prometheusURL.matches('^https?://[^/?#@]+(/[^?#]*)?$')",
            "spec.autoscaling.source.prometheusURL must be an http:// or https:// URL without query, fragment or user",
        ),
    )

    type: SourceType = Field(
        default=SourceType.POD_SCRAPE,
        description="PodScrape: the operator scrapes /metrics of each pod. Prometheus: it queries a Prometheus server.",
    )
    prometheus_url: Annotated[str, StringConstraints(min_length=1, max_length=1024)] | None = Field(
        default=None, alias="prometheusURL", description="Base URL, such as http://prometheus.monitoring:9090."
    )
    interval_seconds: Annotated[int, Field(ge=1, le=300)] = Field(
        default=2, description="Seconds between two readings of the metrics, and between two scaling decisions."
    )


class ScalingPolicyType(StrEnum):
    """The unit of a rate limit."""

    PODS = "Pods"
    PERCENT = "Percent"


class ScalingPolicy(ApiModel):
    """A rate limit: at most `value` pods or percent within `periodSeconds`."""

    type: ScalingPolicyType = Field(description="Pods or Percent (of the count at the start of the period).")
    value: Annotated[int, Field(ge=1, le=100_000)] = Field(description="Maximum change within the period.")
    period_seconds: Annotated[int, Field(ge=1, le=1800)] = Field(description="Length of the period, in seconds.")


class ScalingRules(ApiModel):
    """One direction of `behavior`, as in autoscaling/v2."""

    stabilization_window_seconds: Annotated[int, Field(ge=0, le=3600)] = Field(
        description="Scale up to the lowest and down to the highest recommendation of this many past seconds.",
    )
    policies: Annotated[list[ScalingPolicy], Field(min_length=1, max_length=8)] = Field(
        description="Rate limits; the one that allows the largest change applies.",
    )


class ScaleUpRules(ScalingRules):
    """Rules for scaling up. Default: immediately, by at most 16 pods (HPA: 4) or 100 percent in 15 s."""

    stabilization_window_seconds: Annotated[int, Field(ge=0, le=3600)] = Field(
        default=0,
        description="Scale up only after the higher count has been recommended for this many seconds; 0: immediately.",
    )
    policies: Annotated[list[ScalingPolicy], Field(min_length=1, max_length=8)] = Field(
        default_factory=lambda: [
            ScalingPolicy(type=ScalingPolicyType.PERCENT, value=100, period_seconds=15),
            ScalingPolicy(type=ScalingPolicyType.PODS, value=16, period_seconds=15),
        ],
        description="Rate limits; the one that allows the largest change applies.",
    )


class ScaleDownRules(ScalingRules):
    """Rules for scaling down. Default: to the highest recommendation of the last 630 s (HPA: 300 s)."""

    stabilization_window_seconds: Annotated[int, Field(ge=0, le=3600)] = Field(
        default=630, description="Scale down to the highest count that was recommended in this many past seconds."
    )
    policies: Annotated[list[ScalingPolicy], Field(min_length=1, max_length=8)] = Field(
        default_factory=lambda: [ScalingPolicy(type=ScalingPolicyType.PERCENT, value=100, period_seconds=15)],
        description="Rate limits; the one that allows the largest change applies.",
    )


class ScalingBehavior(ApiModel):
    """How fast the replica count may change. Mode HPA copies it into the HPA."""

    scale_up: ScaleUpRules = Field(default_factory=ScaleUpRules, description="Rules for scaling up.")
    scale_down: ScaleDownRules = Field(default_factory=ScaleDownRules, description="Rules for scaling down.")


class FallbackBehavior(StrEnum):
    """What to do while metrics are unavailable."""

    HOLD = "Hold"
    HOLD_IF_HIGHER = "HoldIfHigher"
    STATIC = "Static"


class Fallback(ApiModel):
    """What to do when metrics stay unavailable. By default the replica count is held."""

    cel_rules = (
        CelRule(
            "self.behavior == 'Hold' || has(self.replicas)",
            "spec.autoscaling.fallback.replicas is required unless behavior is Hold",
        ),
    )

    failure_threshold: Annotated[int, Field(ge=1, le=1000)] = Field(
        default=3,
        description="Consecutive failed readings before the fallback applies; until then the count is held.",
    )
    behavior: FallbackBehavior = Field(
        default=FallbackBehavior.HOLD,
        description="Hold: keep the count. HoldIfHigher: the larger of the count and `replicas`. Static: `replicas`.",
    )
    replicas: Annotated[int, Field(ge=1, le=10_000)] | None = Field(
        default=None, description="Replica count of the fallback, limited to minReplicas and maxReplicas."
    )


_Time = Annotated[AwareDatetime, Field(json_schema_extra={"maxLength": 64})]
"""RFC 3339. The API server needs the length to estimate the cost of rules."""


class AnnouncedEvent(ApiModel):
    """A period of traffic that is known in advance, such as a sale, with a higher minimum of replicas."""

    cel_rules = (
        CelRule(
            "self.end > self.start",
            "spec.autoscaling.events[].end must be after start",
            "'spec.autoscaling.events[%s].end %s is not after start %s'"
            ".format([self.name, string(self.end), string(self.start)])",
        ),
    )

    name: Annotated[str, StringConstraints(min_length=1, max_length=63)] = Field(
        description="Name shown in every scaling decision that this event affects, such as black-friday."
    )
    start: _Time = Field(description="When the replicas must be Ready, with the time zone: 2026-11-27T20:00:00+01:00.")
    end: _Time = Field(description="End of the higher minimum. Scaling down then follows behavior.scaleDown.")
    min_replicas: Annotated[int, Field(ge=1, le=10_000)] = Field(
        description="Minimum number of replicas during the event; demand may require more."
    )
    lead_seconds: Annotated[int, Field(ge=0, le=86_400)] | None = Field(
        default=None,
        description="Create the pods this many seconds before start. Default: twice the sum of "
        "status.autoscaling.schedulingSeconds and coldStartSeconds, because the last of many pods takes longer than "
        "the mean, plus 25 seconds. Before the first measured start, the sum is assumed to be 80 seconds.",
    )


class ScaleToZero(ApiModel):
    """When a model without requests gives up its last replica. The gateway starts it again."""

    idle_seconds: Annotated[int, Field(ge=10, le=86_400)] = Field(
        default=600,
        description="Scale to 0 after this many seconds without a request, at any gateway and in the replicas. The "
        "time begins when a replica is Ready. Seconds in which a gateway or a replica cannot be read do not count.",
    )


class AutoscalingSpec(ApiModel):
    """Who sets the replica count, from which metrics, within which limits."""

    cel_rules = (
        CelRule(
            "self.mode == 'Fixed' || has(self.maxReplicas)",
            "spec.autoscaling.maxReplicas is required unless mode is Fixed",
        ),
        CelRule(
            "!has(self.maxReplicas) || self.minReplicas <= self.maxReplicas",
            "spec.autoscaling.minReplicas must not be above maxReplicas",
            "'spec.autoscaling.minReplicas %d is above maxReplicas %d'.format([self.minReplicas, self.maxReplicas])",
        ),
        CelRule(
            "self.panicWindowSeconds <= self.windowSeconds",
            "spec.autoscaling.panicWindowSeconds must not be above windowSeconds",
            "'spec.autoscaling.panicWindowSeconds %d is above windowSeconds %d'"
            ".format([self.panicWindowSeconds, self.windowSeconds])",
        ),
        CelRule(
            "self.mode != 'HPA' || !self.dryRun",
            "spec.autoscaling.dryRun must be false in mode HPA: an HPA has no dry run",
        ),
        CelRule(
            "!has(self.events) || size(self.events) == 0 || self.mode != 'Fixed'",
            "spec.autoscaling.events needs mode Operator or HPA: in mode Fixed only the user sets the replica count",
        ),
        CelRule(
            "!has(self.scaleToZero) || self.mode != 'Fixed'",
            "spec.autoscaling.scaleToZero needs mode Operator or HPA: in mode Fixed the user sets the replica count",
        ),
        CelRule(
            "!has(self.events) || !has(self.maxReplicas) || "
            "self.events.all(event, event.minReplicas <= self.maxReplicas)",
            "spec.autoscaling.events[].minReplicas must not be above maxReplicas",
            "'spec.autoscaling.events: minReplicas of %s is above maxReplicas %d'.format("
            "[self.events.filter(event, event.minReplicas > self.maxReplicas).map(event, event.name), "
            "self.maxReplicas])",
        ),
    )

    mode: AutoscalingMode = Field(
        default=AutoscalingMode.OPERATOR,
        description="Operator: Chatscale's scaling policy. HPA: a HorizontalPodAutoscaler on external metrics. Fixed: "
        "the user, through spec.replicas or kubectl scale. Each mode has exactly one writer of spec.replicas.",
    )
    min_replicas: Annotated[int, Field(ge=1, le=10_000)] = Field(
        default=1,
        description="Minimum number of replicas. With scaleToZero it applies while the model is not scaled to zero.",
    )
    max_replicas: Annotated[int, Field(ge=1, le=10_000)] | None = Field(
        default=None, description="Maximum number of replicas; required unless mode is Fixed."
    )
    metrics: Annotated[
        list[MetricTarget],
        Field(
            max_length=3,
            json_schema_extra=KEYED_BY_TYPE,
        ),
    ] = Field(
        default_factory=list,
        description="Targets that scaling follows instead of `slo`; the largest recommendation wins. If empty "
        "(recommended), the operator meets `slo` at the lowest cost. Mode HPA cannot follow `slo`; if empty, it "
        "follows QueueDepth 4.",
    )
    slo: SloSpec = Field(
        default_factory=SloSpec, description="Service level objective; replicas count the requests that miss it."
    )
    source: MetricSource = Field(
        default_factory=MetricSource, description="Where the operator reads metrics (mode Operator)."
    )
    window_seconds: Annotated[int, Field(ge=1, le=3600)] = Field(
        default=60, description="Load is averaged over this many seconds, except in a burst."
    )
    panic_window_seconds: Annotated[int, Field(ge=1, le=3600)] = Field(
        default=10, description="In a burst, load is averaged over this many seconds instead."
    )
    panic_threshold_percent: Annotated[int, Field(ge=101, le=1000)] = Field(
        default=200,
        description="A burst is a load, averaged over the panic window, above this percentage of the target load.",
    )
    tolerance_percent: Annotated[int, Field(ge=0, le=100)] = Field(
        default=10, description="Load within this percentage of the target does not change the count."
    )
    behavior: ScalingBehavior = Field(default_factory=ScalingBehavior, description="How fast the count may change.")
    fallback: Fallback = Field(default_factory=Fallback, description="What to do while metrics are unavailable.")
    events: Annotated[list[AnnouncedEvent], Field(max_length=16, json_schema_extra=KEYED_BY_NAME)] = Field(
        default_factory=list,
        description="Traffic spikes that are known in advance, such as sales: replicas are Ready when they start. An "
        "autoscaler cannot prepare for a spike it does not know about. If events overlap, the largest minReplicas "
        "applies; past events have no effect.",
    )
    scale_to_zero: ScaleToZero | None = Field(
        default=None,
        description="Scale an idle model to 0 replicas, and up again when a gateway holds a request for it. First the "
        "count falls to minReplicas as usual, then to 0. It needs the gateway: without a readable gateway the model "
        "keeps minReplicas. Left out: never to 0.",
    )
    pending_timeout_seconds: Annotated[int, Field(ge=10, le=86_400)] = Field(
        default=300,
        description="A pod that has waited for this many seconds for a node, a scheduling gate, an image, a volume or "
        "its configuration no longer counts as starting capacity; the operator requests no further pods until it can "
        "start. Exception: only one node is affected, and other pods are Ready.",
    )
    dry_run: bool = Field(
        default=False, description="Report decisions in status and Events, but do not change the replica count."
    )

    @property
    def targets(self) -> list[MetricTarget]:
        """Targets where scaling cannot follow the SLO: in mode HPA, or if replicas do not count their work."""
        return self.metrics or [MetricTarget(type=MetricType.QUEUE_DEPTH, target=4)]
