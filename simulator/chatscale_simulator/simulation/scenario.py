"""The settings of a run: everything but its workload and its policy."""

import math
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

import numpy as np

from chatscale.api.v1alpha1.routing import HoldSpec
from chatscale_gateway.routing.shares import place_cap
from chatscale_simulator.simulation import fleet
from chatscale_simulator.simulation.profiles import SERVERS, ServerProfile, SloTarget, base_seconds


class ColdStart(StrEnum):
    """How long a new replica takes from its creation until it is ready."""

    FAST = "fast"
    CACHED = "cached"
    COLD = "cold"


class Track(StrEnum):
    """Which signals the policies get."""

    EQUAL = "equal"
    """The same 15 s scrape and a decision every 15 s for all policies."""
    NATIVE = "native"
    """Each policy's own interval and source of metrics."""


class Routing(StrEnum):
    """How requests reach the replicas."""

    GATEWAY = "gateway"
    """Through Chatscale's gateway: the replica with the fewest requests, and a queue for what no replica has a place
    for. The policy gets the gateway's signals."""
    SERVICE = "service"
    """Through a Service: a random ready replica, and queues in the replicas."""
    LEAST_LOADED = "least-loaded"
    """Through a load balancer that counts requests and holds none: the replica with the fewest, and queues there."""


_ROUTING: Final = {
    Routing.GATEWAY: fleet.GATEWAY, Routing.SERVICE: fleet.SERVICE, Routing.LEAST_LOADED: fleet.LEAST_LOADED
}  # fmt: skip
GATEWAYS: Final = 2
"""Gateway pods of a chart install. Each applies the limits of the hold by itself."""
SCRAPE_INTERVAL_S: Final = 15.0
SCRAPE_LOSS: Final = 0.02
"""Share of scrapes that fail."""
OUTAGE_S: Final = 120.0
"""Once in a run every scrape fails for this long."""
SCHEDULING_S: Final = 2.0
"""From the creation of a pod until it is on a node."""
COLD_STARTS: Final = {ColdStart.FAST: (30.0, 45.0), ColdStart.CACHED: (80.0, 130.0), ColdStart.COLD: (295.0, 420.0)}
"""Median and 95th percentile, in seconds, of a lognormal distribution."""
_Z95: Final = 1.6448536269514722
"""The 95th percentile of the standard normal distribution."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """The cluster, the metrics path and the SLO of a run."""

    profile: str = "M"
    """A key of SERVERS."""
    cold_start: ColdStart = ColdStart.CACHED
    track: Track = Track.EQUAL
    seed: int = 0
    min_replicas: int = 1
    max_replicas: int = 64
    initial_replicas: int = 1
    slo: SloTarget = field(default_factory=SloTarget)
    scrape_loss: float = SCRAPE_LOSS
    outage: bool = True
    routing: Routing = Routing.LEAST_LOADED
    hold: HoldSpec = field(default_factory=HoldSpec)
    """`spec.routing.hold`, with a gateway. All requests count as streamed."""
    scale_to_zero: bool = False
    """Whether the policy may go below `min_replicas`, to 0."""
    startup_s: float | None = None
    """Seconds from creation to ready of every pod, instead of a draw from `cold_start`."""
    server: ServerProfile | None = None
    """Replaces the server of the profile; for validation."""

    @property
    def replica(self) -> ServerProfile:
        """The server that each replica runs."""
        return self.server or SERVERS[self.profile]

    def model(self, duration_s: float) -> fleet.Model:
        """The constants of the kernel."""
        server, hold, has_gateway = self.replica, self.hold, self.routing is Routing.GATEWAY
        rng = np.random.default_rng((self.seed, 0x0FF))
        start_s = float(rng.uniform(0.2, 0.8)) * duration_s if self.outage else fleet.FAR_S
        return fleet.Model(
            base_s=base_seconds(server),
            kv_s=server.steps.c3_ms_per_kv_token / 1000,
            kv_capacity=server.steps.kv_tokens,
            tokens_per_step=server.steps.tokens_per_step,
            max_sequences=server.max_sequences,
            max_queue=server.max_queue,
            queue_timeout_s=float(hold.timeout_seconds) if has_gateway else server.queue_timeout_s,
            slow_tpot_s=self.slo.tpot_s,
            scrape_interval_s=SCRAPE_INTERVAL_S,
            scrape_loss=self.scrape_loss,
            outage_start_s=start_s,
            outage_end_s=start_s + OUTAGE_S,
            seed=self.seed,
            routing=_ROUTING[self.routing],
            places=min(place_cap(server.max_sequences), server.max_sequences + server.max_queue),
            hold_requests=hold.max_requests * GATEWAYS,
            hold_bytes=hold.max_bytes * GATEWAYS,
            hold_prompt_tokens=fleet.FULL if hold.max_prompt_tokens is None else hold.max_prompt_tokens * GATEWAYS,
        )

    def cold_start_s(self, pod: int) -> float:
        """Seconds from creation to ready for the pod with this number. The initial replicas are ready at once."""
        if self.startup_s is not None:
            return self.startup_s
        median, p95 = COLD_STARTS[self.cold_start]
        sigma = math.log(p95 / median) / _Z95
        rng = np.random.default_rng((self.seed, 0xC01D, pod))
        return SCHEDULING_S + median * math.exp(sigma * float(rng.standard_normal()))
