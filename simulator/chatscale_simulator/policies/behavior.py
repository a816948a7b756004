"""The second half of the HorizontalPodAutoscaler: stabilisation windows and rate limits, shared by all that end in one.

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
class Rate:
    """The most change within a period; of pods and percent the one that allows more, as of several rates."""

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
    up: tuple[Rate, ...] = (Rate(pods=4, percent=100),)
    down_stabilization_s: float = 300.0
    down: tuple[Rate, ...] = (Rate(percent=100),)


class Stabilizer:
    """Turns recommendations into replica counts; one per HPA."""

    def __init__(self, behavior: HpaBehavior) -> None:
        self.behavior: Final = behavior
        self._lowest = WindowedMin(behavior.up_stabilization_s)
        self._highest = WindowedMax(behavior.down_stabilization_s)
        self._longest_s = max(rate.period_s for rate in (*behavior.up, *behavior.down))
        self._changes: deque[tuple[float, int]] = deque()
        self._begun = False

    def settle(self, now_s: float, current: int, wanted: int) -> int:
        """Return the count to set now, given `current` and what the metrics call for."""
        if not self._begun:
            # The controller enters the present count first, so that a restart lowers nothing for a whole window.
            self._begun = True
            self._lowest.put(now_s, current)
            self._highest.put(now_s, current)
        bounded = self._limit(now_s, current, self._stabilize(now_s, current, wanted))
        if bounded != current:
            self._changes.append((now_s, bounded - current))
        return bounded

    def _stabilize(self, now_s: float, current: int, wanted: int) -> int:
        raise_to = int(self._lowest.put(now_s, wanted))
        lower_to = int(self._highest.put(now_s, wanted))
        return min(max(current, raise_to), lower_to)

    def _limit(self, now_s: float, current: int, wanted: int) -> int:
        rules = self.behavior
        if wanted > current:
            ceiling = current
            for rate in rules.up:
                start = self._at_start_of_period(now_s, current, rate)
                ceiling = max(ceiling, start + rate.pods, math.ceil(start * (1 + rate.percent / 100)))
            return min(wanted, ceiling, rules.max_replicas)
        if wanted < current:
            floor = current
            for rate in rules.down:
                start = self._at_start_of_period(now_s, current, rate)
                floor = min(floor, start - rate.pods, int(start * (1 - rate.percent / 100)))
            return max(wanted, floor, rules.min_replicas)
        return wanted

    def _at_start_of_period(self, now_s: float, current: int, rate: Rate) -> int:
        changes, now_s = self._changes, now_s + INSTANT_S
        while changes and changes[0][0] <= now_s - self._longest_s:
            changes.popleft()
        return current - sum(change for at_s, change in changes if at_s > now_s - rate.period_s)
