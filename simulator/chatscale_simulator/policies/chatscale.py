"""Chatscale's own policy in a simulated run: the operator's `scaling.policy.decide`, on simulated observations."""

from datetime import UTC, datetime, timedelta
from typing import Final

from chatscale.api.v1alpha1 import AutoscalingSpec, MetricSource, SourceType
from chatscale.scaling.cold_start import ColdStarts
from chatscale.scaling.floor import floor_at
from chatscale.scaling.policy import decide
from chatscale.scaling.signals import (
    ClientCounters,
    ClientDemand,
    Observation,
    Replica,
    ReplicaPhase,
    ReplicaSample,
    WorkCounters,
)
from chatscale.scaling.state import ScalerState
from chatscale_simulator.simulation.policy import Policy
from chatscale_simulator.simulation.scenario import GATEWAYS, SCRAPE_INTERVAL_S
from chatscale_simulator.simulation.snapshot import ClientColumn, Column, MetricsSnapshot

DEFAULT_START: Final = datetime(2026, 1, 1, tzinfo=UTC)
"""Wall clock at second 0 of a run. It matters only for announced events."""


class ChatscalePolicy:
    """Calls `decide` and keeps the state of one model between the calls."""

    def __init__(
        self,
        spec: AutoscalingSpec,
        max_concurrency: int,
        period_s: float | None = None,
        starts_at: datetime = DEFAULT_START,
    ) -> None:
        """Follow a spec.

        period_s: replaces the spec's interval where all policies have the same. starts_at: wall clock at second 0,
        for announced events; aware.
        """
        self.period_s = float(spec.source.interval_seconds) if period_s is None else period_s
        self.reads_live = spec.source.type is SourceType.POD_SCRAPE
        """Whether it reads the pods itself, just before it decides."""
        self._spec, self._slots, self._starts_at = spec, max_concurrency, starts_at
        self._state: ScalerState | None = None
        self.last_message = ""
        """The message of the last decision."""

    @property
    def min_replicas_at_start(self) -> int:
        """`minReplicas`, or the count of an event that is active at second 0."""
        return floor_at(self._spec, ColdStarts().until_ready_s, self._starts_at).replicas

    def decide(self, snapshot: MetricsSnapshot) -> int:
        """Return the recommended replica count."""
        now = self._at(snapshot.now_s)
        state = self._state or ScalerState.rebuilt(snapshot.desired, now)
        decision = decide(self._spec, self._slots, snapshot.desired, self.observe(snapshot), state, now)
        self._state, self.last_message = decision.next_state, decision.message
        return decision.replicas

    def observe(self, snapshot: MetricsSnapshot) -> Observation:
        """What the operator would observe: every ready pod with its newest sample, and the starting pods."""
        ready = [
            Replica(
                name=f"pod-{snapshot.pods[row]}",
                phase=ReplicaPhase.READY,
                since=self._at(float(snapshot.ready_since_s[row])),
                sample=self._sample(snapshot, row),
                created=self._at(float(snapshot.created_s[row])),
                scheduled=self._at(float(snapshot.created_s[row])),
            )
            for row in range(snapshot.ready)
        ]
        starting = [
            Replica(
                name=f"starting-{at}",
                phase=ReplicaPhase.STARTING,
                since=self._at(float(since_s)),
                created=self._at(float(since_s)),
                scheduled=self._at(float(since_s)),
            )
            for at, since_s in enumerate(snapshot.starting_since_s)
        ]
        return Observation(self._at(snapshot.now_s), (*ready, *starting), self._clients(snapshot))

    def _clients(self, snapshot: MetricsSnapshot) -> ClientDemand | None:
        """The demand that the operator reads from the gateways; None without a gateway."""
        gateway = snapshot.gateway
        if gateway is None:
            return None
        return ClientDemand(
            taken_at=self._at(snapshot.now_s),
            gateways=GATEWAYS,
            is_current=True,
            held=gateway.held,
            held_prompt_tokens=gateway.held_prompt_tokens,
            in_flight=gateway.in_flight,
            oldest_held_s=gateway.oldest_held_s,
            counters=ClientCounters(**{column.name.lower(): int(gateway.counters[column]) for column in ClientColumn}),
        )

    def _sample(self, snapshot: MetricsSnapshot, row: int) -> ReplicaSample | None:
        if not snapshot.fresh[row] and snapshot.age_s[row] > snapshot.now_s:
            return None  # Never scraped.
        values = snapshot.samples[row]
        return ReplicaSample(
            taken_at=self._at(snapshot.now_s - float(snapshot.age_s[row])),
            queue_depth=int(values[Column.WAITING]),
            running=int(values[Column.RUNNING]),
            slots=snapshot.max_sequences,
            kv_cache_usage_ratio=float(values[Column.KV_TOKENS]) / snapshot.kv_capacity_tokens,
            rejected_total=float(values[Column.REJECTED]),
            work=WorkCounters(
                max_tokens_per_second=snapshot.max_tokens_per_second,
                prompt_tokens=float(values[Column.PROMPT_TOKENS]),
                generated_tokens=float(values[Column.GENERATED_TOKENS]),
                finished=float(values[Column.FINISHED]),
                slo_misses=float(values[Column.TTFT_SLOW] + values[Column.TPOT_SLOW]),
                max_tokens_per_step=snapshot.max_tokens_per_step or None,
                decode_step_s=snapshot.decode_step_s or None,
            ),
        )

    def _at(self, seconds: float) -> datetime:
        return self._starts_at + timedelta(seconds=seconds)


def with_prometheus_source(spec: AutoscalingSpec) -> AutoscalingSpec:
    """The spec for the equal track, where a sample is up to 15 s old, or 30 s after a failed scrape.

    With the source PodScrape such samples would count as missing: their age limit is three intervals, or 10 s.
    """
    if spec.source.type is SourceType.PROMETHEUS:
        return spec
    source = MetricSource(
        type=SourceType.PROMETHEUS, prometheus_url="http://prometheus", interval_seconds=int(SCRAPE_INTERVAL_S)
    )
    return spec.model_copy(update={"source": source})


def min_replicas_at_start(policy: Policy) -> int:
    """Replicas that an announced event has made ready by second 0; 0 for a policy without events."""
    return policy.min_replicas_at_start if isinstance(policy, ChatscalePolicy) else 0
