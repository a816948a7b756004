"""Stabilization windows and rate limits of the HorizontalPodAutoscaler, for every policy that uses an HPA.

Source: kubernetes/kubernetes, pkg/controller/podautoscaler/horizontal.go (`stabilizeRecommendationWithBehaviors`,
`convertDesiredReplicasWithBehaviorRate`, `calculateScale{Up,Down}LimitWithScalingRules`) and the defaults in
pkg/apis/autoscaling/v2/defaults.go, in the form they have since 1.24, where additions and removals both count.
"""

import math
from collections import deque
from dataclasses import dataclass
from typing import Final

from chatscale_simulator.policies.windows import INSTANT_S, WindowedMax, WindowedMin


@dataclass(frozen=True, slots=True, kw_only=True)
class RateLimit:
    """The largest change within a period. Of pods and percent, and of several limits, the larger change counts."""

    pods: int = 0
    percent: float = 0.0
    """Of the count at the start of the period."""
    period_s: float = 15.0


@dataclass(frozen=True, slots=True, kw_only=True)
class HpaBehavior:
    """`spec.behavior` and the bounds of an HPA; the defaults are those of Kubernetes."""

    min_replicas: int = 1
    max_replicas: int = 64
    up_stabilization_s: float = 0.0
    up: tuple[RateLimit, ...] = (RateLimit(pods=4, percent=100),)
    down_stabilization_s: float = 300.0
    down: tuple[RateLimit, ...] = (RateLimit(percent=100),)


class Stabilizer:
    """Turns recommendations into replica counts. One object per HPA."""

    def __init__(self, behavior: HpaBehavior) -> None:
        self.behavior: Final = behavior
        self._lowest = WindowedMin(behavior.up_stabilization_s)
        self._highest = WindowedMax(behavior.down_stabilization_s)
        self._longest_s = max(rate.period_s for rate in (*behavior.up, *behavior.down))
        self._changes: deque[tuple[float, int]] = deque()
        self._started = False

    def limit(self, now_s: float, current: int, recommended: int) -> int:
        """Return the count to set now."""
        if not self._started:
            # The controller records the present count first, so that a restart does not scale down for a window.
            self._started = True
            self._lowest.put(now_s, current)
            self._highest.put(now_s, current)
        bounded = self._limit_rate(now_s, current, self._stabilize(now_s, current, recommended))
        if bounded != current:
            self._changes.append((now_s, bounded - current))
        return bounded

    def _stabilize(self, now_s: float, current: int, recommended: int) -> int:
        lowest = int(self._lowest.put(now_s, recommended))
        highest = int(self._highest.put(now_s, recommended))
        return min(max(current, lowest), highest)

    def _limit_rate(self, now_s: float, current: int, recommended: int) -> int:
        rules = self.behavior
        if recommended > current:
            ceiling = current
            for rate in rules.up:
                start = self._at_start_of_period(now_s, current, rate)
                ceiling = max(ceiling, start + rate.pods, math.ceil(start * (1 + rate.percent / 100)))
            return min(recommended, ceiling, rules.max_replicas)
        if recommended < current:
            floor = current
            for rate in rules.down:
                start = self._at_start_of_period(now_s, current, rate)
                floor = min(floor, start - rate.pods, int(start * (1 - rate.percent / 100)))
            return max(recommended, floor, rules.min_replicas)
        return recommended

    def _at_start_of_period(self, now_s: float, current: int, rate: RateLimit) -> int:
        changes, now_s = self._changes, now_s + INSTANT_S
        while changes and changes[0][0] <= now_s - self._longest_s:
            changes.popleft()
        return current - sum(change for at_s, change in changes if at_s > now_s - rate.period_s)
