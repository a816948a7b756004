"""How fast the replica count may change: `behavior` of autoscaling/v2, with the arithmetic of the HPA controller.

Source: `stabilizeRecommendationWithBehaviors` and `calculateScale{Up,Down}LimitWithBehaviors` in
pkg/controller/podautoscaler/horizontal.go of Kubernetes. One difference: after a restart, scale up also waits for its
whole stabilization window, because the present count stands in for the earlier recommendations.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import assert_never

from chatscale.api.v1alpha1 import ScalingBehavior, ScalingPolicy, ScalingPolicyType, ScalingRules
from chatscale.scaling.windows import Window


@dataclass(frozen=True, slots=True)
class CountChange:
    """A change of the replica count; `by` is negative for a scale down."""

    at: datetime
    by: int


@dataclass(frozen=True, slots=True)
class History:
    """Earlier recommendations, and the changes of the count that happened."""

    current: int
    """The count in the last observation."""
    decided: int
    """The count of the last decision."""
    decided_at: datetime
    """Time of the decision that set `decided`. A change to that count is dated to it, not to when it was observed."""
    scale_up_window: Window
    """Recommendations within the stabilization window of scaleUp."""
    scale_down_window: Window
    """Recommendations within the stabilization window of scaleDown."""
    changes: tuple[CountChange, ...] = ()

    @classmethod
    def starting_with(cls, current: int, now: datetime) -> "History":
        """The history of a model of which only the present count is known."""
        # Just before `now`: with a stabilization window of 0 s it must not hold a recommendation made at `now`.
        recommendations = Window().with_value(now - datetime.resolution, current, timedelta())
        return cls(current, current, now, recommendations, recommendations)

    def with_current(self, current: int, behavior: ScalingBehavior, now: datetime) -> "History":
        """Record the observed count; a difference to the last one is a change, whoever made it."""
        longest = max(
            policy.period_seconds for rules in (behavior.scale_up, behavior.scale_down) for policy in rules.policies
        )
        kept = tuple(change for change in self.changes if change.at > now - timedelta(seconds=longest))
        if current != self.current:
            at = self.decided_at if current == self.decided else now
            kept = (*kept, CountChange(at, current - self.current))
        return replace(self, current=current, changes=kept)

    def with_recommendation(self, recommendation: int, behavior: ScalingBehavior, now: datetime) -> "History":
        """Record a recommendation as it was before the limits."""
        return replace(
            self,
            scale_up_window=self.scale_up_window.with_value(now, recommendation, _window(behavior.scale_up)),
            scale_down_window=self.scale_down_window.with_value(now, recommendation, _window(behavior.scale_down)),
        )

    def with_decision(self, replicas: int, now: datetime) -> "History":
        """Record the decided count."""
        return self if replicas == self.decided else replace(self, decided=replicas, decided_at=now)

    def stabilized(self, current: int, recommendation: int, behavior: ScalingBehavior, now: datetime) -> int:
        """Scale up to the lowest recommendation of scaleUp's window, down to the highest of scaleDown's.

        Both windows include `recommendation`, the newest.
        """
        windows = self.with_recommendation(recommendation, behavior, now)
        lowest = int(windows.scale_up_window.low(now, _window(behavior.scale_up)))
        highest = int(windows.scale_down_window.high(now, _window(behavior.scale_down)))
        return min(max(current, lowest), highest)

    def rate_limited(self, current: int, recommendation: int, behavior: ScalingBehavior, now: datetime) -> int:
        """The count nearest to `recommendation` that the policies allow; of several, the largest change counts."""
        if recommendation > current:
            limit = max(self._limit(policy, current, 1, now) for policy in behavior.scale_up.policies)
            return min(recommendation, max(limit, current))
        limit = min(self._limit(policy, current, -1, now) for policy in behavior.scale_down.policies)
        return max(recommendation, min(limit, current))

    def _limit(self, policy: ScalingPolicy, current: int, sign: int, now: datetime) -> int:
        """Relative to the count at the start of the policy's period."""
        since = now - timedelta(seconds=policy.period_seconds)
        start = current - sum(change.by for change in self.changes if change.at > since)
        match policy.type:
            case ScalingPolicyType.PODS:
                return start + sign * policy.value
            case ScalingPolicyType.PERCENT:
                hundredths = start * (100 + sign * policy.value)
                return -(-hundredths // 100) if sign > 0 else hundredths // 100
            case _:
                assert_never(policy.type)


def _window(rules: ScalingRules) -> timedelta:
    return timedelta(seconds=rules.stabilization_window_seconds)
