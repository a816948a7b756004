"""Linear layers with weights packed for oneDNN once, where that is faster on this CPU.

`F.linear` packs them in every call, or never, and a decode step of a small batch spends most of its time there.
Layers that read the same input, such as queries, keys and values, become one layer. The operators are private to
torch, so anything here may fail, and the caller must be able to continue without packing.
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
"""Number of rows that the layout is optimised for. Measured: as good as any other from 2 to 200 rows, close at 1."""
MIN_GAIN: Final = 1.1
"""Minimum speed-up of a packed layer. Smaller differences are within the measurement noise."""
_RUNS: Final = (5, 31)
"""Minimum and maximum runs of each variant. Five layers of SmolLM2 in bfloat16 that gain at least 20 %, on two busy
cores: 57 of 60 measurements with 7 runs detected the gain, and 60 of 60 with 31 runs."""
_MEASURE_S: Final = 0.05
"""Time limit for runs beyond the minimum. The output layer takes 10 ms per run, other layers less than 1 ms."""
_OPERATORS: Final[Any] = torch.ops.mkldnn


class PackedLinear(torch.nn.Module):  # type: ignore[misc]  # Module is Any to mypy
    """inputs (..., in) @ weight (out, in) transposed + bias."""

    def __init__(self, weight: torch.Tensor, bias: torch.Tensor | None) -> None:
        super().__init__()
        self.out_features, self.in_features = weight.shape
        self._packed = _OPERATORS._reorder_linear_weight(weight.detach(), LAYOUT_ROWS)  # noqa: SLF001 - see the module
        self._bias = None if bias is None else bias.detach()

    def forward(self, inputs: torch.Tensor, after: str = "none") -> torch.Tensor:
        """See the class. after: what oneDNN computes from the result in the same pass, e.g. `swish` (SiLU)."""
        output: torch.Tensor = _OPERATORS._linear_pointwise(  # noqa: SLF001 - see the module
            inputs, self._packed, self._bias, after, [], ""
        )
        return output

    def with_other(self, inputs: torch.Tensor, other: torch.Tensor, operation: str) -> torch.Tensor:
        """The result `add`ed to or `mul`tiplied by other (..., out), in the same pass."""
        output: torch.Tensor = _OPERATORS._linear_pointwise.binary(  # noqa: SLF001 - see the module
            inputs, other, self._packed, self._bias, operation
        )
        return output


class SharedLinear:
    """Several layers with the same input, computed as one. Their outputs are concatenated."""

    def __init__(self, weight: torch.Tensor, bias: torch.Tensor | None, layers: int) -> None:
        self.linear = PackedLinear(weight, bias)
        self._layers = layers
        self._left = 0
        self._inputs: torch.Tensor | None = None
        self._output: torch.Tensor | None = None

    def __call__(self, inputs: torch.Tensor) -> torch.Tensor:
        """The output of all layers. The first call with these inputs computes it, the last one releases it."""
        if inputs is not self._inputs or self._output is None:
            self._inputs, self._output, self._left = inputs, self.linear(inputs), self._layers
        output = self._output
        self._left -= 1
        if self._left == 0:
            self._inputs = self._output = None
        return output


class LinearPart(torch.nn.Module):  # type: ignore[misc]  # Module is Any to mypy
    """One layer of a `SharedLinear`."""

    def __init__(self, shared: SharedLinear, start: int, end: int) -> None:
        super().__init__()
        self.shared = shared
        self._start, self._end = start, end

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """See the class."""
        return self.shared(inputs)[..., self._start : self._end]


@dataclass(frozen=True, slots=True)
class Siblings:
    """Layers of one module that read the same tensor one after another."""

    parent: Any
    names: tuple[str, ...]


@contextmanager
def watch_siblings(network: Any) -> Iterator[list[Siblings]]:
    """Find siblings in the forward passes of this context. The list is filled at its end."""
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


def joint_linear(parent: Any, names: Sequence[str]) -> Callable[[torch.Tensor], torch.Tensor]:
    """The named layers of a module as one, with their outputs side by side.

    Dense layers stay usable: they become views of the joint weight, so there is no second copy of it.
    """
    layers = [getattr(parent, name) for name in names]
    if all(isinstance(layer, LinearPart) for layer in layers) and len({id(layer.shared) for layer in layers}) == 1:
        whole: Callable[[torch.Tensor], torch.Tensor] = layers[0].shared.linear
        return whole
    if any(type(layer) is not torch.nn.Linear for layer in layers):
        return lambda inputs: torch.cat([layer(inputs) for layer in layers], dim=-1)
    with torch.no_grad():
        weight, bias = _side_by_side(layers)
        start = 0
        for layer in layers:
            end = start + layer.out_features
            layer.weight = torch.nn.Parameter(weight[start:end], requires_grad=False)
            if bias is not None:
                layer.bias = torch.nn.Parameter(bias[start:end], requires_grad=False)
            start = end
    return lambda inputs: torch.nn.functional.linear(inputs, weight, bias)


def residual_linear(layer: Any) -> Callable[[torch.Tensor, torch.Tensor], torch.Tensor]:
    """A function of inputs and residual: residual + layer(inputs)."""
    if isinstance(layer, PackedLinear):
        return lambda inputs, residual: layer.with_other(inputs, residual, "add")
    return lambda inputs, residual: residual + layer(inputs)


def gated_linears(parent: Any, gate: str, up: str) -> Callable[[torch.Tensor], torch.Tensor]:
    """A function of inputs: SiLU(gate(inputs)) * up(inputs).

    Packed layers compute both in their own passes: one layer for gate and up would save nothing that this does not.
    """
    first, second = getattr(parent, gate), getattr(parent, up)
    if isinstance(first, PackedLinear) and isinstance(second, PackedLinear):
        return lambda inputs: second.with_other(inputs, first(inputs, "swish"), "mul")
    joint = joint_linear(parent, (gate, up))

    def compute(inputs: torch.Tensor) -> torch.Tensor:
        left, right = joint(inputs).chunk(2, dim=-1)
        return torch.nn.functional.silu(left) * right

    return compute


def pays_off(weight: torch.Tensor, rows: int) -> bool:
    """True if a packed layer of this shape is faster by `MIN_GAIN` at `rows` rows, as measured."""
    inputs = torch.ones(rows, weight.shape[1], dtype=weight.dtype)
    packed: Callable[[torch.Tensor], torch.Tensor] = PackedLinear(weight, None)
    variants: tuple[Callable[[], torch.Tensor], ...] = (
        lambda: torch.nn.functional.linear(inputs, weight),
        lambda: packed(inputs),
    )
    seconds: tuple[list[float], list[float]] = ([], [])
    # Alternate the variants and take the best of each: other load on the machine then affects both equally.
    least, most = _RUNS
    for run in range(most):
        if run >= least and sum(map(sum, seconds)) > _MEASURE_S:
            break
        for variant, times in zip(variants, seconds, strict=True):
            began = time.perf_counter()
            variant()
            times.append(time.perf_counter() - began)
    dense_s, packed_s = map(min, seconds)
    return dense_s > MIN_GAIN * packed_s


def pack_linears(
    network: Any,
    rows: int,
    siblings: Sequence[Siblings] = (),
    pays: Callable[[torch.Tensor, int], bool] = pays_off,
) -> int:
    """Replace the layers that are faster packed at `rows` rows; returns their number. Passes on errors of torch.

    siblings: packed as one layer, or not at all. Dense weights are released layer by layer, so there are never two full
    copies.
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
        together = {(id(group.parent), name) for group in siblings for name in group.names}
        for parent, name, layer in list(_linears(network)):
            if (id(parent), name) in together:
                continue
            weight = layer.weight if isinstance(layer, torch.nn.Linear) else layer.weight.t().contiguous()
            if gain(weight):
                setattr(parent, name, PackedLinear(weight, layer.bias))
                packed += 1
    return packed


def _side_by_side(layers: Sequence[Any]) -> tuple[torch.Tensor, torch.Tensor | None]:
    """The weights of several layers as one, and their biases, if they have any."""
    if len({layer.bias is None for layer in layers}) > 1:
        raise TypeError("some of the layers have a bias, others have none")
    biases = [layer.bias for layer in layers if layer.bias is not None]
    return torch.cat([layer.weight for layer in layers]), torch.cat(biases) if biases else None


def _share(group: Siblings, shared: SharedLinear) -> None:
    start = 0
    for name in group.names:
        end = start + getattr(group.parent, name).out_features
        setattr(group.parent, name, LinearPart(shared, start, end))
        start = end


def _linears(network: Any) -> Iterator[tuple[Any, str, Any]]:
    """(parent, attribute, layer) of all linear layers. Subclasses are skipped, because they may behave differently."""
    for parent in network.modules():
        for name, layer in parent.named_children():
            if type(layer) in (torch.nn.Linear, Conv1D):
                yield parent, name, layer
