"""What the policy remembers of one ChatModel between two decisions. Small, immutable, lost on a restart."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Self

from chatscale.api.v1alpha1 import AutoscalingSpec, AutoscalingStatus, LearnedStatus
from chatscale.scaling.load import Coverage, LoadSummary, Refusals
from chatscale.scaling.reserve import Reserve, learn, learn_start_ups
from chatscale.scaling.signals import Observation, ReplicaPhase
from chatscale.scaling.stabilize import History
from chatscale.scaling.windows import Window
from chatscale.scaling.work import Work, count_work, typical


@dataclass(frozen=True, slots=True)
class Averages:
    """One signal over the calm window and the short one, summed over replicas."""

    stable: Window = field(default_factory=Window)
    short: Window = field(default_factory=Window)

    def with_value(self, at: datetime, value: float, spec: AutoscalingSpec) -> "Averages":
        """Both windows with one more value."""
        return Averages(
            self.stable.with_value(at, value, timedelta(seconds=spec.window_seconds)),
            self.short.with_value(at, value, timedelta(seconds=spec.panic_window_seconds)),
        )


@dataclass(frozen=True, slots=True)
class ScalerState:
    """Carried from one `Decision` into the next call of `decide`."""

    history: History
    counted_at: datetime | None = None
    """`taken_at` of the newest observation in here: deciding twice on one changes nothing."""
    whole_since: datetime | None = None
    """From when on every reading covered every ready replica."""
    failed_readings: int = 0
    """Readings in a row that reached no ready replica."""
    panic_until: datetime | None = None
    active: Averages = field(default_factory=Averages)
    waiting: Averages = field(default_factory=Averages)
    kv_percent: Averages = field(default_factory=Averages)
    refusals: Mapping[str, Refusals] = field(default_factory=lambda: MappingProxyType({}))
    work: Work = field(default_factory=Work)
    """Empty while replicas do not count their work."""
    reserve: Reserve = field(default_factory=Reserve)
    events: frozenset[str] = frozenset()
    """The announced events that counted in the decision before this one."""

    @classmethod
    def rebuilt(cls, current: int, now: datetime, status: AutoscalingStatus | None = None) -> Self:
        """The state of an operator that has just started, or first sees a model with `current` replicas.

        status: as an earlier process left it.

        It may raise at once, and lowers nothing until it has watched for a whole window. The count it
        found stands in for the recommendations it does not know.
        """
        history = History.starting_with(current, now)
        if status is None:
            return cls(history=history)
        learned = status.learned
        work = Work(sizes=typical(learned.prompt_tokens, learned.generated_tokens)) if learned else Work()
        events = frozenset({status.active_event} if status.active_event else ())
        return cls(history=history, work=work, reserve=Reserve.learned(status), events=events)

    def resting(self, current: int, now: datetime) -> "ScalerState":
        """While someone else sets the count: what was learned and no history, as after a restart."""
        return replace(
            self.rebuilt(current, now),
            work=Work(sizes=self.work.sizes),
            reserve=replace(self.reserve, forecasts=()),
            events=self.events,
        )

    def with_start_ups(self, seen: Observation) -> "ScalerState":
        """With the pods timed that became ready, whether or not they can be read."""
        return replace(self, reserve=learn_start_ups(self.reserve, seen.replicas))

    def with_load(self, load: LoadSummary, seen: Observation, spec: AutoscalingSpec) -> "ScalerState":
        """With one reading more; the same reading a second time is ignored."""
        taken_at = seen.taken_at
        if self.counted_at is not None and taken_at <= self.counted_at:
            return self
        coverage = load.coverage
        counted = replace(
            self,
            counted_at=taken_at,
            failed_readings=self.failed_readings + 1 if coverage is Coverage.NONE else 0,
            whole_since=(self.whole_since or taken_at) if coverage is Coverage.WHOLE else None,
        )
        if coverage in (Coverage.NONE, Coverage.NOTHING_READY):
            return counted
        work, reserve = Work(), self.reserve
        if load.counting:
            others = [replica.name for replica in seen.replicas if replica.phase is not ReplicaPhase.READY]
            work = count_work(self.work, load.counting, taken_at, load.unread, others)
            reserve = learn(reserve, work, spec.slo, taken_at) if work.counted_at == taken_at else reserve
        return replace(
            counted,
            work=work,
            reserve=reserve,
            active=self.active.with_value(taken_at, load.active, spec),
            waiting=self.waiting.with_value(taken_at, load.waiting, spec),
            kv_percent=self.kv_percent.with_value(taken_at, load.kv_percent, spec),
            refusals=MappingProxyType(dict(load.refusals)),
        )

    @property
    def learned(self) -> LearnedStatus | None:
        """What the next process should know; None before anything is."""
        if not self.work.is_known:
            return None
        return LearnedStatus(
            reserve_percent=round(self.reserve.factor * 100),
            forecast_error_percent=min(round(math.sqrt(self.reserve.error_variance) * 100), 1000),
            prompt_tokens=round(self.work.prompt_tokens),
            generated_tokens=round(self.work.generated_tokens),
        )

    def has_watched(self, span: timedelta, now: datetime) -> bool:
        """Whether readings have been whole for at least `span`."""
        return self.whole_since is not None and now - self.whole_since >= span
