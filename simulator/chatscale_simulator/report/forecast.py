"""The forecast for one ChatModel under a trace: cost, latencies and replicas."""

from dataclasses import asdict
from decimal import Decimal
from typing import Final

import numpy as np

from chatscale_contract.money import Price
from chatscale_simulator.inputs.chatmodel import SimulatedModel
from chatscale_simulator.inputs.traces import Traffic, load
from chatscale_simulator.jobs import Row
from chatscale_simulator.policies.chatscale import min_replicas_at_start
from chatscale_simulator.policies.registry import SHIPPED
from chatscale_simulator.report.tables import align, percent, spark
from chatscale_simulator.simulation.arrays import FloatArray
from chatscale_simulator.simulation.result import RunResult
from chatscale_simulator.simulation.run import run
from chatscale_simulator.simulation.scenario import ColdStart, Routing, Scenario, Track
from chatscale_simulator.simulation.score import billed_at, latencies, percentile, score
from chatscale_simulator.simulation.sizing import offered_rps, size

_DAY_H: Final = 24.0
_MONTH_H: Final = 730.0
"""A twelfth of a year, as in cloud prices."""


def simulate_model(
    model: SimulatedModel,
    traffic: Traffic,
    cold_start: ColdStart,
    track: Track,
    seed: int,
    routing: Routing = Routing.GATEWAY,
) -> tuple[RunResult, Row]:
    """Do the run. It starts with the replicas for the first minutes or for an active event, within the bounds."""
    workload, policy = load(traffic, seed), model.make_policy(track)
    first = max(size(workload, model.server, model.slo).first, min_replicas_at_start(policy))
    scenario = Scenario(
        profile="S",
        cold_start=cold_start,
        track=track,
        seed=seed,
        min_replicas=model.min_replicas,
        max_replicas=model.max_replicas,
        initial_replicas=min(max(first, model.min_replicas), model.max_replicas),
        slo=model.slo,
        server=model.server,
        routing=routing,
        hold=model.hold,
        scale_to_zero=model.scale_to_zero,
    )
    result = run(workload, scenario, policy)
    row = {
        "trace": traffic.name,
        "profile": model.profile,
        "load_factor": traffic.load_factor,
        "cold_start": cold_start.value,
        "track": track.value,
        "routing": routing.value,
        "slots": model.server.max_sequences,
        "policy": model.name,
        "variant": SHIPPED,
        "seed": seed,
    }
    return result, row | asdict(score(result, model.slo, model.gpus_per_replica))


def format_forecast(model: SimulatedModel, traffic: Traffic, result: RunResult, row: Row, price: Price | None) -> str:
    """The forecast as text: cost first, then latencies, then load and replicas over time."""
    slo, hours = model.slo, result.end_s / 3600
    ttft_s, tpot_s = latencies(result)
    settings = f"cold start {row['cold_start']}, track {row['track']}, routing {row['routing']}"
    attained = f"{percent(row['slo_attainment'])}, objective {model.objective_percent} %"
    limits = f"first token in {slo.ttft_s:g} s, or {slo.unloaded_factor:g} times its time on an idle replica if longer"
    through_gateway = row["routing"] == Routing.GATEWAY.value
    longest_s = model.hold.timeout_seconds if through_gateway else model.server.queue_timeout_s
    lines = [
        ("Traffic", _traffic(traffic, result)),
        ("Model", f"{model.name}: {model.scaling}, profile {model.profile}, {settings}"),
        ("Cost", _cost(model, row, hours, price)),
        ("Replicas", f"{row['mean_replicas']:.1f} on average, {row['peak_replicas']} at most"),
        (
            "First token",
            "half within {:.2f} s, 95 % within {:.2f} s, 99 % within {:.2f} s".format(*_at(ttft_s, 50, 95, 99)),
        ),
        ("Each token", "half within {:.3f} s, 99 % within {:.3f} s".format(*_at(tpot_s, 50, 99))),
        ("Within SLO", f"{attained} ({limits}; {slo.tpot_s:g} s a token)"),
        (
            "Refused",
            f"{percent(row['dropped_ratio'])} (queue full, or waited more than {longest_s:g} s)",
        ),
        ("Load", spark(offered_rps(result.workload, max(result.end_s / 144, 1.0)))),
        ("Replicas", spark(billed_at(result.pods, np.linspace(0.0, result.end_s, 144, endpoint=False)))),
    ]
    return "\n".join(align(lines, left=2)) + "\n"


def _traffic(traffic: Traffic, result: RunResult) -> str:
    count, hours = len(result.workload.arrival_s), result.workload.duration_s / 3600
    rates = offered_rps(result.workload, 60.0)
    return f"{traffic.name}: {count} requests in {hours:.1f} h, {rates.mean():.2f} a second, {rates.max():.2f} at most"


def _cost(model: SimulatedModel, row: Row, hours: float, price: Price | None) -> str:
    unit, per_hour = "GPU-hours", row["gpu_hours"] / hours
    if model.gpus_per_replica == 0:
        unit, per_hour = "replica-hours", row["mean_replicas"]
    cost = (
        f"{per_hour * hours:.1f} {unit}; at this rate {per_hour * _DAY_H:.0f} a day, {per_hour * _MONTH_H:.0f} a month"
    )
    money = price.of_gpu_hours(Decimal(str(per_hour))) if price else None
    if price is None or money is None:
        return cost
    daily, monthly = money * int(_DAY_H), money * int(_MONTH_H)
    return f"{cost}: {daily:,.2f} a day, {monthly:,.2f} a month in {price.currency}"


def _at(values: FloatArray, *percents: float) -> list[float]:
    return [percentile(values, percent) for percent in percents]
