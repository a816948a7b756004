"""AIBrix: two policies on KV cache use, an application-specific one (APA) and one that follows Knative (KPA)."""

import math
from dataclasses import dataclass
from typing import Final

from typing_extensions import override

from chatscale_simulator.policies.windows import WindowedMean, WindowedMin
from chatscale_simulator.simulation.snapshot import Column, MetricsSnapshot

BUCKET_S: Final = 1.0
"""Granularity of its windows. The bucket at the edge is part of the window."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AibrixSettings:
    """A PodAutoscaler on `gpu_cache_usage_perc`; defaults of the controller, target of its own benchmark."""

    target: float = 0.5
    """Share of the KV cache, 0 to 1."""
    stable_window_s: float = 180.0
    panic_window_s: float = 60.0
    max_scale_up_rate: float = 2.0
    max_scale_down_rate: float = 2.0
    up_tolerance: float = 0.1
    down_tolerance: float = 0.1
    panic_threshold: float = 2.0
    scale_down_cooldown_s: float = 300.0
    period_s: float = 10.0
    min_replicas: int = 1
    max_replicas: int = 64


class _Cooldown:
    """`stabilizeRecommendation`: scale down to the smallest recommendation of the window; an HPA uses the largest."""

    def __init__(self, window_s: float) -> None:
        self._smallest = WindowedMin(window_s)

    def limit(self, now_s: float, current: int, recommended: int) -> int:
        smallest = int(self._smallest.put(now_s, recommended))
        return smallest if recommended < current else recommended


class _Aibrix:
    """Common to both policies: KV cache use per pod in two windows, bounds, cooldown."""

    reads_live = True

    def __init__(self, settings: AibrixSettings | None = None) -> None:
        self.settings: Final = settings or AibrixSettings()
        self.period_s = self.settings.period_s
        self._stable = WindowedMean(self.settings.stable_window_s + BUCKET_S / 2)
        self._panic = WindowedMean(self.settings.panic_window_s + BUCKET_S / 2)
        self._cooldown = _Cooldown(self.settings.scale_down_cooldown_s)

    def decide(self, snapshot: MetricsSnapshot) -> int:
        """Return the recommended replica count."""
        if snapshot.has_no_data:
            return snapshot.desired
        use = snapshot.total(Column.KV_TOKENS) / (int(snapshot.fresh.sum()) * snapshot.kv_capacity_tokens)
        stable, panic = self._stable.put(snapshot.now_s, use), self._panic.put(snapshot.now_s, use)
        recommended = self._bounded(self._recommended(snapshot.desired, stable, panic))
        return self._bounded(self._cooldown.limit(snapshot.now_s, snapshot.desired, recommended))

    def _bounded(self, replicas: int) -> int:
        return min(max(replicas, self.settings.min_replicas), self.settings.max_replicas)

    def _recommended(self, current: int, stable: float, panic: float) -> int:
        raise NotImplementedError


class AibrixApa(_Aibrix):
    """AIBrix's APA: in proportion to KV use per pod, at most doubling or halving.

    Source: vllm-project/aibrix at e3e10f9, pkg/controller/podautoscaler/{algorithm/apa.go,context/context.go,
    metrics/client.go,podautoscaler_controller.go}. It reads the pods itself every 10 s; without a reading the
    count stays. As shipped, the cooldown for scale down takes the smallest recommendation of the last 300 s.
    The tolerances and the window of its benchmark (0.1 / 0.2, 30 s) are not used, the defaults are.
    """

    @override
    def _recommended(self, current: int, stable: float, panic: float) -> int:
        settings = self.settings
        ratio = stable / settings.target
        if ratio > 1 + settings.up_tolerance:
            return min(math.ceil(current * ratio), math.ceil(settings.max_scale_up_rate * current))
        if ratio < 1 - settings.down_tolerance:
            return max(math.ceil(current * ratio), math.floor(current / settings.max_scale_down_rate))
        return current


class AibrixKpa(_Aibrix):
    """AIBrix's KPA: Knative's algorithm with a tolerance, and the bugs of this revision.

    Source: vllm-project/aibrix at e3e10f9, algorithm/kpa.go and the files named at `AibrixApa`. As shipped:
    the windows hold the mean KV use per pod, and the rule divides that mean by the target as if it were the sum, so
    that a target of 0.5 gives one or two replicas at any load; panic mode begins when the panic window is above twice
    the stable one (or that is 0), not by comparison with the capacity; it holds no peak, because `SetMaxPanicPods`
    does nothing; the cooldown takes the smallest recommendation.
    """

    @override
    def _recommended(self, current: int, stable: float, panic: float) -> int:
        panicking = stable <= 0 or panic / stable > self.settings.panic_threshold
        for_stable = self._clamped(current, stable)
        return max(for_stable, self._clamped(current, panic)) if panicking else for_stable

    def _clamped(self, current: int, value: float) -> int:
        settings = self.settings
        high, low = settings.target * (1 + settings.up_tolerance), settings.target * (1 - settings.down_tolerance)
        pods = math.ceil(value / settings.target) if value > high or value < low else current
        most = max(1, math.ceil(settings.max_scale_up_rate * current))
        return min(max(pods, math.floor(current / settings.max_scale_down_rate)), most)
