"""The model and its KV cache: one forward pass over tokens that decode and chunks of prompts.

Used in the engine's thread only.
"""

from collections.abc import Sequence as Ordered
from dataclasses import dataclass
from itertools import accumulate, chain
from typing import Any, Final

import torch

from chatscale_server.engine import network_forward, row_forward
from chatscale_server.engine.attention import GATHERED_TOKENS
from chatscale_server.engine.decode_graphs import DecodeGraphs
from chatscale_server.engine.fused import FusedDecoder
from chatscale_server.engine.kv_cache import KvCache
from chatscale_server.engine.packed import PackedBatch, Prompts, Row

_ALIGNED: Final = 4
"""Numbers of four or eight bytes in a multiple of 16 bytes."""


@dataclass(slots=True)
class Found:
    """Results of a forward pass on the device."""

    logits: torch.Tensor
    """(rows, vocab) float32"""
    greedy: torch.Tensor | None = None
    """(rows,) int64: the most likely tokens, if the pass has computed them."""


@dataclass(slots=True)
class SlotModel:
    """A causal language model that keeps many sequences in slots."""

    network: Any
    cache: KvCache
    slots: int
    device: torch.device
    dtype: torch.dtype
    decoder: FusedDecoder | None = None
    """The fused layers; None computes with the network of transformers."""
    graphs: DecodeGraphs | None = None
    """Recorded decode steps; None computes each step as it is."""
    by_row: bool = False
    """The network computes its own attention, one row at a time."""

    def forward(self, decodes: Ordered[Row], chunks: Ordered[Row] = ()) -> Found:
        """One row of logits for each of the rows, in this order. Each of `decodes` has one token."""
        if self.graphs is not None and not chunks and self.graphs.fits(len(decodes)):
            return self._replay(self.graphs, decodes)
        return Found(self._run(self._pack(decodes, chunks)).float())

    def decode_ahead(self, rows: Ordered[Row], drawn: torch.Tensor, at: list[int]) -> Found | None:
        """Start a decode step without waiting for it. None if there is no recorded step for it.

        drawn, at: the token of rows[i] is drawn[at[i]], on the device. The tokens of the rows themselves are not used.
        """
        if self.graphs is None or not self.graphs.fits(len(rows)):
            return None
        if len(at) < len(drawn):
            drawn = drawn[self._on_device(torch.tensor(at))]
        return self._replay(self.graphs, rows, drawn)

    def compute(self, ids: torch.Tensor, positions: torch.Tensor, slots: torch.Tensor) -> torch.Tensor:
        """Logits of a decode step whose inputs, (rows,) int64 each, are on the GPU.

        Must not synchronise with the device: a CUDA graph could not record that.
        """
        size = self.cache.page_tokens
        pages = self.cache.table[slots, positions // size]
        batch = PackedBatch(ids, positions, pages.long() * size + positions % size, None, len(ids), slots)
        return self._run(batch)

    def _replay(self, graphs: DecodeGraphs, rows: Ordered[Row], drawn: torch.Tensor | None = None) -> Found:
        self._enter(rows)
        return Found(*graphs.decode([(row.tokens[0], row.start, row.slot) for row in rows], drawn))

    def _run(self, batch: PackedBatch) -> torch.Tensor:
        with torch.inference_mode():
            if self.decoder is not None:
                return self.decoder.forward(batch, self.cache)
            compute = row_forward.forward if self.by_row else network_forward.forward
            return compute(self.network, batch, self.cache)

    def _enter(self, rows: Ordered[Row]) -> None:
        """Enter the pages of the rows in the table."""
        if self.cache.pages:
            for row in rows:
                self.cache.enter(row.slot, row.pages)

    def _pack(self, decodes: Ordered[Row], chunks: Ordered[Row]) -> PackedBatch:
        """The batch of these rows. On a CPU, decodes are in order of their slots: neighbours share a call."""
        rows = (*decodes, *chunks)
        ids = list(chain.from_iterable(row.tokens for row in rows))
        positions = torch.cat([torch.arange(row.start, row.end) for row in rows])
        targets = torch.cat([self.cache.targets(row.slot, row.pages, row.start, row.end) for row in rows])
        ends = list(accumulate(len(row.tokens) for row in rows))
        slots = [row.slot for row in decodes]
        longs = self._upload([torch.tensor(ids), positions, targets, torch.tensor(ends) - 1, torch.tensor(slots)])
        batch = PackedBatch(
            longs[0], longs[1], longs[2], longs[3] if chunks else None, len(decodes), rows=rows, cache=self.cache
        )
        if self.device.type == "cuda":
            self._enter(decodes)
            batch.slots = longs[4]
            batch.prompts = self._prompts(len(decodes), chunks)
        return batch

    def _prompts(self, first: int, chunks: Ordered[Row]) -> tuple[Prompts, ...]:
        """The chunks in groups whose keys are gathered together. Keys of prompts that begin here are not gathered."""
        fresh = [row.start == 0 for row in chunks]
        groups: list[list[Row]] = []
        for at, row in enumerate(chunks):
            gathers = at > 0 and fresh[at] == fresh[at - 1]
            if gathers and (fresh[at] or sum(one.end for one in groups[-1]) + row.end <= GATHERED_TOKENS):
                groups[-1].append(row)
            else:
                groups.append([row])
        prompts = []
        for group in groups:
            sizes = [len(row.tokens) for row in group]
            queries, keys = (list(accumulate(counts, initial=0)) for counts in (sizes, [row.end for row in group]))
            gathered = None
            if group[0].start:
                gathered = self._on_device(
                    torch.cat([self.cache.targets(row.slot, row.pages, 0, row.end) for row in group])
                )
            starts = [torch.tensor(counts, dtype=torch.int32) for counts in (queries, keys)]
            query_starts, key_starts = self._upload(starts)
            prompts.append(
                Prompts(
                    first, sum(sizes), query_starts, key_starts, max(sizes), max(row.end for row in group), gathered
                )
            )
            first += sum(sizes)
        return tuple(prompts)

    def _upload(self, parts: Ordered[torch.Tensor]) -> list[torch.Tensor]:
        """These numbers, of one type, on the device in one copy.

        Each part begins at a multiple of 16 bytes: Triton compiles a kernel anew for arguments that do not.
        """
        if self.device.type == "cpu":
            return list(parts)
        sizes = [-(-len(part) // _ALIGNED) * _ALIGNED for part in parts]
        flat = torch.zeros(sum(sizes), dtype=parts[0].dtype, pin_memory=True)
        for part, place in zip(parts, flat.split(sizes), strict=True):
            place[: len(part)] = part
        whole = flat.to(self.device, non_blocking=True).split(sizes)
        return [place[: len(part)] for part, place in zip(parts, whole, strict=True)]

    def _on_device(self, numbers: torch.Tensor) -> torch.Tensor:
        if self.device.type == "cuda":
            return numbers.pin_memory().to(self.device, non_blocking=True)
        return numbers
