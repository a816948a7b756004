"""Chooses the number of batch slots where the settings name none (docs/guide/models.md). Pure.

The number is the largest one that fits into the KV cache and whose decode step keeps the time per output token. A
larger batch serves more requests per second, but each of them gets its tokens more slowly.
"""

from collections.abc import Callable
from typing import Final

from chatscale_contract.server.profiles import Profile

MAX_SLOTS: Final = 256
"""The choice never exceeds it: the bound of the batch sizes that are measured."""
MIN_SLOTS: Final = 8
"""Fewer are chosen only where memory holds no more. A decode step of fewer sequences is little shorter, so the noise of
a busy node would decide: SmolLM2 on two shared cores measured 68, 86, 78 and 96 ms at 1, 2, 4 and 8 sequences."""
STEP_SHARE: Final = 0.75
"""Share of the objective that a decode step may take. The rest is for prefill steps between the decode steps: on the
profiles of the Simulated engine they add 10 to 30 ms per token of a full batch, if prompts are as long as answers."""
REQUEST_TOKENS: Final = 512
"""Prompt and answer of a typical chat request, a guess: the means of public chat traces are 800 and more, short
questions have 200. It matters only where KV cache is not reserved for the longest request."""
HELD_TOKENS: Final = 256
"""KV cache tokens of each sequence in a measured decode step: half of REQUEST_TOKENS."""
MEASURE_S: Final = 0.5
"""No further batch size is measured after this time."""
_ROUNDED_TO: Final = 8
"""Above this number memory allows only multiples of it: free memory differs a little between replicas."""


def slots_in_memory(kv_tokens: int, tokens_per_slot: int) -> int:
    """The slots that the KV cache holds, 0 to MAX_SLOTS. kv_tokens: may be negative."""
    found = min(max(kv_tokens // tokens_per_slot, 0), MAX_SLOTS)
    return found if found <= _ROUNDED_TO else found // _ROUNDED_TO * _ROUNDED_TO


def choose_slots(step_s: Callable[[int], float], tpot_s: float, most: int, clock: Callable[[], float]) -> int:
    """The largest power of two, or `most`, whose decode step takes at most STEP_SHARE of the objective.

    MIN_SLOTS are not measured.

    step_s: measures one decode step of that many sequences, in seconds; called twice if the first time is too long.
    tpot_s: objective for the time per output token. most: slots that fit into memory, at least 1.
    clock: seconds, for MEASURE_S.
    E.g. steps of 37, 50 and 77 ms at 16, 32 and 64, and an objective of 100 ms: 32.
    """
    limit_s, began_s = STEP_SHARE * tpot_s, clock()
    chosen = min(MIN_SLOTS, most)
    for size in _sizes(most):
        if clock() - began_s > MEASURE_S or (step_s(size) > limit_s and step_s(size) > limit_s):
            break
        chosen = size
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
    """Batch sizes to measure, ascending, above MIN_SLOTS."""
    powers = [size for size in (16, 32, 64, 128, MAX_SLOTS) if size < most]
    return [*powers, most] if most > MIN_SLOTS else []
