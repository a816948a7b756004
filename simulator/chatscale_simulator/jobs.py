"""One run as a piece of work that another process can do, and all of them on all cores."""

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, replace
from multiprocessing import get_context
from typing import Any

from chatscale_simulator.contenders import MAX_REPLICAS, Contender, build
from chatscale_simulator.inputs.traces import Traffic, load
from chatscale_simulator.policies.registry import POLICIES, Registry
from chatscale_simulator.simulation.outcome import ColdStart, Outcome, Track, Workload
from chatscale_simulator.simulation.profiles import GPUS_PER_REPLICA, SERVERS, SloTarget
from chatscale_simulator.simulation.run import Scenario, run
from chatscale_simulator.simulation.score import Score, score
from chatscale_simulator.simulation.shipping import least_at_start
from chatscale_simulator.simulation.sizing import Sizing, size

Row = dict[str, Any]
"""One run as the JSON has it."""


@dataclass(frozen=True, slots=True)
class Job:
    """Everything that a run depends on."""

    traffic: Traffic
    profile: str
    cold_start: ColdStart
    track: Track
    contender: Contender
    seed: int


def set_the_scene(job: Job) -> tuple[Workload, Scenario, Sizing]:
    """Read the traffic, and size the first replicas for its first minutes."""
    workload, slo = load(job.traffic, job.seed), SloTarget()
    sizing = size(workload, SERVERS[job.profile], slo)
    scenario = Scenario(
        profile=job.profile,
        cold_start=job.cold_start,
        track=job.track,
        seed=job.seed,
        max_replicas=MAX_REPLICAS,
        initial_replicas=sizing.first,
        slo=slo,
    )
    return workload, scenario, sizing


def play(job: Job, registry: Registry = POLICIES) -> tuple[Outcome, Score]:
    """Do the run.

    Every policy starts with the same replicas, or more where an event is announced for the start.
    """
    workload, scenario, sizing = set_the_scene(job)
    policy = build(job.contender, SERVERS[job.profile], scenario.slo, sizing, job.track, registry)
    first = max(sizing.first, least_at_start(policy))
    outcome = run(workload, replace(scenario, initial_replicas=first), policy)
    return outcome, score(outcome, scenario.slo, GPUS_PER_REPLICA[job.profile])


def measure(job: Job) -> Row:
    """Do the run and keep its numbers."""
    return describe(job) | asdict(play(job)[1])


def describe(job: Job) -> Row:
    """The inputs of a run as the JSON names them."""
    return {
        "trace": job.traffic.name,
        "profile": job.profile,
        "load_factor": job.traffic.load_factor,
        "cold_start": job.cold_start.value,
        "track": job.track.value,
        "policy": job.contender.policy,
        "variant": job.contender.variant,
        "seed": job.seed,
    }


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def on_all_cores(
    jobs: Sequence[Job], processes: int | None = None, do: Callable[[Job], Row] = measure
) -> Iterator[tuple[Job, Row]]:
    """Yield each job and its result, in order. Neighbours should share their traffic: a process keeps the last two.

    One job, or one process, is done right here. Abandoning the iterator cancels what has not begun.
    """
    count = min(processes or cores(), len(jobs))
    if count <= 1:
        for job in jobs:
            yield job, do(job)
        return
    # Spawned, not forked: compiled kernels and plotting libraries hold threads and locks.
    with ProcessPoolExecutor(count, mp_context=get_context("spawn")) as pool:
        futures = [pool.submit(do, job) for job in jobs]
        try:
            for job, future in zip(jobs, futures, strict=True):
                yield job, future.result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
