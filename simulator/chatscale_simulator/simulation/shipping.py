"""The policy that ships, as a simulated run asks it: `scaling.policy.decide` itself, on observations made of views."""

from datetime import UTC, datetime, timedelta
from typing import Final

from chatscale.api.v1alpha1 import AutoscalingSpec, MetricSource, SourceType
from chatscale.scaling.floor import floor_at
from chatscale.scaling.policy import decide
from chatscale.scaling.reserve import Reserve
from chatscale.scaling.signals import Observation, Replica, ReplicaPhase, ReplicaSample, WorkCounters
from chatscale.scaling.state import ScalerState
from chatscale_simulator.simulation.run import SCRAPE_EVERY_S
from chatscale_simulator.simulation.view import Column, Policy, View

STARTS_AT: Final = datetime(2026, 1, 1, tzinfo=UTC)
"""The wall clock at second 0 of a run; any will do where no event is announced."""


class Shipping:
    """The operator's own decisions, one model's state carried from one to the next."""

    def __init__(
        self,
        spec: AutoscalingSpec,
        max_concurrency: int,
        period_s: float | None = None,
        starts_at: datetime = STARTS_AT,
    ) -> None:
        """Take over a spec.

        period_s: instead of the spec's interval, where all policies act equally often. starts_at: the wall clock at
        second 0, by which announced events are due. Aware.
        """
        self.period_s = float(spec.source.interval_seconds) if period_s is None else period_s
        self.direct = spec.source.type is SourceType.POD_SCRAPE
        """It reads the pods itself, right before it decides."""
        self._spec, self._slots, self._starts_at = spec, max_concurrency, starts_at
        self._state: ScalerState | None = None
        self.reason = ""
        """The sentence of the last decision."""

    @property
    def least_at_start(self) -> int:
        """What `minReplicas` or an event asks for at second 0, before any cold start was measured."""
        return floor_at(self._spec, Reserve().cold_start_s, self._starts_at).replicas

    def decide(self, view: View) -> int:
        """Return the replicas wanted now."""
        now = self._at(view.now_s)
        state = self._state or ScalerState.rebuilt(view.desired, now)
        decision = decide(self._spec, self._slots, view.desired, self._observe(view), state, now)
        self._state, self.reason = decision.next_state, decision.message
        return decision.replicas

    def _observe(self, view: View) -> Observation:
        """What the operator would have in hand: every ready pod with its newest sample, and pods that start."""
        ready = [
            Replica(
                name=f"pod-{view.pods[row]}",
                phase=ReplicaPhase.READY,
                since=self._at(float(view.ready_since_s[row])),
                sample=self._sample(view, row),
                created=self._at(float(view.created_s[row])),
            )
            for row in range(view.ready)
        ]
        starting = [
            Replica(
                name=f"starting-{at}",
                phase=ReplicaPhase.STARTING,
                since=self._at(float(since_s)),
                created=self._at(float(since_s)),
            )
            for at, since_s in enumerate(view.starting_since_s)
        ]
        return Observation(self._at(view.now_s), (*ready, *starting))

    def _sample(self, view: View, row: int) -> ReplicaSample | None:
        if not view.fresh[row] and view.age_s[row] > view.now_s:
            return None  # Never scraped.
        values = view.samples[row]
        return ReplicaSample(
            taken_at=self._at(view.now_s - float(view.age_s[row])),
            queue_depth=int(values[Column.WAITING]),
            running=int(values[Column.RUNNING]),
            slots=view.max_sequences,
            kv_cache_usage_ratio=float(values[Column.KV_TOKENS]) / view.kv_capacity_tokens,
            rejected_total=float(values[Column.REJECTED]),
            work=WorkCounters(
                max_tokens_per_second=view.max_tokens_per_second,
                prompt_tokens=float(values[Column.PROMPT_TOKENS]),
                generated_tokens=float(values[Column.GENERATED_TOKENS]),
                finished=float(values[Column.FINISHED]),
                slo_misses=float(values[Column.TTFT_SLOW] + values[Column.TPOT_SLOW]),
            ),
        )

    def _at(self, seconds: float) -> datetime:
        return self._starts_at + timedelta(seconds=seconds)


def as_scraped(spec: AutoscalingSpec) -> AutoscalingSpec:
    """The spec as the equal track plays it, where a sample is up to 15 s old, or 30 s if a scrape was lost.

    Pods that the operator reads itself count as unread after three of its own intervals, or 10 s.
    """
    if spec.source.type is SourceType.PROMETHEUS:
        return spec
    source = MetricSource(
        type=SourceType.PROMETHEUS, prometheus_url="http://prometheus", interval_seconds=int(SCRAPE_EVERY_S)
    )
    return spec.model_copy(update={"source": source})


def least_at_start(policy: Policy) -> int:
    """Replicas that an announcement has made ready by second 0; 0 for a policy that is told of none."""
    return policy.least_at_start if isinstance(policy, Shipping) else 0
