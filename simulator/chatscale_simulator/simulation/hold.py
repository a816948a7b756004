"""The compiled gateway: one queue of held requests in front of the replicas, and the choice of a replica.

The gateway's own code works on Python objects, which compiled code cannot use, so its rules are here again as loops
over arrays: `holding.queue.HoldQueue` and `routing.least_load.choose_least_loaded`. The constants come from the gateway
(`scenario.py`), and `test_gateway.py` compares both rules with the gateway's code on random inputs. All requests come
through the gateway, so the load that it counts is the load of the replica.
"""

from typing import Any

import numpy as np
from numba import njit

from chatscale_simulator.simulation.fleet import (
    ARRIVED,
    BYTES_PER_TOKEN,
    CLIENT_ARRIVED,
    CLIENT_REFUSED,
    FULL,
    HEAD,
    HELD,
    HELD_BYTES,
    HELD_PROMPT_TOKENS,
    READY,
    REFUSED,
    ROUTING_DRAW,
    TIMED_OUT,
)
from chatscale_simulator.simulation.replicas import advance, load_of, send, uniform


@njit(cache=True)
def receive(f: Any, m: Any, rows: int, request: int, at: float) -> None:
    """Send a new request to a replica with a free place, or hold it, or refuse it."""
    if f.hold_now[HELD] == 0:
        r = choose(f, m, rows, request, at)
        if r >= 0:
            f.clients[CLIENT_ARRIVED] += 1
            advance(f, m, r, at)
            f.now[r, ARRIVED] += 1
            send(f, r, request, at)
            return
    if not fits(f, m, request):
        f.outcome[request] = REFUSED
        f.clients[CLIENT_REFUSED] += 1
        return
    f.clients[CLIENT_ARRIVED] += 1
    f.hold[(f.hold_now[HEAD] + f.hold_now[HELD]) % len(f.hold)] = request
    _count(f, request, 1)


@njit(cache=True)
def choose(f: Any, m: Any, rows: int, request: int, at: float) -> int:
    """A ready replica with the fewest requests and a free place; a random one of equals. -1 if no place is free."""
    least, ties = FULL, 0
    for r in range(rows):
        if f.status[r] != READY:
            continue
        if f.due[r] <= at:
            advance(f, m, r, at)
        load = load_of(f, r)
        if load >= m.places or load > least:
            continue
        ties = ties + 1 if load == least else 1
        least = load
    chosen = int(uniform(m.seed, ROUTING_DRAW, request) * ties)
    for r in range(rows):
        if f.status[r] == READY and load_of(f, r) == least:
            if chosen == 0:
                return r
            chosen -= 1
    return -1


@njit(cache=True)
def fits(f: Any, m: Any, request: int) -> bool:
    """Whether the bounds of the queue allow one more request. An empty queue accepts a prompt of any length."""
    held, tokens = f.hold_now[HELD], f.prompt[request]
    size = tokens * BYTES_PER_TOKEN
    if held >= m.hold_requests or f.hold_now[HELD_BYTES] + size > m.hold_bytes:
        return False
    return bool(held == 0 or f.hold_now[HELD_PROMPT_TOKENS] + tokens <= m.hold_prompt_tokens)


@njit(cache=True)
def give_places(f: Any, m: Any, rows: int, until_s: float) -> None:
    """Process all events of held requests before `until_s` in order of time: free places and passed deadlines."""
    while f.hold_now[HELD] > 0:
        row, at = _next_place(f, m, rows, until_s)
        request = f.hold[f.hold_now[HEAD]]
        deadline_s = f.arrival[request] + m.queue_timeout_s
        if deadline_s < at:
            _leave(f, request)
            f.outcome[request] = TIMED_OUT
            f.clients[CLIENT_REFUSED] += 1
        elif row < 0:
            return
        elif load_of(f, row) < m.places:
            _leave(f, request)
            f.now[row, ARRIVED] += 1
            send(f, row, request, f.clock[row])
        else:
            # Up to the next change of this replica, and not further: its next place must not come before an earlier
            # one of another replica.
            advance(f, m, row, max(f.due[row], np.nextafter(f.clock[row], np.inf)))


@njit(cache=True)
def _next_place(f: Any, m: Any, rows: int, until_s: float) -> tuple[int, float]:
    """The ready replica that has a free place next, or that must be advanced next to find out; -1 before `until_s`."""
    row, at = -1, until_s
    for r in range(rows):
        if f.status[r] != READY:
            continue
        next_s = f.clock[r] if load_of(f, r) < m.places else max(f.due[r], f.clock[r])
        if next_s < at:
            row, at = r, next_s
    return row, at


@njit(cache=True)
def mark_waiting_for_start(f: Any) -> None:
    """Before a replica becomes ready: if none is ready, all held requests have waited for this one."""
    if (f.status[: f.cursor[1]] == READY).any():
        return
    for at in range(f.hold_now[HELD]):
        f.waited_for_start[f.hold[(f.hold_now[HEAD] + at) % len(f.hold)]] = True


@njit(cache=True)
def _leave(f: Any, request: int) -> None:
    """Take the oldest request, which is `request`, out of the queue."""
    f.hold_now[HEAD] = (f.hold_now[HEAD] + 1) % len(f.hold)
    _count(f, request, -1)


@njit(cache=True)
def _count(f: Any, request: int, sign: int) -> None:
    f.hold_now[HELD] += sign
    f.hold_now[HELD_PROMPT_TOKENS] += sign * f.prompt[request]
    f.hold_now[HELD_BYTES] += sign * f.prompt[request] * BYTES_PER_TOKEN
