"""Every peer of the comparison by name, with its shipped settings and the settings that tuning tries.

The effort is equal: 8 geometric values of the main target times 3 of the main window or delay, 24 settings each. The
values cover the range of the two profiles, not a range around the shipped value, which is often far off for an LLM.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Final

from chatscale_simulator.policies.behavior import HpaBehavior
from chatscale_simulator.policies.hpa import CONCURRENCY, QUEUE, HpaMetric, HpaSettings
from chatscale_simulator.policies.keda import KedaSettings
from chatscale_simulator.policies.knative import KnativeSettings
from chatscale_simulator.policies.kubeai import KubeAiSettings
from chatscale_simulator.policies.registry import POLICIES, KnownPolicy, Registry, Variant, known
from chatscale_simulator.policies.static import StaticSettings
from tests.benchmarks.autoscaling.peers.aibrix import AibrixApa, AibrixKpa, AibrixSettings
from tests.benchmarks.autoscaling.peers.dynamo import Dynamo, DynamoSettings, Forecast, OptimizationTarget
from tests.benchmarks.autoscaling.peers.ray_serve import RayServe, RayServeSettings
from tests.benchmarks.autoscaling.peers.target_tracking import TargetTracking, TargetTrackingSettings
from tests.benchmarks.autoscaling.peers.wva import WvaSettings, WvaV1, WvaV2

TARGETS: Final = 8


def geometric(first: float, last: float, count: int = TARGETS) -> tuple[float, ...]:
    """Return `count` values from `first` to `last`, each the same factor larger."""
    factor = (last / first) ** (1 / (count - 1))
    return tuple(first * factor**step for step in range(count))


@dataclass(frozen=True, slots=True)
class Grid:
    """The settings that tuning tries for one peer."""

    tune: Callable[[float, float], Any]
    """From a target and a window to settings."""
    targets: tuple[float, ...]
    windows: tuple[float, ...]
    second: str = "window"
    """Name of the second value in a label."""

    def around(self, policy: KnownPolicy) -> KnownPolicy:
        """The policy with every setting of the grid."""
        others = tuple(
            Variant(f"target={target:.4g} {self.second}={window:.4g}", self.tune(target, window), policy.shipped.make)
            for target in self.targets
            for window in self.windows
        )
        return replace(policy, others=others)


QUEUE_TARGETS: Final = geometric(0.03, 16)
"""Waiting requests per replica."""
CONCURRENCY_TARGETS: Final = geometric(2, 64)
"""Requests in flight per replica, up to a quarter of its batch slots."""
STABILIZATIONS_S: Final = (60.0, 300.0, 900.0)
WINDOWS_S: Final = (60.0, 180.0, 600.0)
AIBRIX_WINDOWS_S: Final = (30.0, 60.0, 180.0)
WVA_WINDOWS_S: Final = (0.0, 60.0, 240.0)
ONE_WINDOW: Final = (0.0,)
KV_TARGETS: Final = geometric(0.01, 0.5)
"""Share of the KV cache: far below one half, because compute is the bottleneck long before the cache."""
APA_KV_TARGETS: Final = geometric(0.002, 0.5)
"""Lower: it comes close to the objective only with nearly all replicas."""
MEAN_KV_TARGETS: Final = geometric(0.0001, 0.05)
"""For the policy that divides a mean by the target as if it were a sum."""
STEP_SHARES: Final = geometric(0.01, 0.6)
"""Share of the tokens and the cache of a step."""
SENSITIVITIES: Final = (0.8, 0.9, 0.97)


FIXED: Final = Grid(
    tune=lambda target, _: StaticSettings(replicas=1, scale=target),
    targets=geometric(0.5, 3.0),
    windows=ONE_WINDOW,
)


def _hpa(columns: Any, targets: tuple[float, ...]) -> Grid:
    return Grid(
        tune=lambda target, window: HpaSettings(
            metrics=(HpaMetric(columns, target),), behavior=HpaBehavior(down_stabilization_s=window)
        ),
        targets=targets,
        windows=STABILIZATIONS_S,
    )


def _wva(target: float, window: float, ratio: float) -> WvaSettings:
    """One choice of WVA's settings, for both analyzers.

    `ratio`: how far below its threshold V1 begins to scale up. Tuning also removes the tolerance of the HPA, which
    ignores single steps from 11 replicas on, and its rate limit of ten pods in 150 s.
    """
    stabilized = HpaBehavior(up_stabilization_s=window, down_stabilization_s=window)
    return WvaSettings(
        kv_threshold=target,
        kv_spare_trigger=target * ratio,
        interval_s=15.0,
        behavior=stabilized,
        tolerance=0.0,
    )


def _dynamo(shipped: DynamoSettings) -> Grid:
    """`both` and `load` are tuned by sensitivity, `throughput` by its interval."""
    by_sensitivity = shipped.load

    def tune(target: float, second: float) -> DynamoSettings:
        chosen = replace(shipped, itl_step_share=target, reselect=True, optimization_target=OptimizationTarget.SLA)
        if by_sensitivity:
            return replace(chosen, down_sensitivity=second)
        return replace(chosen, throughput_interval_s=second)

    return Grid(
        tune=tune,
        targets=STEP_SHARES,
        windows=SENSITIVITIES if by_sensitivity else (60.0, 180.0, 300.0),
        second="sensitivity" if by_sensitivity else "window",
    )


def _dynamos() -> Iterator[KnownPolicy]:
    by_cache = OptimizationTarget.THROUGHPUT
    for name, shipped in (
        ("dynamo-throughput-kalman", DynamoSettings(forecast=Forecast.KALMAN)),
        ("dynamo-throughput-arima", DynamoSettings(forecast=Forecast.ARIMA)),
        # As shipped: no forecast, and bounds of KV use instead of targets. Tuning uses the targets.
        ("dynamo-load", DynamoSettings(throughput=False, load=True, optimization_target=by_cache)),
        ("dynamo-both", DynamoSettings(load=True)),
    ):
        peer = known(name, lambda settings, context: Dynamo(context, settings), shipped)
        yield _dynamo(shipped).around(peer)


KNOWN_GRIDS: Final[dict[str, Grid]] = {
    "static-peak": FIXED,
    "static-mean": FIXED,
    "hpa-queue": _hpa(QUEUE, QUEUE_TARGETS),
    "hpa-concurrency": _hpa(CONCURRENCY, CONCURRENCY_TARGETS),
    # Tuned without the idle count, which removes all replicas six minutes after a queue, even if requests run.
    "keda-queue": Grid(
        tune=lambda target, window: KedaSettings(
            threshold=target, cooldown_s=None, behavior=HpaBehavior(down_stabilization_s=window)
        ),
        targets=QUEUE_TARGETS,
        windows=STABILIZATIONS_S,
    ),
    "knative-kpa": Grid(
        tune=lambda target, window: KnativeSettings(target=target, stable_window_s=window),
        targets=CONCURRENCY_TARGETS,
        windows=WINDOWS_S,
    ),
    "kubeai": Grid(
        tune=lambda target, window: KubeAiSettings(target_requests=target, time_window_s=window),
        targets=CONCURRENCY_TARGETS,
        windows=WINDOWS_S,
    ),
}
"""For the policies of `chatscale simulate`."""


def _aibrix(targets: tuple[float, ...]) -> Grid:
    """Tuned without the cooldown that takes the smallest recommendation, which can only do harm."""
    return Grid(
        tune=lambda target, window: AibrixSettings(target=target, stable_window_s=window, scale_down_cooldown_s=0.0),
        targets=targets,
        windows=AIBRIX_WINDOWS_S,
    )


def _peers() -> Iterator[KnownPolicy]:
    tuned = {name: grid.around(POLICIES[name]) for name, grid in KNOWN_GRIDS.items()}
    kubeai = tuned.pop("kubeai")
    yield from tuned.values()
    yield _aibrix(APA_KV_TARGETS).around(known("aibrix-apa", lambda settings, _: AibrixApa(settings), AibrixSettings()))
    yield _aibrix(MEAN_KV_TARGETS).around(
        known("aibrix-kpa", lambda settings, _: AibrixKpa(settings), AibrixSettings())
    )
    yield Grid(
        tune=lambda target, window: _wva(target, window, 0.125), targets=KV_TARGETS, windows=WVA_WINDOWS_S
    ).around(known("wva-v1", lambda settings, _: WvaV1(settings), WvaSettings()))
    yield Grid(
        tune=lambda target, window: replace(
            _wva(0.8, window, 0.125), scale_up_threshold=target, scale_down_boundary=target * 0.70 / 0.85
        ),
        targets=geometric(0.03, 0.95),
        windows=WVA_WINDOWS_S,
    ).around(known("wva-v2", lambda settings, context: WvaV2(context, settings), WvaSettings()))
    yield from _dynamos()
    yield kubeai
    yield Grid(
        tune=lambda target, window: RayServeSettings(target_ongoing_requests=target, downscale_delay_s=window),
        targets=CONCURRENCY_TARGETS,
        windows=WINDOWS_S,
    ).around(known("ray-serve", lambda settings, _: RayServe(settings), RayServeSettings()))
    yield Grid(
        tune=lambda target, window: TargetTrackingSettings(target=target, low_s=window),
        targets=CONCURRENCY_TARGETS,
        windows=(60.0, 300.0, 900.0),
    ).around(known("target-tracking", lambda settings, _: TargetTracking(settings), TargetTrackingSettings()))


PEERS: Final[Registry] = {peer.name: peer for peer in _peers()}
"""In the order of the tables."""
