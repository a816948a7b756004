"""Who decides the replica count, from what, within which bounds, and how fast."""

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


class SloSpec(ApiModel):
    """What a customer is promised, and how often."""

    ttft_milliseconds: Annotated[int, Field(ge=1, le=600_000)] = Field(
        default=2000,
        description="Time to the first token; a prompt that takes longer than a third of this on an idle replica "
        "is allowed three times that time instead.",
    )
    tpot_milliseconds: Annotated[int, Field(ge=1, le=60_000)] = Field(
        default=100, description="Mean time per output token after the first."
    )
    objective_percent: Annotated[int, Field(ge=50, le=99)] = Field(
        default=99, description="Share of requests that must be answered within both times."
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
            "spec.autoscaling.source.prometheusURL must be an http:// or https:// address without ?, # or a user",
        ),
    )

    type: SourceType = Field(
        default=SourceType.POD_SCRAPE,
        description="PodScrape: the operator reads each pod's /metrics. Prometheus: it asks a Prometheus server.",
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
        description="Look this far back over earlier recommendations: up takes the lowest of them, down the highest.",
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
    """Lowering the replica count: only to the highest recommendation of the last ten and a half minutes (HPA: five)."""

    stabilization_window_seconds: Annotated[int, Field(ge=0, le=3600)] = Field(
        default=630, description="Lower only to the highest count wished for in this window."
    )
    policies: Annotated[list[ScalingPolicy], Field(min_length=1, max_length=8)] = Field(
        default_factory=lambda: [ScalingPolicy(type=ScalingPolicyType.PERCENT, value=100, period_seconds=15)],
        description="Rate limits; the one that allows the larger change counts.",
    )


class ScalingBehavior(ApiModel):
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


_Time = Annotated[AwareDatetime, Field(json_schema_extra={"maxLength": 64})]
"""RFC 3339. The length is for the API server, which bounds what rules read."""


class AnnouncedEvent(ApiModel):
    """Traffic that is known beforehand, such as a sale: more than `minReplicas` for a while."""

    cel_rules = (
        CelRule(
            "self.end > self.start",
            "spec.autoscaling.events[].end must be after start",
            "'spec.autoscaling.events[%s].end %s is not after start %s'"
            ".format([self.name, string(self.end), string(self.start)])",
        ),
    )

    name: Annotated[str, StringConstraints(min_length=1, max_length=63)] = Field(
        description="Told with every decision that the event shapes, such as black-friday."
    )
    start: _Time = Field(description="When its replicas must be ready, with the zone: 2026-11-27T20:00:00+01:00.")
    end: _Time = Field(
        description="From then on replicas follow demand alone again, down as behavior.scaleDown lets them."
    )
    min_replicas: Annotated[int, Field(ge=1, le=10_000)] = Field(
        description="Never fewer replicas than this during the event; demand may ask for more."
    )
    lead_seconds: Annotated[int, Field(ge=0, le=86_400)] | None = Field(
        default=None,
        description="Pods are created this long before start. By default twice the cold start that was measured of "
        "this model, as the last of many pods takes longer than the mean.",
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
            "spec.autoscaling.dryRun needs mode Operator: an HPA cannot be told to only report",
        ),
        CelRule(
            "!has(self.events) || size(self.events) == 0 || self.mode != 'Fixed'",
            "spec.autoscaling.events needs mode Operator or HPA: in mode Fixed the count is yours alone",
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
            max_length=3,
            json_schema_extra=KEYED_BY_TYPE,
        ),
    ] = Field(
        default_factory=list,
        description="Targets that the count follows instead of `slo`; of several proposals the largest wins. Empty, "
        "as recommended: the operator keeps `slo` at the least cost. Mode HPA cannot, and then follows QueueDepth 4.",
    )
    slo: SloSpec = Field(
        default_factory=SloSpec, description="What customers are promised; replicas count the requests that miss it."
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
    behavior: ScalingBehavior = Field(default_factory=ScalingBehavior, description="How fast the count may move.")
    fallback: Fallback = Field(default_factory=Fallback, description="What to do while metrics are missing.")
    events: Annotated[list[AnnouncedEvent], Field(max_length=16, json_schema_extra=KEYED_BY_NAME)] = Field(
        default_factory=list,
        description="Sales and the like, announced: replicas are there when they start, which no policy can manage "
        "for a jump that it does not know of. Where several overlap, the largest counts; past ones do nothing.",
    )
    pending_timeout_seconds: Annotated[int, Field(ge=10, le=86_400)] = Field(
        default=300,
        description="A pod not scheduled for this long no longer counts as capacity to come; the operator "
        "stops asking for more until it can be scheduled.",
    )
    dry_run: bool = Field(
        default=False, description="Decide and report in status and Events, but change no replica count."
    )

    @property
    def targets(self) -> list[MetricTarget]:
        """What is followed where the SLO cannot be: by an HPA, or over replicas that do not count their work."""
        return self.metrics or [MetricTarget(type=MetricType.QUEUE_DEPTH, target=4)]
