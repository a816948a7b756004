"""How fast the count may move: `behavior` of autoscaling/v2, with the same arithmetic as the HPA controller.

Source: `stabilizeRecommendationWithBehaviors` and `calculateScale{Up,Down}LimitWithBehaviors` in
pkg/controller/podautoscaler/horizontal.go of Kubernetes. One difference: a rise waits for its whole
stabilization window also after a restart, as the count found then stands in for earlier recommendations.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import assert_never

from chatscale.api.v1alpha1 import ScalingBehavior, ScalingPolicy, ScalingPolicyType, ScalingRules
from chatscale.scaling.windows import Window


@dataclass(frozen=True, slots=True)
class CountChange:
    """The count moved; `by` is negative where it fell."""

    at: datetime
    by: int


@dataclass(frozen=True, slots=True)
class History:
    """Earlier recommendations, and how the count really moved."""

    current: int
    """The count as last seen."""
    asked: int
    """The count as last decided; when it becomes real it counts from `asked_at`, not from when it was seen."""
    asked_at: datetime
    raised_to: Window
    """Wishes, over the window of scaleUp."""
    lowered_to: Window
    """Wishes, over the window of scaleDown."""
    changes: tuple[CountChange, ...] = ()

    @classmethod
    def starting_with(cls, current: int, now: datetime) -> "History":
        """Of a count that nothing is known about but itself."""
        # Just before now, so that with a window of 0 s a recommendation of this very instant is not held by it.
        recommendation = Window().with_value(now - datetime.resolution, current, timedelta())
        return cls(current, current, now, recommendation, recommendation)

    def with_current(self, current: int, behavior: ScalingBehavior, now: datetime) -> "History":
        """Notes a count that is not the one seen before, whoever changed it."""
        longest = max(
            policy.period_seconds for rules in (behavior.scale_up, behavior.scale_down) for policy in rules.policies
        )
        kept = tuple(change for change in self.changes if change.at > now - timedelta(seconds=longest))
        if current != self.current:
            at = self.asked_at if current == self.asked else now
            kept = (*kept, CountChange(at, current - self.current))
        return replace(self, current=current, changes=kept)

    def with_recommendation(self, recommendation: int, behavior: ScalingBehavior, now: datetime) -> "History":
        """Notes what was wished for, before anything held it back."""
        return replace(
            self,
            raised_to=self.raised_to.with_value(now, recommendation, _window(behavior.scale_up)),
            lowered_to=self.lowered_to.with_value(now, recommendation, _window(behavior.scale_down)),
        )

    def with_asked(self, replicas: int, now: datetime) -> "History":
        """Notes what was decided in the end."""
        return self if replicas == self.asked else replace(self, asked=replicas, asked_at=now)

    def stabilized(self, current: int, behavior: ScalingBehavior, now: datetime) -> int:
        """Up to the lowest recommendation of scaleUp's window, down to the highest of scaleDown's, the newest included."""
        lowest = int(self.raised_to.low(now, _window(behavior.scale_up)))
        highest = int(self.lowered_to.high(now, _window(behavior.scale_down)))
        return min(max(current, lowest), highest)

    def rate_limited(self, current: int, recommendation: int, behavior: ScalingBehavior, now: datetime) -> int:
        """As near to `recommendation` as the policies allow; of several, the one that allows most."""
        if recommendation > current:
            limit = max(self._limit(policy, current, 1, now) for policy in behavior.scale_up.policies)
            return min(recommendation, max(limit, current))
        limit = min(self._limit(policy, current, -1, now) for policy in behavior.scale_down.policies)
        return max(recommendation, min(limit, current))

    def _limit(self, policy: ScalingPolicy, current: int, sign: int, now: datetime) -> int:
        """Counted from the count at the start of the policy's period."""
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
