"""Linear layers whose weights are laid out for oneDNN once, where that pays on this CPU.

`F.linear` lays them out anew in every call, or not at all; a decode step of a small batch waits for little
else. The operators are torch's own but private, so everything here may fail, and the caller must be able
to go on without.
"""

import time
from collections.abc import Callable, Iterator
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


def pack_linears(network: Any, rows: int, pays: Callable[[torch.Tensor, int], bool] = pays_off) -> int:
    """Replace the layers that are faster packed at so many rows; how many were. Raises what torch raises.

    Dense weights are let go one layer at a time, so there are never two whole copies.
    """
    gains: dict[tuple[int, ...], bool] = {}
    packed = 0
    with torch.inference_mode():
        for parent, name, layer in list(_linears(network)):
            weight = layer.weight if isinstance(layer, torch.nn.Linear) else layer.weight.t().contiguous()
            shape = tuple(weight.shape)
            if shape not in gains:
                gains[shape] = pays(weight, rows)
            if gains[shape]:
                setattr(parent, name, PackedLinear(weight, layer.bias))
                packed += 1
    return packed


def _linears(network: Any) -> Iterator[tuple[Any, str, Any]]:
    """(parent, attribute, layer); subclasses are left alone, they do something of their own."""
    for parent in network.modules():
        for name, layer in parent.named_children():
            if type(layer) in (torch.nn.Linear, Conv1D):
                yield parent, name, layer
