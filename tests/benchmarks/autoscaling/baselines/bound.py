"""Lower bounds of GPU-hours and of latencies. They are calculated, not simulated, and bound each quantity alone."""

import numpy as np

from chatscale_simulator.simulation.arrays import FloatArray, IntArray
from chatscale_simulator.simulation.profiles import ServerProfile, base_seconds, unloaded_ttft_seconds
from chatscale_simulator.simulation.result import REQUEST_OUTCOMES, PodLifetime, RequestOutcome, RunResult
from chatscale_simulator.simulation.scenario import Scenario
from chatscale_simulator.simulation.workload import Workload
from tests.benchmarks.autoscaling.baselines.schedule import whole
from tests.benchmarks.autoscaling.baselines.work import (
    SLOT_S,
    best_rate,
    cache_seconds,
    centred,
    least_seconds,
    spread,
)


def lower_bound(workload: Workload, scenario: Scenario) -> RunResult:
    """Bill the fewest replicas that the work fits in, and serve each request as on a replica of its own.

    Billed is the integral of max(min replicas, ceil(W)), W the work offered in seconds of a replica that computes
    full steps only, without a cold start, draining or a queue.  Latencies are those of an idle replica.  Every number
    is a bound by itself, attainment included (1 unless an idle replica is too slow); no policy needs to reach two
    of them together.  Two simplifications: work is done as slowly as the SLO allows but is not delayed more, and
    the 1 % of requests that may miss the SLO are served too.
    """
    server = scenario.replica
    counts = whole(_offered(workload, server, scenario.slo.tpot_s), scenario.min_replicas, scenario.max_replicas)
    unloaded_s = unloaded_ttft_seconds(server, workload.prompt_tokens)
    first_s = workload.arrival_s + unloaded_s
    return RunResult(
        workload=workload,
        outcomes=np.full(len(workload.arrival_s), REQUEST_OUTCOMES.index(RequestOutcome.SERVED), dtype=np.int64),
        first_token_s=first_s,
        finish_s=first_s + _decode_alone_seconds(workload, server),
        unloaded_ttft_s=unloaded_s,
        pods=lives(counts, workload.duration_s),
        counts=((0.0, int(counts[0])),),
        saturated_s=0.0,
        end_s=workload.duration_s,
    )


def lives(counts: IntArray, end_s: float) -> tuple[PodLifetime, ...]:
    """Pods that are billed exactly as `counts` says; the last one created is the first one deleted."""
    pods: list[PodLifetime] = []
    open_: list[float] = []
    at_s = np.append(np.arange(len(counts)) * SLOT_S, end_s)
    for slot, count in enumerate((*counts.tolist(), 0)):
        now_s = float(min(at_s[slot], end_s))
        while len(open_) > count:
            since_s = open_.pop()
            pods.append(PodLifetime(len(pods), since_s, since_s, now_s))
        open_ += [now_s] * (count - len(open_))
    return tuple(pods)


def _offered(workload: Workload, server: ServerProfile, tpot_s: float) -> FloatArray:
    """(slots,) replicas in full use, with outputs as slow as the SLO allows."""
    prompt_s: FloatArray = workload.prompt_tokens / best_rate(server)
    return centred(spread(workload, prompt_s, least_seconds(workload, server) - prompt_s, tpot_s))


def _decode_alone_seconds(workload: Workload, server: ServerProfile) -> FloatArray:
    """(requests,) from the first token to the last in a batch of one."""
    steps = workload.output_tokens - 1
    seconds: FloatArray = steps * float(base_seconds(server)[1]) + cache_seconds(workload, server)
    return seconds
