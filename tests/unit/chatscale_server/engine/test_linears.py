"""Packed layers compute what dense ones do; which are packed is a matter of measurement, never of the result."""

import pytest
import torch
from transformers.pytorch_utils import Conv1D

from chatscale_server.engine.linears import PackedLinear, pack_linears

pytestmark = pytest.mark.skipif(not torch.backends.mkldnn.is_available(), reason="this torch has no oneDNN")


def always(_weight: torch.Tensor, _rows: int) -> bool:
    return True


@pytest.mark.parametrize("shape", [(1, 24), (40, 24), (2, 3, 24)], ids=str)
@pytest.mark.parametrize("bias", [True, False])
def test_a_packed_layer_gives_what_the_dense_one_gives(shape, bias):
    torch.manual_seed(1)
    dense, inputs = torch.nn.Linear(24, 40, bias=bias), torch.randn(shape)
    with torch.inference_mode():
        packed = PackedLinear(dense.weight, dense.bias)
        torch.testing.assert_close(packed(inputs), dense(inputs), rtol=1e-5, atol=1e-5)


class Block(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.plain = torch.nn.Linear(8, 6)
        self.turned = Conv1D(4, 6)
        self.inner = torch.nn.Sequential(torch.nn.Linear(4, 8, bias=False), torch.nn.GELU())

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        output: torch.Tensor = self.inner(self.turned(self.plain(inputs)))
        return output


def test_every_layer_that_pays_is_replaced_in_whatever_module_it_is():
    block, inputs = Block().requires_grad_(requires_grad=False), torch.randn(5, 8)
    expected = block(inputs)
    assert pack_linears(block, 4, always) == 3
    assert [type(layer) for layer in (block.plain, block.turned, block.inner[0])] == [PackedLinear] * 3
    with torch.inference_mode():
        torch.testing.assert_close(block(inputs), expected, rtol=1e-5, atol=1e-5)


def test_a_shape_is_measured_once_and_kept_dense_where_packing_does_not_pay():
    asked = []

    def only_wide(weight: torch.Tensor, rows: int) -> bool:
        asked.append((tuple(weight.shape), rows))
        return weight.shape[1] == 8

    network = torch.nn.Sequential(torch.nn.Linear(8, 8), torch.nn.Linear(8, 8), torch.nn.Linear(4, 8))
    assert pack_linears(network, 16, only_wide) == 2
    assert asked == [((8, 8), 16), ((8, 4), 16)]
    assert type(network[2]) is torch.nn.Linear
