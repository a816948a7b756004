"""Decode steps recorded as CUDA graphs, one for each shape of a step.

The decode step of a small model on a GPU is bound by the CPU, which launches hundreds of kernels one by one. A graph
launches them at once, but always with the same shapes and addresses. Rows and columns are therefore rounded up to a
few sizes, and inputs and outputs have fixed buffers. The recorder is a parameter, so that tests need no GPU.
"""

import logging
from collections.abc import Callable
from typing import Any, Final

import torch

log = logging.getLogger(__name__)

MIN_COLUMNS: Final = 256
"""Cache columns of the smallest graph. Steps with fewer columns are fast without a graph."""
_WARM_UP_RUNS: Final = 2
"""Runs before recording, in which libraries allocate their workspaces. torch's examples use three, transformers two."""

Compute = Callable[[torch.Tensor, torch.Tensor, slice, int], torch.Tensor]
"""(ids, positions, slots, columns) -> logits, as in `SlotModel.compute`. Must not synchronise with the GPU."""
Record = Callable[[Callable[[], None]], Callable[[], None]]
"""Records a step and returns a function that replays it."""


class DecodeGraphs:
    """Graphs of one model by (rows, columns), recorded when first needed: at most log2(slots) x log2(max_len)."""

    def __init__(
        self, compute: Compute, slots: int, max_len: int, vocab: int, device: torch.device, record: Record
    ) -> None:
        self._compute = compute
        self._slots, self._max_len = slots, max_len
        self._record = record
        self._replays: dict[tuple[int, int], Callable[[], None]] = {}
        self._ids = torch.zeros(slots, 1, dtype=torch.long, device=device)
        self._positions = torch.full((slots, 1), -1, dtype=torch.long, device=device)
        # The graphs share one memory pool whose content does not outlive a replay, so the logits have their own buffer.
        self._logits = torch.zeros(slots, vocab, dtype=torch.float32, device=device)
        self.failure: str | None = None
        """Why no more graphs are recorded. Shapes without a graph are computed directly."""

    def decode(self, ids: torch.Tensor, positions: torch.Tensor, length: int) -> torch.Tensor:
        """ids, positions: (rows, 1) of the first slots; position -1 marks an idle slot.  length: visible cache columns.

        Returns logits (rows, vocab) float32, valid until the next call.
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
        """The step's graph, or the step itself if there is no memory for one or the model synchronises with the GPU."""
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
    """The smallest power of two >= `wanted`, within the two bounds."""
    return min(most, max(least, 1 << (wanted - 1).bit_length()))


def cuda_recorder() -> Record:
    """A recorder for the current GPU. All graphs share one memory pool. Errors of torch are passed on."""
    pool: Any = torch.cuda.graph_pool_handle()

    def record(step: Callable[[], None]) -> Callable[[], None]:
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.inference_mode(), torch.cuda.stream(side):
            for _ in range(_WARM_UP_RUNS):
                step()
        torch.cuda.current_stream().wait_stream(side)
        graph: Any = torch.cuda.CUDAGraph()
        # CUDA calls of other threads, e.g. of a profiler, must not abort the recording.
        with torch.inference_mode(), torch.cuda.graph(graph, pool=pool, capture_error_mode="thread_local"):
            step()
        replay: Callable[[], None] = graph.replay
        return replay

    return record
