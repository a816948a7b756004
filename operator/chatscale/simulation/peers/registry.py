"""Every peer by name: as shipped, and the settings that tuning tries.

Equal effort: the main target over 8 geometric values and the main window or delay over 3, 24 settings each. The
values span what the profiles of the comparison can hold, not a range around the shipped value, which is often far
off for an LLM.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Final, Protocol, TypeVar

from chatscale.simulation.peers.aibrix import AibrixApa, AibrixKpa, AibrixSettings
from chatscale.simulation.peers.behavior import Behavior
from chatscale.simulation.peers.dynamo import Dynamo, DynamoSettings, Forecast, OptimizationTarget
from chatscale.simulation.peers.facts import Facts
from chatscale.simulation.peers.hpa import CONCURRENCY, QUEUE, Hpa, HpaMetric, HpaSettings
from chatscale.simulation.peers.keda import Keda, KedaSettings
from chatscale.simulation.peers.knative import Knative, KnativeSettings
from chatscale.simulation.peers.kubeai import KubeAi, KubeAiSettings
from chatscale.simulation.peers.ray_serve import RayServe, RayServeSettings
from chatscale.simulation.peers.static import Static, StaticSettings
from chatscale.simulation.peers.target_tracking import TargetTracking, TargetTrackingSettings
from chatscale.simulation.peers.wva import WvaSettings, WvaV1, WvaV2
from chatscale.simulation.view import Policy

TARGETS: Final = 8
SHIPPED: Final = "shipped"


class _Settings(Protocol):
    """A frozen dataclass with the peer's own period."""

    __dataclass_fields__: ClassVar[dict[str, Any]]

    @property
    def period_s(self) -> float: ...


S = TypeVar("S", bound=_Settings)


@dataclass(frozen=True, slots=True)
class Variant:
    """One peer with one choice of settings. It cannot be pickled: other processes find it by name and label."""

    label: str
    """`shipped`, or what was chosen, e.g. `target=6.3 window=60`."""
    settings: Any
    _make: Callable[[Any, Facts], Policy]

    def build(self, facts: Facts, *, period_s: float | None = None) -> Policy:
        """Make a fresh policy for one run.

        `period_s`: asks it every so many seconds instead of its own period, and lets it know: windows that it
        counts in periods keep their length in seconds.
        """
        settings = self.settings if period_s is None else replace(self.settings, period_s=period_s)
        return self._make(settings, facts)


@dataclass(frozen=True, slots=True)
class Peer:
    """A peer as its makers ship it, and what tuning may choose from."""

    name: str
    shipped: Variant
    tuned: tuple[Variant, ...]

    def variant(self, label: str) -> Variant:
        """Return the one called `label`; KeyError if there is none."""
        return {each.label: each for each in (self.shipped, *self.tuned)}[label]


def geometric(first: float, last: float, count: int = TARGETS) -> tuple[float, ...]:
    """Return `count` values from `first` to `last`, each the same factor larger."""
    factor = (last / first) ** (1 / (count - 1))
    return tuple(first * factor**step for step in range(count))


def _peer(
    name: str,
    make: Callable[[S, Facts], Policy],
    shipped: S,
    *,
    tune: Callable[[float, float], S],
    targets: tuple[float, ...],
    windows: tuple[float, ...],
    second: str = "window",
) -> Peer:
    tuned = tuple(
        Variant(f"target={target:.4g} {second}={window:.4g}", tune(target, window), make)
        for target in targets
        for window in windows
    )
    return Peer(name, Variant(SHIPPED, shipped, make), tuned)


QUEUE_TARGETS: Final = geometric(0.03, 16)
"""Waiting requests a replica."""
CONCURRENCY_TARGETS: Final = geometric(2, 64)
"""Requests in flight a replica: from an idle one to a quarter of its batch slots."""
STABILIZATIONS_S: Final = (60.0, 300.0, 900.0)
WINDOWS_S: Final = (60.0, 180.0, 600.0)
AIBRIX_WINDOWS_S: Final = (30.0, 60.0, 180.0)
WVA_WINDOWS_S: Final = (0.0, 60.0, 240.0)
ONE_WINDOW: Final = (0.0,)
KV_TARGETS: Final = geometric(0.01, 0.5)
"""Of the KV cache: far below one half, for these machines run out of compute long before they run out of cache."""
APA_KV_TARGETS: Final = geometric(0.002, 0.5)
"""Lower: it comes close to the promise only where it asks for nearly every replica."""
MEAN_KV_TARGETS: Final = geometric(0.0001, 0.05)
"""For the rule that divides a mean by the target as if it were a sum."""
STEP_SHARES: Final = geometric(0.01, 0.6)
"""Of a step's tokens and cache."""
SENSITIVITIES: Final = (0.8, 0.9, 0.97)


def _hpa(name: str, shipped: HpaMetric, targets: tuple[float, ...]) -> Peer:
    return _peer(
        name,
        lambda settings, _: Hpa(settings),
        HpaSettings(metrics=(shipped,)),
        tune=lambda target, window: HpaSettings(
            metrics=(replace(shipped, target=target),), behavior=Behavior(down_stabilization_s=window)
        ),
        targets=targets,
        windows=STABILIZATIONS_S,
    )


def _static(name: str, count: Callable[[Facts], int]) -> Peer:
    return _peer(
        name,
        lambda settings, facts: Static(replace(settings, replicas=count(facts))),
        StaticSettings(replicas=1),
        tune=lambda target, _: StaticSettings(replicas=1, scale=target),
        targets=geometric(0.5, 3.0),
        windows=ONE_WINDOW,
    )


def _wva(target: float, window: float, ratio: float) -> WvaSettings:
    """One choice of WVA's settings, for both analyzers.

    `ratio`: how far below its threshold V1 begins to act. Tuning also takes the HPA's tolerance away, which would
    swallow single steps from 11 replicas on, and its rate limit of ten pods in 150 s.
    """
    stabilized = Behavior(up_stabilization_s=window, down_stabilization_s=window)
    return WvaSettings(
        kv_threshold=target,
        kv_spare_trigger=target * ratio,
        interval_s=15.0,
        behavior=stabilized,
        tolerance=0.0,
    )


def _dynamo(name: str, shipped: DynamoSettings) -> Peer:
    """`both` and `load` are tuned by sensitivity, `throughput` by its interval."""
    by_sensitivity = shipped.load

    def tune(target: float, second: float) -> DynamoSettings:
        chosen = replace(shipped, itl_step_share=target, reselect=True, optimization_target=OptimizationTarget.SLA)
        if by_sensitivity:
            return replace(chosen, down_sensitivity=second)
        return replace(chosen, throughput_interval_s=second)

    return _peer(
        name,
        lambda settings, facts: Dynamo(facts, settings),
        shipped,
        tune=tune,
        targets=STEP_SHARES,
        windows=SENSITIVITIES if by_sensitivity else (60.0, 180.0, 300.0),
        second="sensitivity" if by_sensitivity else "window",
    )


def _peers() -> Iterator[Peer]:
    yield _static("static-peak", lambda facts: facts.peak_replicas)
    yield _static("static-mean", lambda facts: facts.mean_replicas)
    yield _hpa("hpa-queue", HpaMetric(QUEUE, 5.0), QUEUE_TARGETS)
    yield _hpa("hpa-concurrency", HpaMetric(CONCURRENCY, 100.0), CONCURRENCY_TARGETS)
    yield _peer(
        "keda-queue",
        lambda settings, _: Keda(settings),
        KedaSettings(),
        # Tuned without the idle count, which takes all replicas away six minutes after a queue, whatever runs.
        tune=lambda target, window: KedaSettings(
            threshold=target, cooldown_s=None, behavior=Behavior(down_stabilization_s=window)
        ),
        targets=QUEUE_TARGETS,
        windows=STABILIZATIONS_S,
    )
    yield _peer(
        "knative-kpa",
        lambda settings, _: Knative(settings),
        KnativeSettings(),
        tune=lambda target, window: KnativeSettings(target=target, stable_window_s=window),
        targets=CONCURRENCY_TARGETS,
        windows=WINDOWS_S,
    )
    # Tuned without the cooldown that takes the smallest wish: it can only harm.
    yield _peer(
        "aibrix-apa",
        lambda settings, _: AibrixApa(settings),
        AibrixSettings(),
        tune=lambda target, window: AibrixSettings(target=target, stable_window_s=window, scale_down_cooldown_s=0.0),
        targets=APA_KV_TARGETS,
        windows=AIBRIX_WINDOWS_S,
    )
    yield _peer(
        "aibrix-kpa",
        lambda settings, _: AibrixKpa(settings),
        AibrixSettings(),
        tune=lambda target, window: AibrixSettings(target=target, stable_window_s=window, scale_down_cooldown_s=0.0),
        targets=MEAN_KV_TARGETS,
        windows=AIBRIX_WINDOWS_S,
    )
    yield _peer(
        "wva-v1",
        lambda settings, _: WvaV1(settings),
        WvaSettings(),
        tune=lambda target, window: _wva(target, window, 0.125),
        targets=KV_TARGETS,
        windows=WVA_WINDOWS_S,
    )
    yield _peer(
        "wva-v2",
        lambda settings, facts: WvaV2(facts, settings),
        WvaSettings(),
        tune=lambda target, window: replace(
            _wva(0.8, window, 0.125), scale_up_threshold=target, scale_down_boundary=target * 0.70 / 0.85
        ),
        targets=geometric(0.03, 0.95),
        windows=WVA_WINDOWS_S,
    )
    yield _dynamo("dynamo-throughput-kalman", DynamoSettings(forecast=Forecast.KALMAN))
    yield _dynamo("dynamo-throughput-arima", DynamoSettings(forecast=Forecast.ARIMA))
    # What it ships: no forecast, and bounds of KV use instead of targets. Tuning plays it with the targets.
    by_cache = OptimizationTarget.THROUGHPUT
    yield _dynamo("dynamo-load", DynamoSettings(throughput=False, load=True, optimization_target=by_cache))
    yield _dynamo("dynamo-both", DynamoSettings(load=True))
    yield _peer(
        "kubeai",
        lambda settings, _: KubeAi(settings),
        KubeAiSettings(),
        tune=lambda target, window: KubeAiSettings(target_requests=target, time_window_s=window),
        targets=CONCURRENCY_TARGETS,
        windows=WINDOWS_S,
    )
    yield _peer(
        "ray-serve",
        lambda settings, _: RayServe(settings),
        RayServeSettings(),
        tune=lambda target, window: RayServeSettings(target_ongoing_requests=target, downscale_delay_s=window),
        targets=CONCURRENCY_TARGETS,
        windows=WINDOWS_S,
    )
    yield _peer(
        "target-tracking",
        lambda settings, _: TargetTracking(settings),
        TargetTrackingSettings(),
        tune=lambda target, window: TargetTrackingSettings(target=target, low_s=window),
        targets=CONCURRENCY_TARGETS,
        windows=(60.0, 300.0, 900.0),
    )


PEERS: Final[dict[str, Peer]] = {peer.name: peer for peer in _peers()}
"""In the order of the tables."""
