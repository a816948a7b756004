"""A builder of what policies see: only what matters to the case is named."""

from typing import Self

import numpy as np

from chatscale_simulator.simulation.snapshot import COLUMNS, Column, MetricsSnapshot


class SnapshotBuilder:
    """Ready replicas with even loads, unless told otherwise."""

    def __init__(self, now_s: float) -> None:
        self._now_s = now_s
        self._samples = np.zeros((1, COLUMNS))
        self._desired: int | None = None
        self._starting = 0
        self._fresh: list[bool] | None = None

    def with_ready(self, ready: int, *, starting: int = 0) -> Self:
        """So many ready replicas; `desired` follows unless set."""
        self._samples = np.zeros((ready, COLUMNS))
        self._starting = starting
        return self

    def wanting(self, desired: int) -> Self:
        self._desired = desired
        return self

    def with_total(self, column: Column, total: float) -> Self:
        """A sum, spread evenly over the ready replicas."""
        self._samples[:, column] = total / max(1, len(self._samples))
        return self

    def with_each(self, column: Column, *values: float) -> Self:
        """One value per ready replica."""
        self._samples[:, column] = values
        return self

    def without_data(self) -> Self:
        """No series can be queried."""
        self._fresh = [False] * len(self._samples)
        return self

    def with_fresh(self, fresh: list[bool]) -> Self:
        self._fresh = fresh
        return self

    def build(self) -> MetricsSnapshot:
        ready = len(self._samples)
        return MetricsSnapshot(
            now_s=self._now_s,
            desired=ready + self._starting if self._desired is None else self._desired,
            starting=self._starting,
            pods=np.arange(ready),
            ready_since_s=np.zeros(ready),
            fresh=np.array([True] * ready if self._fresh is None else self._fresh, dtype=np.bool_),
            age_s=np.zeros(ready),
            samples=self._samples,
            kv_capacity_tokens=400_000,
            max_sequences=256,
        )


def a_snapshot(now_s: float = 0.0) -> SnapshotBuilder:
    return SnapshotBuilder(now_s)


def in_flight(now_s: float, total: float, *, ready: int, desired: int | None = None) -> MetricsSnapshot:
    """`total` requests running on `ready` replicas, of `desired` asked for."""
    wanted = ready if desired is None else desired
    return a_snapshot(now_s).with_ready(ready).wanting(wanted).with_total(Column.RUNNING, total).build()


def waiting(now_s: float, total: float, *, ready: int, desired: int | None = None) -> MetricsSnapshot:
    """`total` requests waiting at `ready` replicas, of `desired` asked for."""
    wanted = ready if desired is None else desired
    return a_snapshot(now_s).with_ready(ready).wanting(wanted).with_total(Column.WAITING, total).build()
