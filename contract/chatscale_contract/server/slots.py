"""Chooses the number of batch slots where the settings name none (docs/guide/models.md). Pure.

The number is the largest one that fits into the KV cache and whose decode step keeps the time per output token. A
larger batch serves more requests per second, but each of them gets its tokens more slowly.
"""

from collections.abc import Callable
from typing import Final

from chatscale_contract.server.profiles import Profile

MAX_SLOTS: Final = 256
"""The choice never exceeds it. Throughput gains little beyond it on any measured machine."""
UNMEASURED_SLOTS: Final = 8
"""If one sequence alone is too slow for the objective, no number of slots keeps it."""
STEP_SHARE: Final = 0.75
"""Share of the objective that a decode step may take. The rest is for prefill steps between the decode steps: on the
profiles of the Simulated engine they add 10 to 30 ms per token of a full batch, if prompts are as long as answers."""
REQUEST_TOKENS: Final = 512
"""Prompt and answer of a typical chat request, a guess: the means of public chat traces are 800 to 1400, of short
questions 200. It matters only where KV cache is not reserved for the longest request."""
HELD_TOKENS: Final = 256
"""KV cache tokens of each sequence in a measured decode step: half of REQUEST_TOKENS."""
MEASURE_S: Final = 0.5
"""No further batch size is measured after this time."""
_STEP: Final = 8
"""Above this number memory allows only multiples of it: free memory differs a little between replicas."""


def slots_in_memory(kv_tokens: int, tokens_per_slot: int) -> int:
    """The slots that the KV cache holds, 0 to MAX_SLOTS. kv_tokens: may be negative."""
    found = min(max(kv_tokens // tokens_per_slot, 0), MAX_SLOTS)
    return found if found <= _STEP else found // _STEP * _STEP


def choose_slots(step_s: Callable[[int], float], tpot_s: float, most: int, clock: Callable[[], float]) -> int:
    """The largest power of two, or `most`, whose decode step takes at most STEP_SHARE of the objective.

    step_s: measures one decode step of that many sequences, in seconds; called twice if the first time is too long.
    tpot_s: objective for the time per output token. most: slots that fit into memory, at least 1.
    clock: seconds, for MEASURE_S.
    E.g. steps of 24, 30, 37, 50 and 77 ms at 1, 8, 16, 32 and 64, and an objective of 100 ms: 32.
    """
    limit_s, began_s = STEP_SHARE * tpot_s, clock()

    def is_fast(size: int) -> bool:
        return step_s(size) <= limit_s or step_s(size) <= limit_s

    if not is_fast(1):
        return min(UNMEASURED_SLOTS, most)
    chosen = 1
    for size in _sizes(most):
        if clock() - began_s > MEASURE_S or not is_fast(size):
            break
        chosen = size
    if chosen == 1:
        chosen = next((size for size in (4, 2) if size <= most and is_fast(size)), 1)
    return chosen


def profile_slots(profile: Profile, tpot_s: float) -> int:
    """The slots that the Simulated engine chooses. tpot_s: objective for the time per output token."""
    return choose_slots(
        lambda size: profile.step_ms(size, size * HELD_TOKENS) / 1000,
        tpot_s,
        max(slots_in_memory(profile.kv_tokens, REQUEST_TOKENS), 1),
        clock=lambda: 0.0,
    )


def _sizes(most: int) -> list[int]:
    """Batch sizes to measure, ascending, from UNMEASURED_SLOTS on."""
    powers = [size for size in (8, 16, 32, 64, 128, 256) if size <= most]
    return powers if powers and powers[-1] == most else [*powers, most]
