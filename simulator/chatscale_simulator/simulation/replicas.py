"""The compiled replicas: batch steps, finished requests and the counters of each pod.

Step times come from `chatscale_contract.server.profiles`. Consecutive decode-only steps are computed at once, so a
request costs a few hundred nanoseconds. All state is in the arrays of a `Fleet`, one row per pod.

A call copies the `Fleet` and `Model` tuples, which costs as much as a step. Functions on the way of each step are
therefore inlined.

Numba caches a compiled function by its own file. After a change here, delete `__pycache__`: callers in other files
would keep the old code.
"""

from typing import Any

import numpy as np
from numba import njit

from chatscale_simulator.simulation.fleet import (
    CLIENT_FINISHED,
    CLIENT_GENERATED_TOKENS,
    CLIENT_PROMPT_TOKENS,
    CLIENT_REFUSED,
    CLIENT_SENT,
    CLIENT_SLO_MISSES,
    CLIENT_WAKE_MISSES,
    DRAINING,
    FAR_S,
    FINISHED,
    GATEWAY,
    GENERATED_TOKENS,
    GONE,
    ITL_COUNT,
    ITL_SUM_S,
    KV_TOKENS,
    PROMPT_TOKENS,
    REJECTED,
    RUNNING,
    SERVED,
    STARTED,
    STEP_COUNT,
    STEP_SUM_S,
    TIMED_OUT,
    TPOT_SLOW,
    TTFT_COUNT,
    TTFT_SLOW,
    TTFT_SUM_S,
    WAITING,
)


@njit(cache=True)
def uniform(seed: int, pod: int, index: int) -> float:
    """A number in [0, 1) that depends on the arguments only (SplitMix64's finalizer)."""
    x = np.uint64(seed) * np.uint64(0x9E3779B97F4A7C15) + np.uint64(pod) * np.uint64(0xBF58476D1CE4E5B9)
    x += np.uint64(index + 1) * np.uint64(0x94D049BB133111EB)
    x ^= x >> np.uint64(30)
    x *= np.uint64(0xBF58476D1CE4E5B9)
    x ^= x >> np.uint64(27)
    x *= np.uint64(0x94D049BB133111EB)
    x ^= x >> np.uint64(31)
    return float(x >> np.uint64(11)) / 9007199254740992.0


@njit(cache=True)
def gauge(f: Any, r: int) -> None:
    """Fill in the gauges of a row; its counters are always current."""
    f.now[r, WAITING] = f.w_len[r]
    f.now[r, RUNNING] = f.n_run[r]
    f.now[r, KV_TOKENS] = f.kv_all[r]


@njit(cache=True)
def advance(f: Any, m: Any, r: int, until_s: float) -> None:
    """Compute steps until the clock reaches `until_s`."""
    while f.clock[r] < until_s:
        if f.w_len[r] > 0:
            _expire(f, m, r)
            _admit(f, m, r)
        if f.n_run[r] == 0:
            if f.status[r] == DRAINING and f.w_len[r] == 0:
                f.status[r] = GONE
                f.ended[r] = f.clock[r]
                return
            f.clock[r] = until_s
            break
        if f.kv_all[r] + f.n_dec[r] > m.kv_capacity:
            _preempt(f, m, r)
        if f.n_run[r] > f.n_dec[r]:
            _mixed_step(f, m, r)
        else:
            _stride(f, m, r, until_s)
    _set_due(f, m, r)


@njit(cache=True, inline="always")
def _set_due(f: Any, m: Any, r: int) -> None:
    n = f.n_dec[r]
    if f.n_run[r] > n or (f.w_len[r] > 0 and f.n_run[r] < m.max_sequences):
        f.due[r] = f.clock[r]
    elif n == 0:
        f.due[r] = FAR_S if f.w_len[r] == 0 else f.clock[r]
    else:
        due = f.clock[r] + _stride_s(f, m, r, f.next_fin[r] - f.steps[r])
        if f.w_len[r] > 0:
            due = min(due, f.arrival[f.wait[r, f.w_head[r]]] + m.queue_timeout_s)
        if f.kv_all[r] + n * (f.next_fin[r] - f.steps[r]) > m.kv_capacity:
            due = f.clock[r]
        f.due[r] = due


@njit(cache=True)
def _expire(f: Any, m: Any, r: int) -> None:
    ring = f.wait.shape[1]
    while f.w_len[r] > 0:
        request = f.wait[r, f.w_head[r]]
        # A preempted request has started; the queue timeout applies only to requests that never had a slot.
        if f.made[request] > 0 or f.clock[r] - f.arrival[request] <= m.queue_timeout_s:
            return
        f.outcome[request] = TIMED_OUT
        f.now[r, REJECTED] += 1
        if m.routing == GATEWAY:
            f.clients[CLIENT_REFUSED] += 1
        f.w_head[r] = (f.w_head[r] + 1) % ring
        f.w_len[r] -= 1


@njit(cache=True)
def _admit(f: Any, m: Any, r: int) -> None:
    ring = f.wait.shape[1]
    while f.w_len[r] > 0 and f.n_run[r] < m.max_sequences:
        request = f.wait[r, f.w_head[r]]
        # One free token per running sequence is kept, because all of them grow in the next step.
        if f.n_run[r] > 0 and f.kv_all[r] + f.need[request] + f.n_run[r] + 1 > m.kv_capacity:
            return
        f.w_head[r] = (f.w_head[r] + 1) % ring
        f.w_len[r] -= 1
        at = f.n_run[r]
        f.run[r, at] = request
        f.left[r, at] = f.need[request]
        f.kv_all[r] += f.need[request]
        f.n_run[r] += 1
        if f.made[request] == 0:
            f.now[r, STARTED] += 1


@njit(cache=True)
def _preempt(f: Any, m: Any, r: int) -> None:
    """The youngest sequences free their KV cache and return to the head of the queue, for recomputation (as vLLM)."""
    ring = f.wait.shape[1]
    while f.n_run[r] > 1 and f.kv_all[r] + f.n_dec[r] > m.kv_capacity:
        at = f.n_run[r] - 1
        request = f.run[r, at]
        if at < f.n_dec[r]:
            tokens = f.held[r, at] + f.steps[r]
            f.kv_all[r] -= tokens
            f.kv_dec[r] -= tokens
            f.made[request] = f.output[request] - (f.left[r, at] - f.steps[r])
            f.need[request] = f.prompt[request] + f.made[request]
            f.n_dec[r] -= 1
        else:
            f.kv_all[r] -= f.need[request]
        f.n_run[r] -= 1
        f.w_head[r] = (f.w_head[r] - 1) % ring
        f.wait[r, f.w_head[r]] = request
        f.w_len[r] += 1
    _find_next_fin(f, r)


@njit(cache=True)
def _find_next_fin(f: Any, r: int) -> None:
    nearest = 1 << 60
    for at in range(f.n_dec[r]):
        nearest = min(nearest, f.left[r, at])
    f.next_fin[r] = nearest


@njit(cache=True, inline="always")
def _stride_s(f: Any, m: Any, r: int, steps: int) -> float:
    """Time of that many decode-only steps: the KV term grows by one token per sequence and step."""
    n = f.n_dec[r]
    return float(steps * (m.base_s[n] + m.kv_s * f.kv_dec[r]) + m.kv_s * n * (steps * (steps - 1) / 2))


@njit(cache=True, inline="always")
def _stride(f: Any, m: Any, r: int, until_s: float) -> None:
    """Decode-only steps up to the next finished sequence, a full cache, or `until_s`, whichever comes first."""
    n = f.n_dec[r]
    steps = f.next_fin[r] - f.steps[r]
    steps = min(steps, max(1, (m.kv_capacity - f.kv_all[r]) // n))
    room_s = until_s - f.clock[r]
    if _stride_s(f, m, r, steps) > room_s:
        # The least number of steps that reaches `until_s`: the positive root, rounded up.
        slope = m.kv_s * n / 2
        flat = m.base_s[n] + m.kv_s * f.kv_dec[r] - slope
        fitting = (
            room_s / flat
            if slope * room_s < 1e-9 * flat * flat
            else ((np.sqrt(flat * flat + 4 * slope * room_s) - flat) / (2 * slope))
        )
        steps = min(steps, max(1, int(np.ceil(fitting))))
    took_s = _stride_s(f, m, r, steps)
    f.clock[r] += took_s
    f.steps[r] += steps
    f.kv_dec[r] += n * steps
    f.kv_all[r] += n * steps
    f.now[r, GENERATED_TOKENS] += n * steps
    f.now[r, ITL_SUM_S] += n * took_s
    f.now[r, ITL_COUNT] += n * steps
    f.now[r, STEP_SUM_S] += took_s
    f.now[r, STEP_COUNT] += steps
    if f.steps[r] >= f.next_fin[r]:
        _finish_due(f, m, r)


@njit(cache=True, inline="always")
def _mixed_step(f: Any, m: Any, r: int) -> None:
    """One step: all sequences in decode, and prompts in order of admission within the token budget."""
    n = f.n_dec[r]
    allowance = max(1, m.tokens_per_step - n)
    filled = 0
    at = n
    while at < f.n_run[r] and filled < allowance:
        chunk = min(f.left[r, at], allowance - filled)
        f.left[r, at] -= chunk
        filled += chunk
        at += 1
    took_s = m.base_s[min(n + filled, len(m.base_s) - 1)] + m.kv_s * f.kv_dec[r]
    f.clock[r] += took_s
    f.steps[r] += 1
    f.kv_dec[r] += n
    f.kv_all[r] += n
    f.now[r, PROMPT_TOKENS] += filled
    f.now[r, GENERATED_TOKENS] += n
    f.now[r, ITL_SUM_S] += n * took_s
    f.now[r, ITL_COUNT] += n
    f.now[r, STEP_SUM_S] += took_s
    f.now[r, STEP_COUNT] += 1
    while f.n_dec[r] < f.n_run[r] and f.left[r, f.n_dec[r]] == 0:
        _first_token(f, m, r)
    _finish_due(f, m, r)


@njit(cache=True, inline="always")
def _first_token(f: Any, m: Any, r: int) -> None:
    """The oldest prefill is complete: it has generated a token and is in decode from now on."""
    at = f.n_dec[r]
    request = f.run[r, at]
    f.now[r, GENERATED_TOKENS] += 1
    if f.made[request] == 0:
        f.first[request] = f.clock[r]
        ttft_s = f.clock[r] - f.sent[request]
        f.now[r, TTFT_SUM_S] += ttft_s
        f.now[r, TTFT_COUNT] += 1
        if ttft_s > f.ttft_limit[request]:
            f.now[r, TTFT_SLOW] += 1
        if m.routing == GATEWAY:
            f.clients[CLIENT_SENT] += 1
            if f.clock[r] - f.arrival[request] > f.ttft_limit[request]:
                f.clients[CLIENT_WAKE_MISSES if f.waited_for_start[request] else CLIENT_SLO_MISSES] += 1
    f.left[r, at] = f.steps[r] + f.output[request] - f.made[request] - 1
    f.held[r, at] = f.need[request] - f.steps[r]
    f.kv_dec[r] += f.need[request]
    f.n_dec[r] += 1
    f.next_fin[r] = min(f.next_fin[r], f.left[r, at]) if at > 0 else f.left[r, at]


@njit(cache=True)
def _finish_due(f: Any, m: Any, r: int) -> None:
    """Remove the sequences that finished in this step; the others keep their order."""
    if f.n_dec[r] == 0 or f.next_fin[r] > f.steps[r]:
        return
    kept = 0
    nearest = 1 << 60
    for at in range(f.n_run[r]):
        request = f.run[r, at]
        if at < f.n_dec[r] and f.left[r, at] <= f.steps[r]:
            tokens = f.held[r, at] + f.steps[r]
            f.kv_all[r] -= tokens
            f.kv_dec[r] -= tokens
            f.finish[request] = f.clock[r]
            f.outcome[request] = SERVED
            f.now[r, FINISHED] += 1
            more = f.output[request] - 1
            is_slow = more > 0 and (f.clock[r] - f.first[request]) / more > m.slow_tpot_s
            # A request counts as one miss: the server counts the objective that it misses first.
            if is_slow and f.first[request] - f.sent[request] <= f.ttft_limit[request]:
                f.now[r, TPOT_SLOW] += 1
            if m.routing == GATEWAY:
                _count_answer(f, request, is_slow)
            continue
        if at < f.n_dec[r]:
            nearest = min(nearest, f.left[r, at])
        f.run[r, kept] = request
        f.left[r, kept] = f.left[r, at]
        f.held[r, kept] = f.held[r, at]
        kept += 1
    f.n_dec[r] -= f.n_run[r] - kept
    f.n_run[r] = kept
    f.next_fin[r] = nearest


@njit(cache=True, inline="always")
def _count_answer(f: Any, request: int, is_slow: bool) -> None:  # noqa: FBT001 - numba has no keyword-only arguments
    """Count a complete answer at the gateway. is_slow: its time per token was above the SLO."""
    f.clients[CLIENT_FINISHED] += 1
    f.clients[CLIENT_PROMPT_TOKENS] += f.prompt[request]
    f.clients[CLIENT_GENERATED_TOKENS] += f.output[request]
    if is_slow and f.first[request] - f.arrival[request] <= f.ttft_limit[request]:
        f.clients[CLIENT_SLO_MISSES] += 1


@njit(cache=True, inline="always")
def load_of(f: Any, r: int) -> int:
    """Requests on a replica, running and waiting."""
    return int(f.n_run[r] + f.w_len[r])


@njit(cache=True, inline="always")
def send(f: Any, r: int, request: int, at_s: float) -> None:
    """Put a request into the queue of a replica whose clock is at `at_s` or later. The queue must have room."""
    f.sent[request] = at_s
    f.wait[r, (f.w_head[r] + f.w_len[r]) % f.wait.shape[1]] = request
    f.w_len[r] += 1
    f.due[r] = f.clock[r]
