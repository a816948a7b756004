"""Linear layers whose weights are laid out for oneDNN once, where that pays on this CPU.

`F.linear` lays them out anew in every call, or not at all; a decode step of a small batch waits for little
else. Layers that read the same input, such as queries, keys and values, become one. The operators are torch's
own but private, so everything here may fail, and the caller must be able to go on without.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Final

import torch
from transformers.pytorch_utils import Conv1D

LAYOUT_ROWS: Final = 16
"""Rows that the layout is chosen for; it was as good as any from 2 to 200 rows, and near the best at 1."""
MIN_GAIN: Final = 1.1
"""Below, a layer is left as it is: the difference is within what such a measurement scatters."""
_RUNS: Final = (5, 31)
"""Least and most of each way. On two cores with other work, five layers of SmolLM2 in bfloat16, all of which gain a
fifth or more, were found out as such in 57 of 60 measurements of 7 runs, and in 60 of 60 of 31."""
_MEASURE_S: Final = 0.05
"""More runs than the least only as long as that: a whole vocabulary takes 10 ms a run, other layers less than one."""
_OPERATORS: Final[Any] = torch.ops.mkldnn


class PackedLinear(torch.nn.Module):  # type: ignore[misc]  # Module is Any to mypy
    """inputs (..., in) @ weight (out, in) transposed + bias."""

    def __init__(self, weight: torch.Tensor, bias: torch.Tensor | None) -> None:
        super().__init__()
        self.out_features, self.in_features = weight.shape
        self._packed = _OPERATORS._reorder_linear_weight(weight.detach(), LAYOUT_ROWS)  # noqa: SLF001 - see the module
        self._bias = None if bias is None else bias.detach()

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """See the class."""
        output: torch.Tensor = _OPERATORS._linear_pointwise(  # noqa: SLF001 - see the module
            inputs, self._packed, self._bias, "none", [], ""
        )
        return output


class SharedLinear:
    """Several layers of one input as one; their outputs stand side by side."""

    def __init__(self, weight: torch.Tensor, bias: torch.Tensor | None, layers: int) -> None:
        self._linear = PackedLinear(weight, bias)
        self._layers = layers
        self._left = 0
        self._inputs: torch.Tensor | None = None
        self._output: torch.Tensor | None = None

    def __call__(self, inputs: torch.Tensor) -> torch.Tensor:
        """The output of all, computed by the first that asks with these inputs and forgotten with the last."""
        if inputs is not self._inputs or self._output is None:
            self._inputs, self._output, self._left = inputs, self._linear(inputs), self._layers
        output = self._output
        self._left -= 1
        if self._left == 0:
            self._inputs = self._output = None
        return output


class LinearPart(torch.nn.Module):  # type: ignore[misc]  # Module is Any to mypy
    """One layer of a `SharedLinear`."""

    def __init__(self, shared: SharedLinear, start: int, end: int) -> None:
        super().__init__()
        self._shared, self._start, self._end = shared, start, end

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """See the class."""
        return self._shared(inputs)[..., self._start : self._end]


@dataclass(frozen=True, slots=True)
class Siblings:
    """Layers of one module that read the same tensor one after another."""

    parent: Any
    names: tuple[str, ...]


@contextmanager
def watch_siblings(network: Any) -> Iterator[list[Siblings]]:
    """Find them in what the network computes in this block; the list fills at its end."""
    calls: list[tuple[Any, str, torch.Tensor]] = []
    hooks = [
        layer.register_forward_pre_hook(
            lambda _layer, inputs, parent=parent, name=name: calls.append((parent, name, inputs[0]))
        )
        for parent, name, layer in _linears(network)
        if type(layer) is torch.nn.Linear
    ]
    found: list[Siblings] = []
    try:
        yield found
    finally:
        for hook in hooks:
            hook.remove()
    times = Counter((id(parent), name) for parent, name, _inputs in calls)
    for _same, group in groupby(calls, key=lambda call: (id(call[0]), id(call[2]))):
        members = list(group)
        siblings = Siblings(members[0][0], tuple(name for _parent, name, _inputs in members))
        biased = {getattr(siblings.parent, name).bias is not None for name in siblings.names}
        if len(members) > 1 and len(biased) == 1 and all(times[id(siblings.parent), n] == 1 for n in siblings.names):
            found.append(siblings)


def pays_off(weight: torch.Tensor, rows: int) -> bool:
    """Whether so many rows go through a packed layer of this shape clearly faster, as measured in milliseconds."""
    inputs = torch.ones(rows, weight.shape[1], dtype=weight.dtype)
    packed: Callable[[torch.Tensor], torch.Tensor] = PackedLinear(weight, None)
    ways: tuple[Callable[[], torch.Tensor], ...] = (
        lambda: torch.nn.functional.linear(inputs, weight),
        lambda: packed(inputs),
    )
    seconds: tuple[list[float], list[float]] = ([], [])
    # In turns, and the best of each: neighbours on the machine disturb both alike.
    least, most = _RUNS
    for run in range(most):
        if run >= least and sum(map(sum, seconds)) > _MEASURE_S:
            break
        for way, times in zip(ways, seconds, strict=True):
            began = time.perf_counter()
            way()
            times.append(time.perf_counter() - began)
    dense_s, packed_s = map(min, seconds)
    return dense_s > MIN_GAIN * packed_s


def pack_linears(
    network: Any,
    rows: int,
    siblings: Sequence[Siblings] = (),
    pays: Callable[[torch.Tensor, int], bool] = pays_off,
) -> int:
    """Replace the layers that are faster packed at so many rows; how many were. Raises what torch raises.

    siblings: are packed as one. Dense weights are let go one layer at a time, so there are never two whole copies.
    """
    gains: dict[tuple[int, ...], bool] = {}

    def gain(weight: torch.Tensor) -> bool:
        shape = tuple(weight.shape)
        if shape not in gains:
            gains[shape] = pays(weight, rows)
        return gains[shape]

    packed = 0
    with torch.inference_mode():
        for group in siblings:
            weight, bias = _side_by_side([getattr(group.parent, name) for name in group.names])
            if gain(weight):
                _share(group, SharedLinear(weight, bias, len(group.names)))
                packed += len(group.names)
        for parent, name, layer in list(_linears(network)):
            weight = layer.weight if isinstance(layer, torch.nn.Linear) else layer.weight.t().contiguous()
            if gain(weight):
                setattr(parent, name, PackedLinear(weight, layer.bias))
                packed += 1
    return packed


def _side_by_side(layers: Sequence[Any]) -> tuple[torch.Tensor, torch.Tensor | None]:
    biases = [layer.bias for layer in layers if layer.bias is not None]
    return torch.cat([layer.weight for layer in layers]), torch.cat(biases) if biases else None


def _share(group: Siblings, shared: SharedLinear) -> None:
    start = 0
    for name in group.names:
        end = start + getattr(group.parent, name).out_features
        setattr(group.parent, name, LinearPart(shared, start, end))
        start = end


def _linears(network: Any) -> Iterator[tuple[Any, str, Any]]:
    """(parent, attribute, layer); subclasses are left alone, they do something of their own."""
    for parent in network.modules():
        for name, layer in parent.named_children():
            if type(layer) in (torch.nn.Linear, Conv1D):
                yield parent, name, layer
