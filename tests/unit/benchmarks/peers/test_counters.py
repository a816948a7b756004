import numpy as np

from chatscale_simulator.simulation.snapshot import COLUMNS, Column, MetricsSnapshot
from tests.benchmarks.autoscaling.peers.counters import Increase


def counting(pods: dict[int, float]) -> MetricsSnapshot:
    samples = np.zeros((len(pods), COLUMNS))
    samples[:, Column.FINISHED] = list(pods.values())
    each = np.zeros(len(pods))
    fresh = np.ones(len(pods), dtype=np.bool_)
    return MetricsSnapshot(0.0, 1, 0, np.array(list(pods), dtype=np.int64), each, fresh, each, samples, 1, 1)


def test_growth_is_summed_over_pods_that_start_and_end():
    increase = Increase([Column.FINISHED])
    assert increase.since_last(counting({1: 5, 2: 7})) == [12]
    assert increase.since_last(counting({1: 6, 2: 9})) == [3]
    assert increase.since_last(counting({2: 10, 3: 4})) == [5], "pod 1 left, pod 3 counts from 0"
    assert increase.since_last(counting({})) == [0]
    assert increase.since_last(counting({3: 6})) == [6], "what was not seen in between counts again from 0"
