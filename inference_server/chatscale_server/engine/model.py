"""The model and its KV cache in slots: prefill of prompt chunks, decode of one token for many sequences.

Used in the engine's thread only. The cache is one block per layer, allocated once. A forward pass gets views of the
rows and columns that it needs, with a mask of the columns that each query may attend to.
"""

import math
import mmap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import torch
from transformers import Cache

from chatscale_server.engine.decode_graphs import DecodeGraphs
from chatscale_server.engine.scheduler import Chunk

SPARSE_ROWS: Final = 2
"""Decode copies the active rows if fewer than one in two between the first and the last is active.

Otherwise it computes the idle rows too and uses the cache in place.
"""

CPU_PASS_TOKENS: Final = {torch.float32: 32, torch.bfloat16: 64, torch.float16: 64}
"""Fixed cost of a forward pass on a CPU, in tokens: those computed in the time of reading the weights once. SmolLM2 on
two cores with AMX: the first token takes 62 ms in float32 and 50 ms in bfloat16, each further one 2.1 and 0.5 ms."""
CUDA_PASS_TOKENS: Final = 256
"""A guess from the data sheet of an H100: 990 TFLOPS / 3.35 TB/s is about 300."""


@dataclass(frozen=True, slots=True)
class CacheShape:
    """Dimensions of a model's KV cache."""

    layers: int
    kv_heads: int
    head_dim: int

    def token_bytes(self, dtype: torch.dtype) -> int:
        """Bytes of K and V of one token."""
        return 2 * self.layers * self.kv_heads * self.head_dim * int(dtype.itemsize)


class SlotCache(Cache):  # type: ignore[misc]  # transformers is Any to mypy
    """K and V per layer: (slots, kv_heads, max_len + 1, head_dim), the last column is scratch.

    Padding and idle rows write to the scratch column, which no view includes.
    """

    def __init__(
        self, shape: CacheShape, slots: int, max_len: int, *, dtype: torch.dtype, device: torch.device
    ) -> None:
        super().__init__(layers=[])
        self.scratch = max_len
        self._keys, self._values = (
            [_zeros((slots, shape.kv_heads, max_len + 1, shape.head_dim), dtype, device) for _ in range(shape.layers)]
            for _ in range(2)
        )
        heads = torch.arange(shape.kv_heads, device=device)
        self._head_starts = heads * (max_len + 1)
        self._slot_columns = shape.kv_heads * (max_len + 1)
        self._targets = heads
        self._view: slice | torch.Tensor = slice(0, 0)
        self._length = 0

    def focus(self, rows: slice | torch.Tensor, columns: torch.Tensor, length: int) -> None:
        """Select the part of the cache that the next forward pass uses.

        rows: slots, one per row of the batch.  columns: (batch, queries), columns to write to.
        length: number of columns that the queries may attend to.
        """
        self._view = rows
        if isinstance(rows, slice):
            rows = torch.arange(rows.start, rows.stop, device=columns.device)
        self._length = length
        # Target of each token and head, in a block viewed as one list of columns.
        starts = rows[:, None] * self._slot_columns + self._head_starts
        self._targets = (starts[:, :, None] + columns[:, None, :]).flatten()

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, layer_idx: int, *_: Any, **__: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Store (batch, kv_heads, queries, head_dim). Returns all keys and values that the queries may attend to."""
        stored = []
        for block, states in ((self._keys[layer_idx], key_states), (self._values[layer_idx], value_states)):
            width = states.shape[-1]
            block.view(-1, width).index_copy_(0, self._targets, states.reshape(-1, width))
            stored.append(block[self._view, :, : self._length])
        return stored[0], stored[1]

    def copy(self, source: int, target: int, tokens: int) -> None:
        """Copy the first `tokens` columns from one slot to another."""
        for block in (*self._keys, *self._values):
            block[target, :, :tokens] = block[source, :, :tokens]

    def get_seq_length(self, layer_idx: int = 0) -> int:  # noqa: ARG002 - transformers' signature
        """Not used, because positions and masks are always passed in."""
        return 0


def _zeros(shape: tuple[int, ...], dtype: torch.dtype, device: torch.device) -> torch.Tensor:
    """Like `torch.zeros`, but on a CPU memory is only allocated when it is written to.

    Writing zeros to 3 GB, the slots of a 0.3 GB model, took 1 s of each start.
    """
    if device.type != "cpu":
        return torch.zeros(shape, dtype=dtype, device=device)
    memory = mmap.mmap(-1, math.prod(shape) * dtype.itemsize, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    return torch.frombuffer(memory, dtype=dtype).view(shape)


@dataclass(slots=True)
class SlotModel:
    """A causal language model that keeps many sequences in slots."""

    network: Any
    cache: SlotCache
    slots: int
    device: torch.device
    dtype: torch.dtype
    graphs: DecodeGraphs | None = None
    """Recorded decode steps of fixed shapes; None computes each step in its exact shape."""

    @property
    def pass_tokens(self) -> int:
        """See `group_chunks`."""
        return CPU_PASS_TOKENS[self.dtype] if self.device.type == "cpu" else CUDA_PASS_TOKENS

    def prefill(self, chunks: Sequence[Chunk]) -> torch.Tensor:
        """Prefill chunks. Returns logits (chunks, vocab) float32 after the last token of each chunk.

        Shorter chunks are padded on the left, so that the last column is the last token of each chunk.
        """
        width = max(chunk.end - chunk.start for chunk in chunks)
        ids = torch.zeros(len(chunks), width, dtype=torch.long)
        positions = torch.full_like(ids, -1)
        for row, chunk in enumerate(chunks):
            size = chunk.end - chunk.start
            ids[row, width - size :] = torch.tensor(chunk.sequence.request.prompt[chunk.start : chunk.end])
            positions[row, width - size :] = torch.arange(chunk.start, chunk.end)
        slots = [chunk.sequence.slot for chunk in chunks]
        whole = slice(slots[0], slots[0] + len(slots))
        dense = slots == list(range(whole.start, whole.stop))
        rows = whole if dense else torch.tensor(slots, device=self.device)
        return self._forward(ids, positions, rows, max(chunk.end for chunk in chunks))

    def decode(self, slots: Sequence[int], tokens: Sequence[int], positions: Sequence[int]) -> torch.Tensor:
        """Decode one step: store `tokens` at `positions`. Returns logits (sequences, vocab) float32."""
        length = max(positions) + 1
        if self.graphs is not None:
            # Rows always start at slot 0: another start would need another graph.
            ids, places, index = _spread(slots, tokens, positions, 0, max(slots) + 1)
            return self.graphs.decode(ids, places, length)[index.to(self.device)]
        first, height = min(slots), max(slots) + 1 - min(slots)
        if len(slots) * SPARSE_ROWS < height:
            rows: slice | torch.Tensor = torch.tensor(slots, device=self.device)
            ids, places = torch.tensor(tokens)[:, None], torch.tensor(positions)[:, None]
            return self._forward(ids, places, rows, length)
        ids, places, index = _spread(slots, tokens, positions, first, height)
        return self._forward(ids, places, slice(first, first + height), length)[index.to(self.device)]

    def _forward(
        self, ids: torch.Tensor, positions: torch.Tensor, rows: slice | torch.Tensor, length: int
    ) -> torch.Tensor:
        """ids, positions: (batch, queries); position -1 marks padding. Returns logits of the last query, float32.

        length: cache columns that the queries may attend to.
        """
        return self.compute(ids.to(self.device), positions.to(self.device), rows, length)

    def compute(
        self, ids: torch.Tensor, positions: torch.Tensor, rows: slice | torch.Tensor, length: int
    ) -> torch.Tensor:
        """Like `_forward`, for tensors on the device.

        Must not synchronise with the device: a CUDA graph could not record that.
        """
        self.cache.focus(rows, positions.masked_fill(positions < 0, self.cache.scratch), length)
        positions = positions.clamp(min=0)
        # Padding attends to column 0: a row without any column would give NaN.
        hidden = torch.arange(length, device=self.device) > positions[:, :, None]
        # An additive mask, made once here. From a boolean mask every layer would have to make its own.
        mask = torch.zeros(hidden.shape, dtype=self.dtype, device=self.device).masked_fill_(hidden, -torch.inf)
        with torch.inference_mode():
            output = self.network(
                input_ids=ids,
                position_ids=positions,
                attention_mask=mask[:, None],
                past_key_values=self.cache,
                use_cache=True,
                logits_to_keep=1,
            )
        logits: torch.Tensor = output.logits[:, -1].float()
        return logits


def _spread(
    slots: Sequence[int], tokens: Sequence[int], positions: Sequence[int], first: int, height: int
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Ids and positions (height, 1) of the slots from `first` on, position -1 if idle; indices of the active slots."""
    ids, places = torch.zeros(height, 1, dtype=torch.long), torch.full((height, 1), -1)
    index = torch.tensor(slots) - first
    ids[index, 0], places[index, 0] = torch.tensor(tokens), torch.tensor(positions)
    return ids, places, index


def group_chunks(chunks: Sequence[Chunk], pass_tokens: int) -> list[list[Chunk]]:
    """Group chunks into forward passes with the lowest total cost.

    A pass pads all of its chunks to the longest one, and has a fixed cost of `pass_tokens`.
    E.g. at 64: sizes 105, 105 and 56 are one pass (49 tokens of padding), 105 and 7 are two.
    """
    ordered = sorted(chunks, key=lambda chunk: chunk.start - chunk.end)
    # A pass has consecutive chunks of this order. costs: lowest cost of the first n; begins: start of the last pass.
    costs, begins = [0], [0]
    for end in range(1, len(ordered) + 1):
        cost, begin = min(
            (costs[begin] + pass_tokens + (ordered[begin].end - ordered[begin].start) * (end - begin), begin)
            for begin in range(end)
        )
        costs.append(cost)
        begins.append(begin)
    groups, end = [], len(ordered)
    while end > 0:
        groups.append(ordered[begins[end] : end])
        end = begins[end]
    # Consecutive slots in order are used in place, others must be copied.
    return [sorted(group, key=lambda chunk: chunk.sequence.slot) for group in reversed(groups)]
