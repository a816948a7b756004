"""Knative's pod autoscaler on concurrency: a stable window, and a panic window for bursts."""

import math
from dataclasses import dataclass
from typing import Final

from chatscale_simulator.policies.windows import INSTANT_S, WindowedMax, WindowedMean
from chatscale_simulator.simulation.snapshot import Column, MetricsSnapshot


@dataclass(frozen=True, slots=True, kw_only=True)
class KnativeSettings:
    """`config-autoscaler`, as shipped."""

    target: float = 70.0
    """Requests in flight per replica: 70 % of `container-concurrency-target-default` 100."""
    stable_window_s: float = 60.0
    panic_window_percent: float = 10.0
    panic_threshold: float = 2.0
    """200 %: panic mode begins when the panic window recommends this many times the ready replicas."""
    max_scale_up_rate: float = 1000.0
    max_scale_down_rate: float = 2.0
    scale_down_delay_s: float = 0.0
    period_s: float = 2.0


class Knative:
    """Knative's KPA.

    Source: knative/serving at 98e5ef9, pkg/autoscaler/scaling/autoscaler.go, pkg/autoscaler/config/config.go.
    Requests in flight come from its own queue-proxies and activator, not from Prometheus. Without data the count
    stays. A new autoscaler with more than one pod starts in panic mode and holds that count.
    Simplified: the windows average one reading per tick instead of one per second; no scale to zero, hence neither
    activation scale nor burst capacity (which moves the activator, not the count).
    """

    reads_live = True

    def __init__(self, settings: KnativeSettings | None = None) -> None:
        self.settings: Final = settings or KnativeSettings()
        self.period_s = self.settings.period_s
        stable_s = self.settings.stable_window_s
        self._stable = WindowedMean(stable_s)
        self._panic = WindowedMean(stable_s * self.settings.panic_window_percent / 100)
        self._delayed = WindowedMax(self.settings.scale_down_delay_s)
        self._panicked_s: float | None = None
        self._most_in_panic = 0
        self._started = False

    def decide(self, snapshot: MetricsSnapshot) -> int:
        """Return the recommended replica count."""
        self._start(snapshot)
        if snapshot.has_no_data:
            return snapshot.desired
        settings = self.settings
        in_flight = snapshot.total(Column.WAITING) + snapshot.total(Column.RUNNING)
        ready = max(1, snapshot.ready)
        for_stable = math.ceil(self._stable.put(snapshot.now_s, in_flight) / settings.target)
        for_panic = math.ceil(self._panic.put(snapshot.now_s, in_flight) / settings.target)
        self._update_panic(snapshot.now_s, panicking=for_panic / ready >= settings.panic_threshold)
        most = math.ceil(settings.max_scale_up_rate * ready)
        least = math.floor(ready / settings.max_scale_down_rate)
        recommended = min(max(for_stable, least), most)
        if self._panicked_s is not None:
            self._most_in_panic = max(self._most_in_panic, recommended, min(max(for_panic, least), most))
            recommended = self._most_in_panic
        return int(self._delayed.put(snapshot.now_s, recommended))

    def _start(self, snapshot: MetricsSnapshot) -> None:
        if self._started:
            return
        self._started = True
        if snapshot.ready > 1:
            self._panicked_s = snapshot.now_s
            self._most_in_panic = snapshot.ready

    def _update_panic(self, now_s: float, *, panicking: bool) -> None:
        if panicking:
            self._panicked_s = now_s
        elif self._panicked_s is not None and now_s - self._panicked_s > self.settings.stable_window_s + INSTANT_S:
            self._panicked_s = None
            self._most_in_panic = 0
