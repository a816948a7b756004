"""The growth of counters between two snapshots, while pods start and end."""

from collections.abc import Sequence
from typing import Final

import numpy as np

from chatscale_simulator.simulation.arrays import FloatArray, IntArray
from chatscale_simulator.simulation.snapshot import Column, MetricsSnapshot


class Increase:
    """The growth of some counters since the last snapshot, summed over the pods. A new pod counts from 0.

    What a pod counted between the last snapshot and its end is lost, as with scrapes.
    """

    def __init__(self, columns: Sequence[Column]) -> None:
        self._columns: Final = list(columns)
        self._pods: IntArray = np.zeros(0, dtype=np.int64)
        self._counted: FloatArray = np.zeros((0, len(self._columns)))

    def since_last(self, snapshot: MetricsSnapshot) -> list[float]:
        """Return the growth of each counter."""
        counted = snapshot.samples[:, self._columns]
        if np.array_equal(snapshot.pods, self._pods):
            grown = counted - self._counted
        else:
            before = dict(zip(self._pods.tolist(), self._counted, strict=True))
            none = np.zeros(len(self._columns))
            grown = counted - np.array([before.get(pod, none) for pod in snapshot.pods.tolist()]).reshape(counted.shape)
        self._pods, self._counted = snapshot.pods.copy(), counted
        total: list[float] = np.maximum(grown, 0.0).sum(axis=0).tolist()
        return total
