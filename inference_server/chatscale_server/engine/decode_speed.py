"""Measures decode steps by batch size, and chooses the number of slots from them where the settings name none."""

import logging
import time
from collections.abc import Callable
from typing import Final

from chatscale_contract.server.metrics import decode_batch_sizes
from chatscale_contract.server.slots import HELD_TOKENS, choose_slots
from chatscale_server.engine.model import SlotModel
from chatscale_server.engine.probes import decode_seconds

log = logging.getLogger(__name__)

DECODE_PROBES: Final = {"cpu": 2, "cuda": 3}
"""Decode steps to measure for each batch size."""


def measure_decode(model: SlotModel) -> dict[int, float]:
    """Seconds of one decode step by number of sequences, for the sizes of `decode_batch_sizes`."""
    runs = DECODE_PROBES[model.device.type]
    return {size: decode_seconds(model, size, runs) for size in decode_batch_sizes(model.slots)}


def choose_batch(model: SlotModel, most: int, tpot_s: float, resize: Callable[[int], None]) -> None:
    """Choose the number of slots from measured steps, at most `most`. If a measurement fails, the number stays.

    tpot_s: objective for the time per output token. resize: gives the model that many slots.
    """
    steps_s: dict[int, float] = {}
    position = min(HELD_TOKENS, model.cache.max_len) - 1

    def step_s(size: int) -> float:
        steps_s[size] = decode_seconds(model, size, 1, position)
        return steps_s[size]

    slots, problem = model.slots, ""
    try:
        resize(most)
        slots = choose_slots(step_s, tpot_s, most, time.perf_counter)
    except (MemoryError, RuntimeError) as error:  # torch reports a lack of memory as RuntimeError
        problem = str(error)
    resize(slots)
    steps_ms = {size: round(seconds * 1000, 1) for size, seconds in steps_s.items()}
    log.info("slots chosen", extra={"slots": slots, "fit": most, "steps_ms": steps_ms, "problem": problem})
