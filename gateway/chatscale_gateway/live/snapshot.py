"""The live state of all models at one time, from what the gateway has read. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Final

from chatscale_contract.gateway.demand import GatewayDemand, ModelDemand
from chatscale_contract.gateway.latencies import WINDOW_S, add_counts, quantiles_s
from chatscale_contract.gateway.live import LiveCost, LiveEvent, LiveModel, LiveReplicas, LiveSnapshot, LiveTtft
from chatscale_gateway.live.token_rates import WINDOW_S as RATE_WINDOW_S
from chatscale_gateway.routing.catalog import Catalog, Model, ModelKey, Replica
from chatscale_gateway.routing.live_facts import LiveFacts

_MAX_EVENTS: Final = 5
"""Announced events that have not ended, in a snapshot of one model."""


def build_snapshot(
    catalog: Catalog,
    reports: Sequence[GatewayDemand],
    queued: Mapping[ModelKey, int],
    rates: Mapping[ModelKey, tuple[float, float]],
    wall_now: datetime,
) -> LiveSnapshot:
    """All models of the catalog, sorted.

    reports: of all gateways, this one first.  queued: requests that wait in replicas.  rates: prompt and generated
    tokens per second.  wall_now: with a time zone.
    """
    return LiveSnapshot(
        time=wall_now,
        gateway=reports[0].gateway,
        gateways=len(reports),
        rate_window_s=RATE_WINDOW_S,
        models=tuple(
            _model(
                catalog.models[key],
                catalog.replicas.get(key, ()),
                [found for report in reports if (found := report.models.get(str(key)))],
                queued.get(key, 0),
                rates.get(key, (0.0, 0.0)),
                wall_now,
            )
            for key in sorted(catalog.models, key=lambda each: (each.namespace, each.name))
        ),
    )


def _model(
    model: Model,
    replicas: Sequence[Replica],
    demands: Sequence[ModelDemand],
    queued: int,
    rate: tuple[float, float],
    wall_now: datetime,
) -> LiveModel:
    facts = model.live
    return LiveModel(
        namespace=model.key.namespace,
        name=model.key.name,
        phase=facts.phase,
        mode=facts.mode,
        replicas=_count(model.replicas, replicas),
        held=sum(each.held for each in demands),
        queued=queued,
        in_flight=sum(each.in_flight for each in demands),
        prompt_tokens_per_s=round(rate[0], 1),
        generated_tokens_per_s=round(rate[1], 1),
        ttft=_ttft(model, demands),
        cost=_cost(facts, len(replicas)),
        decisions=facts.decisions,
        events=tuple(_open_events(facts.events, wall_now)),
        warnings=facts.warnings,
    )


def _count(wanted: int, replicas: Iterable[Replica]) -> LiveReplicas:
    starting = ready = draining = 0
    for each in replicas:
        if each.leaving:
            draining += 1
        elif each.ready:
            ready += 1
        else:
            starting += 1
    return LiveReplicas(wanted, starting, ready, draining)


def _ttft(model: Model, demands: Iterable[ModelDemand]) -> LiveTtft:
    counts = add_counts(each.recent_ttft for each in demands)
    p50_s, p95_s = quantiles_s(counts, 0.5, 0.95)
    return LiveTtft(
        p50_s=_rounded(p50_s),
        p95_s=_rounded(p95_s),
        slo_s=model.slo.ttft_s,
        samples=sum(counts.values()),
        window_s=WINDOW_S,
    )


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 4)


def _cost(facts: LiveFacts, pods: int) -> LiveCost | None:
    per_hour = facts.price.of_gpu_hours(Decimal(pods * facts.paid_units_per_replica))
    return None if per_hour is None else LiveCost(facts.price.currency, per_hour)


def _open_events(events: Iterable[LiveEvent], wall_now: datetime) -> list[LiveEvent]:
    """The next ones. The status says which one is active; it must not say so of one that has ended."""
    return [event for event in events if event.end > wall_now][:_MAX_EVENTS]
