"""A forward pass, one row after the other, through a network of transformers that computes its own attention.

For families without transformers' attention interface, e.g. Falcon, Bloom, MPT, GPT-J and StableLM. Their code gets one
sequence at a time, and a cache object that keeps keys and values in ours. So prefixes, pages and slots work as for all
other families, but each row reads all weights: a batch is not faster than its rows.
"""

import copy
import inspect
from typing import Any, Final

import torch
from transformers import AutoModelForCausalLM, Cache
from typing_extensions import override

from chatscale_server.engine.kv_cache import CacheShape, KvCache
from chatscale_server.engine.network_forward import cache_argument
from chatscale_server.engine.packed import PackedBatch, Row

_PROBE_TOKENS: Final = 2


class _RowCache(Cache):  # type: ignore[misc]  # transformers is Any to mypy
    """The keys and values of one sequence, as transformers' code reads and extends them."""

    def __init__(self, start: int, end: int) -> None:
        """start, end: tokens of the sequence in the cache before and after the pass."""
        super().__init__(layers=[])
        self._start, self._end = start, end
        self._written: set[int] = set()
        """Layers that have the tokens of this pass."""

    @override
    def get_seq_length(self, layer_idx: int = 0) -> int:
        return self._end if layer_idx in self._written else self._start

    @override
    def get_mask_sizes(self, query_length: int, layer_idx: int) -> tuple[int, int]:
        """Keys that a layer attends to, and the position of the first one."""
        return self._end, 0

    @property
    @override
    def is_compileable(self) -> bool:
        return False

    @override
    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, layer_idx: int, *_: Any, **__: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Store (1, kv_heads, new tokens, head_dim) each. Returns those of all tokens, (1, kv_heads, end, head_dim)."""
        self._written.add(layer_idx)
        return self.store(key_states, value_states, layer_idx)

    def store(self, keys: torch.Tensor, values: torch.Tensor, layer: int) -> tuple[torch.Tensor, torch.Tensor]:
        """As `update`."""
        raise NotImplementedError


class _SlotCache(_RowCache):
    """The keys and values of one row of a batch."""

    def __init__(self, row: Row, kv: KvCache) -> None:
        super().__init__(row.start, row.end)
        self._kv = kv
        self._places = kv.targets(row.slot, row.pages, 0, row.end).to(kv.device)

    @override
    def store(self, keys: torch.Tensor, values: torch.Tensor, layer: int) -> tuple[torch.Tensor, torch.Tensor]:
        kv, places = self._kv, self._places
        kv.write(layer, places[self._start :], keys[0].transpose(0, 1), values[0].transpose(0, 1))
        return (
            kv.keys[layer][places].transpose(0, 1)[None],
            kv.values[layer][places].transpose(0, 1)[None],
        )


class _ShapeProbe(_RowCache):
    """Records the shapes of keys and values, (kv_heads, head_dim) by layer."""

    def __init__(self) -> None:
        super().__init__(0, _PROBE_TOKENS)
        self.shapes: dict[int, set[tuple[int, int]]] = {}

    @override
    def store(self, keys: torch.Tensor, values: torch.Tensor, layer: int) -> tuple[torch.Tensor, torch.Tensor]:
        for part in (keys, values):
            self.shapes.setdefault(layer, set()).add((part.shape[1], part.shape[3]))
        return keys, values


def forward(network: Any, batch: PackedBatch, kv: KvCache) -> torch.Tensor:
    """Logits (rows, vocab) after the last token of each row, in the model's number format."""
    name = _cache_argument(network)
    takes_positions = "position_ids" in inspect.signature(network.forward).parameters
    found, end = [], 0
    for row in batch.rows:
        own = slice(end, end + len(row.tokens))
        end = own.stop
        output = network(
            input_ids=batch.ids[None, own],
            use_cache=True,
            logits_to_keep=1,
            **{name: _SlotCache(row, kv)},
            **({"position_ids": batch.positions[None, own]} if takes_positions else {}),
        )
        found.append(output.logits[0, -1])
    return torch.stack(found)


def can_compute(kind: Any) -> bool:
    """True if this class of networks takes the arguments of `forward`."""
    names = set(inspect.signature(kind.forward).parameters)
    return {"use_cache", "logits_to_keep"} <= names and cache_argument(kind.forward) is not None


def _cache_argument(network: Any) -> str:
    return cache_argument(type(network).forward) or "past_key_values"


def cache_shape(config: Any) -> CacheShape:
    """The shape of the keys and values that the family's code stores, from a pass without numbers.

    The configuration does not contain it: Falcon has one key head, some of them, or all.

    Raises ValueError if a layer has no keys and values, or others than the rest, and any error of the family's code.
    """
    probe = _ShapeProbe()
    with torch.device("meta"), torch.inference_mode():
        network = AutoModelForCausalLM.from_config(copy.deepcopy(config)).eval()
        network(torch.zeros(1, _PROBE_TOKENS, dtype=torch.long), use_cache=True, **{_cache_argument(network): probe})
    shapes = set().union(*probe.shapes.values())
    if sorted(probe.shapes) != list(range(config.num_hidden_layers)) or len(shapes) != 1:
        raise ValueError(f"the keys and values of its {config.num_hidden_layers} layers are {probe.shapes}")
    kv_heads, head_dim = shapes.pop()
    return CacheShape(config.num_hidden_layers, kv_heads, head_dim)
