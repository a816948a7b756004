"""Adds up what the gateways report: one demand for each ChatModel. Pure.

Gauges are sums over the gateways that can be read. Counters only grow: a gateway that restarts, leaves or comes never
makes one fall, and its first report adds nothing, because nobody knows how old its counts are.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from datetime import datetime
from types import MappingProxyType
from typing import Final

from chatscale.scaling.signals import ClientCounters, ClientDemand
from chatscale_contract.gateway.demand import GatewayDemand, ModelDemand

KEPT_S: Final = 10.0
"""A gateway that cannot be read keeps its last reading for this many seconds and is then ignored."""
CURRENT_S: Final = 3.0
"""Readings are one second apart. An older one leaves a gap: nobody knows what the gateway has received since."""
_COUNTERS: Final = tuple(each.name for each in fields(ClientCounters))
_NOTHING: Final = ModelDemand()


@dataclass(frozen=True, slots=True)
class _Gateway:
    """One gateway that exists."""

    name: str
    known_since_s: float
    report: GatewayDemand | None = None
    read_at_s: float = 0.0

    def age_s(self, now_s: float) -> float:
        """Seconds since the last reading, or since the gateway is known."""
        return now_s - (self.known_since_s if self.report is None else self.read_at_s)


@dataclass(frozen=True, slots=True)
class Demands:
    """The gateways that exist, by pod UID, with their last reports. Times are seconds of a monotonic clock."""

    gateways: Mapping[str, _Gateway] = field(default_factory=lambda: MappingProxyType({}))
    counters: Mapping[str, ClientCounters] = field(default_factory=lambda: MappingProxyType({}))
    """By `namespace/name`: growth since this process began to read, over all gateways."""

    def with_gateways(self, names: Mapping[str, str], now_s: float) -> "Demands":
        """The gateways that exist now: pod names by UID. One that is gone counts as zero from now on."""
        known = {uid: self.gateways.get(uid) or _Gateway(name, now_s) for uid, name in names.items()}
        return replace(self, gateways=MappingProxyType(known))

    def with_report(self, uid: str, report: GatewayDemand, now_s: float) -> "Demands":
        """Add a reading of one gateway. A gateway that is gone adds nothing."""
        known = self.gateways.get(uid)
        if known is None:
            return self
        counters = self.counters
        if known.report is not None:
            counters = MappingProxyType({**counters, **_grown(counters, known.report, report)})
        gateways = {**self.gateways, uid: replace(known, report=report, read_at_s=now_s)}
        return Demands(MappingProxyType(gateways), counters)

    def without_model(self, model: str) -> "Demands":
        """Forget the counters of a deleted ChatModel."""
        return replace(
            self, counters=MappingProxyType({key: found for key, found in self.counters.items() if key != model})
        )

    def of(self, model: str, now: datetime, now_s: float) -> ClientDemand:
        """The demand for one ChatModel (`namespace/name`) over all gateways. now: the same time as now_s; aware."""
        usable = [g for g in self.gateways.values() if g.report is not None and g.age_s(now_s) <= KEPT_S]
        found = [g.report.models.get(model, _NOTHING) for g in usable if g.report is not None]
        in_flight: dict[str, int] = {}
        for each in found:
            for pod, count in each.in_flight_by_pod.items():
                in_flight[pod] = in_flight.get(pod, 0) + count
        return ClientDemand(
            taken_at=now,
            gateways=len(usable),
            unread=tuple(sorted(g.name for g in self.gateways.values() if g.age_s(now_s) > KEPT_S)),
            is_current=bool(usable) and all(g.report and g.age_s(now_s) <= CURRENT_S for g in self.gateways.values()),
            held=sum(each.held for each in found),
            held_prompt_tokens=sum(each.held_prompt_tokens for each in found),
            in_flight=sum(each.in_flight for each in found),
            oldest_held_s=max((each.oldest_held_s for each in found), default=0.0),
            counters=self.counters.get(model, ClientCounters()),
            in_flight_by_pod=MappingProxyType(in_flight),
            no_wake_held=sum(each.no_wake_held for each in found),
            no_wake_in_flight=sum(each.no_wake_in_flight for each in found),
        )


def _grown(
    counters: Mapping[str, ClientCounters], before: GatewayDemand, after: GatewayDemand
) -> dict[str, ClientCounters]:
    """The counters after one more report of a gateway, for each ChatModel in it.

    Counters that restarted count from zero: those of another instance, and one that is lower than before.
    """
    restarted = before.instance != after.instance
    grown = {}
    for model, now in after.models.items():
        then = _NOTHING if restarted else before.models.get(model, _NOTHING)
        total = counters.get(model, ClientCounters())
        growth = {}
        for name in _COUNTERS:
            old, new = getattr(then, name), getattr(now, name)
            growth[name] = getattr(total, name) + (new - old if new >= old else new)
        grown[model] = ClientCounters(**growth)
    return grown


def models_to_start(before: GatewayDemand | None, after: GatewayDemand) -> tuple[str, ...]:
    """ChatModels to start, if `wake_seq` differs from the report before. Sorted.

    They have held or newly refused requests, other than those whose key has `wake: false`.
    """
    if before is not None and (before.instance, before.wake_seq) == (after.instance, after.wake_seq):
        return ()
    then = before.models if before is not None and before.instance == after.instance else {}
    return tuple(
        sorted(
            model
            for model, demand in after.models.items()
            if demand.held > demand.no_wake_held or demand.refused > then.get(model, _NOTHING).refused
        )
    )
