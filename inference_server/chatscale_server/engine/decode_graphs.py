"""Decode steps recorded as CUDA graphs, one for each shape of a step.

A small model's decode step on a GPU waits for the processor, which launches hundreds of kernels one by one; a graph
launches them at once, but always with the same shapes and addresses. So rows and columns are rounded up to a few
sizes, and what goes in and comes out has fixed places. How a step is recorded is a seam: tests do without a GPU.
"""

import logging
from collections.abc import Callable
from typing import Any, Final

import torch

log = logging.getLogger(__name__)

MIN_COLUMNS: Final = 256
"""Of the cache, seen by the smallest graph: fewer would be graphs for steps that take no time anyway."""
_WARM_UP_RUNS: Final = 2
"""Before recording, libraries set up their workspaces; torch's own examples run three times, transformers' two."""

Compute = Callable[[torch.Tensor, torch.Tensor, slice, int], torch.Tensor]
"""(ids, positions, slots, columns) -> logits, as `SlotModel` computes them. Must not wait for the GPU."""
Record = Callable[[Callable[[], None]], Callable[[], None]]
"""Takes a step apart from its inputs, and gives what repeats it."""


class DecodeGraphs:
    """Graphs of one model by (rows, columns), made when first needed; their number is the product of two logarithms."""

    def __init__(
        self, compute: Compute, slots: int, max_len: int, vocab: int, device: torch.device, record: Record
    ) -> None:
        self._compute = compute
        self._slots, self._max_len = slots, max_len
        self._record = record
        self._replays: dict[tuple[int, int], Callable[[], None]] = {}
        self._ids = torch.zeros(slots, 1, dtype=torch.long, device=device)
        self._positions = torch.full((slots, 1), -1, dtype=torch.long, device=device)
        # Graphs share one pool of memory, in which nothing outlives a replay, so their logits have a place outside.
        self._logits = torch.zeros(slots, vocab, dtype=torch.float32, device=device)
        self.failure: str | None = None
        """Why no more graphs are made; shapes without one are computed as they are."""

    def decode(self, ids: torch.Tensor, positions: torch.Tensor, length: int) -> torch.Tensor:
        """ids, positions: (rows, 1) of the first slots; position -1 marks an idle one.  length: columns that are seen.

        Logits (rows, vocab) float32, valid until the next call.
        """
        rows = size_for(len(ids), 1, self._slots)
        columns = size_for(length, MIN_COLUMNS, self._max_len)
        self._positions[len(ids) : rows] = -1
        self._ids[: len(ids)].copy_(ids)
        self._positions[: len(ids)].copy_(positions)
        if (replay := self._replays.get((rows, columns))) is None:
            replay = self._replays[rows, columns] = self._recorded(lambda: self._step(rows, columns))
        replay()
        return self._logits[: len(ids)]

    def _recorded(self, step: Callable[[], None]) -> Callable[[], None]:
        """The step's graph; or the step itself, when there is no memory for a graph or the model waits for the GPU."""
        if self.failure is not None:
            return step
        try:
            return self._record(step)
        except RuntimeError as error:
            self.failure = str(error)
            log.warning("no more decode graphs", extra={"made": len(self._replays), "reason": self.failure})
            return step

    def _step(self, rows: int, columns: int) -> None:
        logits = self._compute(self._ids[:rows], self._positions[:rows], slice(0, rows), columns)
        self._logits[:rows].copy_(logits)


def size_for(wanted: int, least: int, most: int) -> int:
    """The smallest power of two that is enough, between the two bounds."""
    return min(most, max(least, 1 << (wanted - 1).bit_length()))


def cuda_recorder() -> Record:
    """Records on the current GPU; all graphs share one pool of memory. What it gives raises what torch raises."""
    pool: Any = torch.cuda.graph_pool_handle()

    def record(step: Callable[[], None]) -> Callable[[], None]:
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.inference_mode(), torch.cuda.stream(side):
            for _ in range(_WARM_UP_RUNS):
                step()
        torch.cuda.current_stream().wait_stream(side)
        graph: Any = torch.cuda.CUDAGraph()
        # Other threads, such as a debugger's or a profiler's, must not end the recording by what they do meanwhile.
        with torch.inference_mode(), torch.cuda.graph(graph, pool=pool, capture_error_mode="thread_local"):
            step()
        replay: Callable[[], None] = graph.replay
        return replay

    return record
