"""The layers of multilingual-e5-small as an ONNX graph with weights of 4 bits, for one text at a time.

BERT (J. Devlin et al., NAACL 2019) with the mean of the last layer's tokens. The products are `MatMulNBits` of ONNX
Runtime, which computes with 4-bit weights and 8-bit inputs (accuracy level 4) in the CPU's own instructions.
"""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from chatscale_assistant.encoders.e5_file import BLOCK, E5File, Matrix

INPUT: Final = "embeddings"
OUTPUT: Final = "mean"
_OPSET: Final = 17
_IR_VERSION: Final = 9
_CONTRIB: Final = "com.microsoft"
_EIGHT_BIT_INPUTS: Final = 4


def build_graph(file: E5File) -> bytes:
    """A model from `embeddings` (1, tokens, width), sums of words and positions, to `mean` (1, width)."""
    return _Graph(file).build()


class _Graph:
    def __init__(self, file: E5File) -> None:
        self._file = file
        self._nodes: list[Any] = []
        self._tensors: list[Any] = []

    def build(self) -> bytes:
        width = self._file.width
        hidden = self._norm(INPUT, "emb.ln")
        for layer in range(self._file.layers):
            hidden = self._layer(hidden, f"l{layer}")
        self._add("ReduceMean", [hidden], OUTPUT, axes=[1], keepdims=0)
        graph = helper.make_graph(
            self._nodes,
            "e5",
            [helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, [1, "tokens", width])],
            [helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, [1, width])],
            self._tensors,
        )
        opsets = [helper.make_opsetid("", _OPSET), helper.make_opsetid(_CONTRIB, 1)]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=_IR_VERSION)
        found: bytes = model.SerializeToString()
        return found

    def _layer(self, hidden: str, name: str) -> str:
        together = self._product(hidden, *(f"{name}.{part}" for part in "qkv"))
        parts = [f"{name}.{part}" for part in "qkv"]
        self._nodes.append(helper.make_node("Split", [together], parts, axis=2))
        attended = self._add(
            "MultiHeadAttention", parts, f"{name}.attended", domain=_CONTRIB, num_heads=self._file.heads
        )
        projected = self._product(attended, f"{name}.ao")
        hidden = self._norm(self._add("Add", [hidden, projected], f"{name}.between"), f"{name}.aln")
        inner = self._add("Gelu", [self._product(hidden, f"{name}.fi")], f"{name}.active", domain=_CONTRIB)
        projected = self._product(inner, f"{name}.fo")
        return self._norm(self._add("Add", [hidden, projected], f"{name}.after"), f"{name}.oln")

    def _product(self, source: str, *names: str) -> str:
        """Of one matrix, or of several with the same input: their outputs are side by side."""
        name = names[0]
        bias = np.concatenate([self._file.vector(f"{each}.b") for each in names])
        matrix = Matrix(np.concatenate([self._matrix(each).blocks for each in names]))
        inputs = [
            source,
            self._tensor(f"{name}.w", packed(matrix)),
            self._tensor(f"{name}.s", matrix.scales().reshape(-1)),
        ]
        product = self._add(
            "MatMulNBits", inputs, f"{name}.product", domain=_CONTRIB, K=matrix.columns, N=len(bias), bits=4,
            block_size=BLOCK, accuracy_level=_EIGHT_BIT_INPUTS,
        )  # fmt: skip
        return self._add("Add", [product, self._tensor(f"{name}.b", bias)], f"{name}.output")

    def _matrix(self, name: str) -> Matrix:
        return self._file.matrix(f"{name}.w", rows=len(self._file.vector(f"{name}.b")))

    def _norm(self, source: str, name: str) -> str:
        weights = [self._tensor(f"{name}.{part}", self._file.vector(f"{name}.{part}")) for part in "wb"]
        return self._add(
            "LayerNormalization", [source, *weights], f"{name}.output", axis=-1, epsilon=self._file.epsilon
        )

    def _tensor(self, name: str, numbers: NDArray[Any]) -> str:
        self._tensors.append(numpy_helper.from_array(np.ascontiguousarray(numbers), name))
        return name

    def _add(self, operator: str, inputs: list[str], output: str, **attributes: Any) -> str:
        self._nodes.append(helper.make_node(operator, inputs, [output], **attributes))
        return output


def packed(matrix: Matrix) -> NDArray[np.uint8]:
    """[rows, columns / BLOCK, BLOCK / 2] as `MatMulNBits` has them: of two neighbours, the first is the lower half."""
    numbers = matrix.numbers()
    return (numbers[..., 0::2] | numbers[..., 1::2] << np.uint8(4)).astype(np.uint8)
