"""Decode steps recorded as CUDA graphs, one for each of a few batch sizes.

The decode step of a small model on a GPU is bound by the CPU, which launches hundreds of kernels one by one. A graph
launches them at once, but always with the same shapes and addresses. The number of rows is therefore rounded up to a
few sizes, and inputs and outputs have fixed buffers. Lengths of sequences are data, so no other shape is needed. All
graphs are recorded before the server is ready. The recorder is a parameter, so that tests need no GPU.
"""

import logging
from collections.abc import Callable, Sequence
from typing import Any, Final

import torch

log = logging.getLogger(__name__)

_WARM_UP_RUNS: Final = 2
"""Runs before recording, in which libraries allocate their workspaces. torch's examples use three, transformers two."""
_FINE_UP_TO: Final = 32
_STEP: Final = 16
"""Sizes above _FINE_UP_TO are multiples of it, because larger products take time for each row."""

Compute = Callable[[torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]
"""(ids, positions, slots), each (rows,) int64 on the GPU -> logits (rows, vocab), of any float type.

Must not synchronise with the GPU."""
Record = Callable[[Callable[[], None]], Callable[[], None]]
"""Records a step and returns a function that replays it."""


def graph_sizes(slots: int) -> list[int]:
    """Batch sizes to record, ascending: powers of two, then multiples of 16, and the number of slots."""
    powers = [1, 2, 4, 8, 16, _FINE_UP_TO]
    return sorted({size for size in (*powers, *range(_FINE_UP_TO, slots, _STEP)) if size < slots} | {slots})


class DecodeGraphs:
    """The recorded steps of one model."""

    def __init__(self, compute: Compute, slots: int, vocab: int, device: torch.device) -> None:
        self._compute = compute
        self._slots = slots
        self._replays: dict[int, Callable[[], None]] = {}
        on_gpu = device.type == "cuda"
        # Ids, positions and slots. Idle rows are at position 0 of the table's last row.
        self._host = torch.zeros(3, slots, dtype=torch.long, pin_memory=on_gpu)
        self._inputs = torch.zeros(3, slots, dtype=torch.long, device=device)
        self._inputs[2] = slots
        # The graphs share one memory pool whose content does not outlive a replay, so outputs have their own buffers.
        self._logits = torch.zeros(slots, vocab, dtype=torch.float32, device=device)
        self._greedy = torch.zeros(slots, dtype=torch.long, device=device)
        self._copied: Any = torch.cuda.Event() if on_gpu else None

    @property
    def sizes(self) -> list[int]:
        """The recorded batch sizes."""
        return sorted(self._replays)

    def record(self, record: Record) -> None:
        """Record all sizes. Passes on errors of torch; the sizes recorded before stay usable."""
        # The largest first: the others then use its memory.
        for size in reversed(graph_sizes(self._slots)):
            self._replays[size] = record(lambda size=size: self._step(size))  # type: ignore[misc]

    def fits(self, rows: int) -> bool:
        """True if there is a recorded step for this many rows."""
        return bool(self._replays) and rows <= max(self._replays)

    def decode(
        self, rows: Sequence[tuple[int, int, int]], drawn: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """One step of the rows (token, position, slot). Does not wait for the GPU.

        drawn: (rows,) int64 on the GPU, to use instead of the rows' tokens.
        Returns logits (rows, vocab) float32 and the most likely tokens (rows,) int64, valid until the next call.
        """
        count = len(rows)
        size = min(size for size in self._replays if size >= count)
        idle = (0, 0, self._slots)
        if self._copied is not None:
            self._copied.synchronize()  # the copy before may still read the host's buffer
        self._host[:, :size] = torch.tensor([*rows, *[idle] * (size - count)]).t()
        self._inputs[:, :size].copy_(self._host[:, :size], non_blocking=True)
        if self._copied is not None:
            self._copied.record()
        if drawn is not None:
            self._inputs[0, :count].copy_(drawn)
        self._replays[size]()
        return self._logits[:count], self._greedy[:count]

    def _step(self, rows: int) -> None:
        logits = self._compute(self._inputs[0, :rows], self._inputs[1, :rows], self._inputs[2, :rows])
        self._logits[:rows].copy_(logits)
        torch.argmax(self._logits[:rows], dim=-1, out=self._greedy[:rows])


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
