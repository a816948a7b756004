"""The compiled loop of a run: arrivals, pod starts and scrapes up to a given time, and routing without a gateway.

The replicas are in `replicas.py`, the gateway is in `hold.py`. A step that runs when a request arrives is finished
first, so the counters are at most one step ahead.
"""

from typing import Any

import numpy as np
from numba import njit

from chatscale_simulator.simulation.fleet import (
    ARRIVED,
    DRAINING,
    FAR_S,
    FULL,
    GATEWAY,
    READY,
    REFUSED,
    REJECTED,
    ROUTING_DRAW,
    SERVICE,
    STARTING,
)
from chatscale_simulator.simulation.hold import give_places, mark_waiting_for_start, receive
from chatscale_simulator.simulation.replicas import advance, gauge, uniform


@njit(cache=True)
def run_until(f: Any, m: Any, until_s: float) -> None:
    """Process arrivals, pod starts and scrapes before `until_s`, then advance every replica to it."""
    rows = f.cursor[1]
    while True:
        row, at = _next_of_pods(f, until_s)
        if m.routing == GATEWAY:
            _arrivals_at_gateway(f, m, rows, at)
        else:
            _arrivals(f, m, rows, at)
        if row < 0:
            break
        if f.status[row] == STARTING:
            _become_ready(f, m, row)
        else:
            _scrape(f, m, row, at)
    for r in range(rows):
        if f.status[r] in (READY, DRAINING):
            advance(f, m, r, until_s)


@njit(cache=True)
def _next_of_pods(f: Any, until_s: float) -> tuple[int, float]:
    """The pod that becomes ready or is scraped next, and the time; -1 if none before `until_s`."""
    row, at = -1, until_s
    for r in range(f.cursor[1]):
        if f.status[r] == STARTING and f.ready_at[r] < at:
            row, at = r, f.ready_at[r]
        elif f.status[r] == READY and f.next_scrape[r] < at:
            row, at = r, f.next_scrape[r]
    return row, at


@njit(cache=True)
def _arrivals(f: Any, m: Any, rows: int, stop_s: float) -> None:
    """Route all arrivals before `stop_s` without a gateway. No pod starts or ends in that time."""
    ring = f.wait.shape[1]
    while f.cursor[0] < len(f.arrival) and f.arrival[f.cursor[0]] < stop_s:
        request = f.cursor[0]
        f.cursor[0] += 1
        at = f.arrival[request]
        r = _random(f, m, rows, request) if m.routing == SERVICE else _least_loaded(f, m, rows, at)
        if r < 0:
            f.outcome[request] = REFUSED
            continue
        f.now[r, ARRIVED] += 1
        advance(f, m, r, at)
        if f.w_len[r] >= m.max_queue:
            f.outcome[request] = REFUSED
            f.now[r, REJECTED] += 1
            continue
        f.sent[request] = at
        f.wait[r, (f.w_head[r] + f.w_len[r]) % ring] = request
        f.w_len[r] += 1
        f.due[r] = f.clock[r]


@njit(cache=True)
def _arrivals_at_gateway(f: Any, m: Any, rows: int, stop_s: float) -> None:
    """The same through the gateway, and all places that become free before `stop_s`."""
    while f.cursor[0] < len(f.arrival) and f.arrival[f.cursor[0]] < stop_s:
        request = f.cursor[0]
        f.cursor[0] += 1
        give_places(f, m, rows, f.arrival[request])
        receive(f, m, rows, request, f.arrival[request])
    give_places(f, m, rows, stop_s)


@njit(cache=True)
def _least_loaded(f: Any, m: Any, rows: int, at: float) -> int:
    """The ready replica with the fewest requests, running and waiting; full ones last; -1 if none is ready."""
    best = -1
    least = FULL * 2
    for r in range(rows):
        if f.status[r] != READY:
            continue
        if f.due[r] <= at:
            advance(f, m, r, at)
        load = f.n_run[r] + f.w_len[r] + (FULL if f.w_len[r] >= m.max_queue else 0)
        if load < least:
            least = load
            best = r
    return best


@njit(cache=True)
def _random(f: Any, m: Any, rows: int, request: int) -> int:
    """A random ready replica, as kube-proxy selects one for a connection; -1 if none is ready."""
    ready = np.flatnonzero(f.status[:rows] == READY)
    return int(ready[int(uniform(m.seed, ROUTING_DRAW, request) * len(ready))]) if len(ready) else -1


@njit(cache=True)
def _become_ready(f: Any, m: Any, r: int) -> None:
    if m.routing == GATEWAY:
        mark_waiting_for_start(f)
    f.status[r] = READY
    f.clock[r] = f.ready_at[r]
    f.due[r] = FAR_S
    phase = uniform(m.seed, f.number[r], -1) * m.scrape_interval_s
    # Each pod has its own scrape times, with a random offset, from its readiness on.
    f.next_scrape[r] = phase + np.ceil((f.ready_at[r] - phase) / m.scrape_interval_s) * m.scrape_interval_s


@njit(cache=True)
def _scrape(f: Any, m: Any, r: int, at: float) -> None:
    index = f.scrapes[r]
    f.scrapes[r] += 1
    f.next_scrape[r] = at + m.scrape_interval_s
    if m.outage_start_s <= at < m.outage_end_s or uniform(m.seed, f.number[r], index) < m.scrape_loss:
        f.fresh[r] = False
        return
    advance(f, m, r, at)
    gauge(f, r)
    f.sample[r, :] = f.now[r, :]
    f.sampled_at[r] = at
    f.fresh[r] = True
