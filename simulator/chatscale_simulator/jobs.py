"""Runs as jobs: one job holds all inputs of a run, so that another process can do it."""

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, replace
from multiprocessing import get_context
from typing import Any

from chatscale_simulator.inputs.traces import Traffic, load
from chatscale_simulator.policies.chatscale import min_replicas_at_start
from chatscale_simulator.policies.registry import POLICIES, Registry
from chatscale_simulator.policy_choice import MAX_REPLICAS, PolicyChoice, build_policy
from chatscale_simulator.simulation.profiles import GPUS_PER_REPLICA, SERVERS, ServerProfile, SloTarget
from chatscale_simulator.simulation.result import RunResult
from chatscale_simulator.simulation.run import run
from chatscale_simulator.simulation.scenario import ColdStart, Routing, Scenario, Track
from chatscale_simulator.simulation.score import Score, score
from chatscale_simulator.simulation.sizing import Sizing, size
from chatscale_simulator.simulation.workload import Workload

Row = dict[str, Any]
"""One run as an object of the JSON output."""


@dataclass(frozen=True, slots=True)
class Job:
    """All inputs of a run."""

    traffic: Traffic
    profile: str
    cold_start: ColdStart
    track: Track
    choice: PolicyChoice
    seed: int
    routing: Routing = Routing.LEAST_LOADED
    slots: int | None = None
    """Batch slots of each replica, instead of the profile's."""

    @property
    def server(self) -> ServerProfile:
        """The server that each replica runs."""
        server = SERVERS[self.profile]
        return server if self.slots is None else replace(server, max_sequences=self.slots)


def prepare(job: Job) -> tuple[Workload, Scenario, Sizing]:
    """Read the traffic, and size the initial replicas for its first minutes."""
    workload, slo = load(job.traffic, job.seed), SloTarget()
    sizing = size(workload, job.server, slo)
    scenario = Scenario(
        profile=job.profile,
        cold_start=job.cold_start,
        track=job.track,
        seed=job.seed,
        max_replicas=MAX_REPLICAS,
        initial_replicas=sizing.first,
        slo=slo,
        routing=job.routing,
        server=job.server,
    )
    return workload, scenario, sizing


def run_job(job: Job, registry: Registry = POLICIES) -> tuple[RunResult, Score]:
    """Do the run.

    Every policy starts with the same number of replicas, or with more if an event is active at the start.
    """
    workload, scenario, sizing = prepare(job)
    policy = build_policy(job.choice, job.server, scenario.slo, sizing, job.track, registry)
    first = max(sizing.first, min_replicas_at_start(policy))
    result = run(workload, replace(scenario, initial_replicas=first), policy)
    return result, score(result, scenario.slo, GPUS_PER_REPLICA[job.profile])


def measure(job: Job) -> Row:
    """Do the run and return its inputs and score."""
    return describe(job) | asdict(run_job(job)[1])


def describe(job: Job) -> Row:
    """The inputs of a run, named as in the JSON output."""
    return {
        "trace": job.traffic.name,
        "profile": job.profile,
        "load_factor": job.traffic.load_factor,
        "cold_start": job.cold_start.value,
        "track": job.track.value,
        "routing": job.routing.value,
        "slots": job.server.max_sequences,
        "policy": job.choice.policy,
        "variant": job.choice.variant,
        "seed": job.seed,
    }


def available_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def run_jobs(
    jobs: Sequence[Job], processes: int | None = None, do: Callable[[Job], Row] = measure
) -> Iterator[tuple[Job, Row]]:
    """Yield each job and its result, in order. Jobs with the same traffic should be adjacent: a process caches two.

    processes: None uses all cores. A single job, or a single process, runs in this process. Closing the iterator
    cancels the jobs that have not started.
    """
    count = min(processes or available_cores(), len(jobs))
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
