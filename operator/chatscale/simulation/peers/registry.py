"""Every peer by name: as shipped, and the settings that tuning tries.

Equal effort: the main target over 8 geometric values and the main window or delay over 3, 24 settings each. The
values span what the profiles of the comparison can hold, not a range around the shipped value, which is often far
off for an LLM.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Final, Protocol, TypeVar

from chatscale.simulation.peers.behavior import Behavior
from chatscale.simulation.peers.facts import Facts
from chatscale.simulation.peers.hpa import CONCURRENCY, QUEUE, Hpa, HpaSettings
from chatscale.simulation.peers.keda import Keda, KedaSettings
from chatscale.simulation.peers.knative import Knative, KnativeSettings
from chatscale.simulation.peers.kubeai import KubeAi, KubeAiSettings
from chatscale.simulation.peers.ray_serve import RayServe, RayServeSettings
from chatscale.simulation.peers.static import Static, StaticSettings
from chatscale.simulation.peers.target_tracking import TargetTracking, TargetTrackingSettings
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
    """One peer with one choice of settings."""

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
) -> Peer:
    tuned = tuple(
        Variant(f"target={target:.4g} window={window:.4g}", tune(target, window), make)
        for target in targets
        for window in windows
    )
    return Peer(name, Variant(SHIPPED, shipped, make), tuned)


QUEUE_TARGETS: Final = geometric(0.5, 64)
"""Waiting requests a replica."""
CONCURRENCY_TARGETS: Final = geometric(4, 128)
"""Requests in flight a replica: from an idle one to half its batch slots."""
STABILIZATIONS_S: Final = (60.0, 300.0, 900.0)
WINDOWS_S: Final = (60.0, 180.0, 600.0)
ONE_WINDOW: Final = (0.0,)


def _hpa(name: str, shipped: HpaSettings, targets: tuple[float, ...]) -> Peer:
    return _peer(
        name,
        lambda settings, _: Hpa(settings),
        shipped,
        tune=lambda target, window: replace(shipped, target=target, behavior=Behavior(down_stabilization_s=window)),
        targets=targets,
        windows=STABILIZATIONS_S,
    )


def _static(name: str, count: Callable[[Facts], int]) -> Peer:
    return _peer(
        name,
        lambda settings, facts: Static(replace(settings, replicas=count(facts))),
        StaticSettings(replicas=1),
        tune=lambda target, _: StaticSettings(replicas=1, scale=target),
        targets=geometric(0.5, 2.0),
        windows=ONE_WINDOW,
    )


def _peers() -> Iterator[Peer]:
    yield _static("static-peak", lambda facts: facts.peak_replicas)
    yield _static("static-mean", lambda facts: facts.mean_replicas)
    yield _hpa("hpa-queue", HpaSettings(columns=QUEUE, target=5.0), QUEUE_TARGETS)
    yield _hpa("hpa-concurrency", HpaSettings(columns=CONCURRENCY, target=100.0), CONCURRENCY_TARGETS)
    yield _peer(
        "keda-queue",
        lambda settings, _: Keda(settings),
        KedaSettings(),
        tune=lambda target, window: KedaSettings(threshold=target, behavior=Behavior(down_stabilization_s=window)),
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
