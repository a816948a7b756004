"""What the policy keeps of one ChatModel between two decisions. State only: `learning.py` fills it.

Immutable and small. A restart of the operator loses it, except for what `status.autoscaling` holds.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from types import MappingProxyType
from typing import Self

from chatscale.api.v1alpha1 import AutoscalingStatus, LearnedStatus
from chatscale.scaling.history import History
from chatscale.scaling.idleness import Idleness
from chatscale.scaling.load import Refusals
from chatscale.scaling.reserve import Reserve
from chatscale.scaling.windows import Window
from chatscale.scaling.work import Work, sizes_of


@dataclass(frozen=True, slots=True)
class Averages:
    """One signal, summed over replicas, in two windows."""

    stable: Window = field(default_factory=Window)
    """Over windowSeconds."""
    short: Window = field(default_factory=Window)
    """Over panicWindowSeconds."""


@dataclass(frozen=True, slots=True)
class ScalerState:
    """Passed from one `Decision` to the next call of `decide`."""

    history: History
    counted_at: datetime | None = None
    """`taken_at` of the newest observation in this state: a second decision on it adds nothing."""
    complete_since: datetime | None = None
    """Since then every reading has covered every ready replica."""
    failed_readings: int = 0
    """Readings in a row that reached no ready replica."""
    panic_until: datetime | None = None
    """End of the last burst; None if there was none."""
    active: Averages = field(default_factory=Averages)
    waiting: Averages = field(default_factory=Averages)
    kv_percent: Averages = field(default_factory=Averages)
    refusals: Mapping[str, Refusals] = field(default_factory=lambda: MappingProxyType({}))
    work: Work = field(default_factory=Work)
    """Empty while replicas do not count their work."""
    reserve: Reserve = field(default_factory=Reserve)
    idleness: Idleness = field(default_factory=Idleness)
    events: frozenset[str] = frozenset()
    """Names of the announced events that were active in the previous decision."""

    @classmethod
    def rebuilt(cls, current: int, now: datetime, status: AutoscalingStatus | None = None) -> Self:
        """The state of an operator that has just started, or that sees a model with `current` replicas first.

        status: as an earlier process left it.

        The policy may scale up at once, and does not scale down before a whole window has been read. The present
        count stands in for the earlier recommendations, which are unknown.
        """
        history = History.starting_with(current, now)
        if status is None:
            return cls(history=history)
        learned = status.learned
        work = Work(sizes=sizes_of(learned.prompt_tokens, learned.generated_tokens)) if learned else Work()
        events = frozenset({status.active_event} if status.active_event else ())
        return cls(history=history, work=work, reserve=Reserve.learned(status), events=events)

    def without_history(self, current: int, now: datetime) -> "ScalerState":
        """The state while someone else sets the count: what was learned, without windows, as after a restart."""
        return replace(
            self.rebuilt(current, now),
            work=Work(sizes=self.work.sizes),
            reserve=replace(self.reserve, forecasts=()),
            idleness=self.idleness,
            events=self.events,
        )

    @property
    def learned(self) -> LearnedStatus | None:
        """What `rebuilt` of the next process needs, for the status; None before anything is learned."""
        if not self.work.is_known:
            return None
        return LearnedStatus(
            reserve_percent=round(self.reserve.factor * 100),
            forecast_error_percent=min(round(math.sqrt(self.reserve.error_variance) * 100), 1000),
            prompt_tokens=round(self.work.prompt_tokens),
            generated_tokens=round(self.work.generated_tokens),
        )
