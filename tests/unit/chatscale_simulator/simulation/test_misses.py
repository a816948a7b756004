"""A simulated replica counts SLO misses as the server does: each request once."""

import numpy as np

from chatscale_contract.server.profiles import Profile
from chatscale_simulator.simulation.profiles import ServerProfile
from chatscale_simulator.simulation.run import Simulation
from chatscale_simulator.simulation.scenario import Scenario
from chatscale_simulator.simulation.score import latencies, within_slo
from chatscale_simulator.simulation.snapshot import Column
from chatscale_simulator.simulation.workload import Workload

SLOW = ServerProfile(
    Profile(c0_ms=200.0, c2_ms_per_token=0.0, c3_ms_per_kv_token=0.0, kv_tokens=10_000, tokens_per_step=512),
    max_sequences=1,
    max_queue=5000,
    queue_timeout_s=1e9,
)
"""One request at a time, at 0.2 s a token where the SLO allows 0.1 s."""


def test_a_request_that_misses_both_limits_counts_as_one_miss() -> None:
    # Every third answer has one token, so it can only miss the limit for the first token. The queue grows.
    workload = Workload(np.arange(30.0), np.full(30, 10), np.tile([1, 10, 10], 10))
    scenario = Scenario(server=SLOW, max_replicas=1, scrape_loss=0.0, outage=False)
    simulation = Simulation(workload, scenario)
    simulation.advance(300.0)
    counted = simulation.snapshot(live=True)
    result = simulation.result(workload, [(0.0, 1)], 0.0)

    ttft_s, tpot_s = latencies(result)
    first_is_late = ttft_s > scenario.slo.ttft_limit_s(result.unloaded_ttft_s)
    tokens_are_late = tpot_s > scenario.slo.tpot_s
    assert 0 < (first_is_late & tokens_are_late).sum() < first_is_late.sum()
    assert counted.total(Column.TTFT_SLOW) == first_is_late.sum()
    assert counted.total(Column.TPOT_SLOW) == (tokens_are_late & ~first_is_late).sum() > 0
    misses = counted.total(Column.TTFT_SLOW) + counted.total(Column.TPOT_SLOW)
    assert misses == (~within_slo(result, scenario.slo)).sum()
