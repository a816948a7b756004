"""What one ChatModel would have cost under a trace, and what its customers would have waited."""

from dataclasses import asdict
from typing import Final

import numpy as np

from chatscale_simulator.inputs.chatmodel import Subject
from chatscale_simulator.inputs.traces import Traffic, load
from chatscale_simulator.jobs import Row
from chatscale_simulator.policies.registry import SHIPPED
from chatscale_simulator.report.tables import align, percent, spark
from chatscale_simulator.simulation.outcome import ColdStart, Outcome, Track
from chatscale_simulator.simulation.run import Scenario, run
from chatscale_simulator.simulation.score import billed_at, percentile, score, waits
from chatscale_simulator.simulation.shipping import least_at_start
from chatscale_simulator.simulation.sizing import offered_rps, size
from chatscale_simulator.simulation.view import Numbers

_DAY_H: Final = 24.0
_MONTH_H: Final = 730.0
"""A twelfth of a year, as clouds bill it."""


def play(subject: Subject, traffic: Traffic, cold_start: ColdStart, track: Track, seed: int) -> tuple[Outcome, Row]:
    """Do the run. It starts with what the first minutes or an event need, within the bounds."""
    workload, policy = load(traffic, seed), subject.make_policy(track)
    first = max(size(workload, subject.server, subject.slo).first, least_at_start(policy))
    scenario = Scenario(
        profile="S",
        cold_start=cold_start,
        track=track,
        seed=seed,
        min_replicas=subject.min_replicas,
        max_replicas=subject.max_replicas,
        initial_replicas=min(max(first, subject.min_replicas), subject.max_replicas),
        slo=subject.slo,
        server=subject.server,
    )
    outcome = run(workload, scenario, policy)
    row = {
        "trace": traffic.name,
        "profile": subject.profile,
        "load_factor": traffic.load_factor,
        "cold_start": cold_start.value,
        "track": track.value,
        "policy": subject.name,
        "variant": SHIPPED,
        "seed": seed,
    }
    return outcome, row | asdict(score(outcome, subject.slo, subject.gpus_per_replica))


def tell(subject: Subject, traffic: Traffic, outcome: Outcome, row: Row, price_per_gpu_hour: float | None) -> str:
    """A page that a person reads: cost first, then waits, then the day as it went."""
    slo, hours = subject.slo, outcome.end_s / 3600
    ttft_s, tpot_s = waits(outcome)
    played = f"cold start {row['cold_start']}, track {row['track']}"
    kept = f"{percent(row['slo_attainment'])}, where {subject.objective_percent} % are promised"
    within = f"first token in {slo.ttft_s:g} s, or {slo.unloaded_factor:g} times its own time if longer"
    lines = [
        ("Traffic", _traffic(traffic, outcome)),
        ("Model", f"{subject.name}: {subject.scaling}, profile {subject.profile}, {played}"),
        ("Cost", _cost(subject, row, hours, price_per_gpu_hour)),
        ("Replicas", f"{row['mean_replicas']:.1f} on average, {row['peak_replicas']} at most"),
        (
            "First token",
            "half within {:.2f} s, 95 % within {:.2f} s, 99 % within {:.2f} s".format(*_at(ttft_s, 50, 95, 99)),
        ),
        ("Each token", "half within {:.3f} s, 99 % within {:.3f} s".format(*_at(tpot_s, 50, 99))),
        ("Within SLO", f"{kept} ({within}; {slo.tpot_s:g} s a token)"),
        ("Refused", f"{percent(row['dropped_ratio'])} (queues full, or waited {subject.server.queue_timeout_s:g} s)"),
        ("Load", spark(offered_rps(outcome.workload, max(outcome.end_s / 144, 1.0)))),
        ("Replicas", spark(billed_at(outcome.pods, np.linspace(0.0, outcome.end_s, 144, endpoint=False)))),
    ]
    return "\n".join(align(lines, left=2)) + "\n"


def _traffic(traffic: Traffic, outcome: Outcome) -> str:
    count, hours = len(outcome.workload.arrival_s), outcome.workload.duration_s / 3600
    rates = offered_rps(outcome.workload, 60.0)
    return f"{traffic.name}: {count} requests in {hours:.1f} h, {rates.mean():.2f} a second, {rates.max():.2f} at most"


def _cost(subject: Subject, row: Row, hours: float, price_per_gpu_hour: float | None) -> str:
    unit, per_hour = "GPU-hours", row["gpu_hours"] / hours
    if subject.gpus_per_replica == 0:
        unit, per_hour = "replica-hours", row["mean_replicas"]
    told = (
        f"{per_hour * hours:.1f} {unit}; at this rate {per_hour * _DAY_H:.0f} a day, {per_hour * _MONTH_H:.0f} a month"
    )
    if price_per_gpu_hour is None:
        return told
    money = per_hour * price_per_gpu_hour
    return f"{told}: {money * _DAY_H:,.2f} a day, {money * _MONTH_H:,.2f} a month in money"


def _at(values: Numbers, *percents: float) -> list[float]:
    return [percentile(values, percent) for percent in percents]
