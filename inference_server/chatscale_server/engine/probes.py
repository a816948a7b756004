"""Rows of forward passes that belong to no request, for checks and measurements before the server is ready."""

import time
from collections.abc import Callable, Sequence

from chatscale_server.engine.model import SlotModel
from chatscale_server.engine.packed import Row


def probe_row(model: SlotModel, slot: int, tokens: Sequence[int], start: int = 0) -> Row:
    """Tokens in a slot. Slots have pages of their own as far as there are enough."""
    cache = model.cache
    if not cache.pages:
        return Row(slot, tokens, start)
    needed = -(-(start + len(tokens)) // cache.page_tokens)
    return Row(slot, tokens, start, [1 + (slot * needed + at) % (cache.pages - 1) for at in range(needed)])


def decode_seconds(
    model: SlotModel, size: int, runs: int, position: int = 1, clock: Callable[[], float] = time.perf_counter
) -> float:
    """Shortest of several decode steps of the first `size` slots, which store their token at `position`."""
    rows = [probe_row(model, slot, [1], position) for slot in range(size)]
    times = []
    for _ in range(runs):
        began = clock()
        model.forward(rows).logits.argmax(dim=-1).tolist()
        times.append(clock() - began)
    return min(times)


def prefill_seconds(model: SlotModel, count: int) -> float:
    """Time of a prompt of `count` tokens."""
    began = time.perf_counter()
    model.forward((), [probe_row(model, 0, [1] * count)]).logits.argmax(dim=-1).tolist()
    return time.perf_counter() - began
