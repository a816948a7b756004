"""Packed layers compute what dense ones do; which are packed is a matter of measurement, never of the result."""

from weakref import ref

import pytest
import torch
from transformers.pytorch_utils import Conv1D

from chatscale_server.engine.linears import LinearPart, PackedLinear, Siblings, pack_linears, watch_siblings

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
    assert pack_linears(block, 4, pays=always) == 3
    assert [type(layer) for layer in (block.plain, block.turned, block.inner[0])] == [PackedLinear] * 3
    with torch.inference_mode():
        torch.testing.assert_close(block(inputs), expected, rtol=1e-5, atol=1e-5)


def test_a_shape_is_measured_once_and_kept_dense_where_packing_does_not_pay():
    asked = []

    def only_wide(weight: torch.Tensor, rows: int) -> bool:
        asked.append((tuple(weight.shape), rows))
        return weight.shape[1] == 8

    network = torch.nn.Sequential(torch.nn.Linear(8, 8), torch.nn.Linear(8, 8), torch.nn.Linear(4, 8))
    assert pack_linears(network, 16, pays=only_wide) == 2
    assert asked == [((8, 8), 16), ((8, 4), 16)]
    assert type(network[2]) is torch.nn.Linear


class Attention(torch.nn.Module):
    """Queries and keys of one input, an output of another, and a layer that is used twice."""

    def __init__(self, *, bias: bool) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.queries, self.keys = torch.nn.Linear(8, 8, bias=bias), torch.nn.Linear(8, 4, bias=bias)
        self.output, self.twice = torch.nn.Linear(8, 8), torch.nn.Linear(8, 8)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        queries, keys = self.queries(inputs), self.keys(inputs)
        output: torch.Tensor = self.output(queries * keys.repeat(1, 2))
        return self.twice(output) + self.twice(output)


@pytest.mark.parametrize("bias", [True, False])
def test_layers_of_one_input_become_one_and_answer_alike(bias):
    attention = Attention(bias=bias).requires_grad_(requires_grad=False)
    with watch_siblings(attention) as siblings:
        attention(torch.randn(3, 8))
    assert siblings == [Siblings(attention, ("queries", "keys"))]
    batches = [torch.randn(5, 8), torch.randn(2, 8)]
    expected = [attention(inputs) for inputs in batches]
    assert pack_linears(attention, 4, siblings, always) == 4
    assert {type(attention.queries), type(attention.keys)} == {LinearPart}
    with torch.inference_mode():
        for inputs, output in zip(batches, expected, strict=True):
            torch.testing.assert_close(attention(inputs), output, rtol=1e-5, atol=1e-5)


def test_a_shared_layer_computes_once_for_all_and_keeps_nothing(monkeypatch):
    attention = Attention(bias=True).requires_grad_(requires_grad=False)
    pack_linears(attention, 4, [Siblings(attention, ("queries", "keys"))], always)
    computed: list[int] = []
    forward = PackedLinear.forward

    def counting(layer: PackedLinear, inputs: torch.Tensor) -> torch.Tensor:
        computed.append(layer.out_features)
        return forward(layer, inputs)

    monkeypatch.setattr(PackedLinear, "forward", counting)
    inputs = torch.randn(3, 8)
    left = ref(inputs)
    with torch.inference_mode():
        attention(inputs)
    del inputs
    assert (sorted(computed), left()) == ([8, 8, 8, 12], None)


def test_a_part_that_is_asked_alone_or_again_answers_for_the_inputs_it_was_given():
    attention = Attention(bias=True).requires_grad_(requires_grad=False)
    first, second = torch.randn(3, 8), torch.randn(3, 8)
    expected = [attention.queries(first), attention.queries(second), attention.keys(first), attention.keys(first)]
    pack_linears(attention, 4, [Siblings(attention, ("queries", "keys"))], always)
    with torch.inference_mode():
        found = [attention.queries(first), attention.queries(second), attention.keys(first), attention.keys(first)]
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


def test_layers_of_one_input_stay_apart_where_one_has_no_bias():
    attention = Attention(bias=True)
    attention.keys = torch.nn.Linear(8, 4, bias=False)
    with watch_siblings(attention) as siblings:
        attention(torch.randn(3, 8))
    assert siblings == []
