"""Computes batches of inputs with an encoder: embeddings, or the probabilities of labels.

Inputs of similar length share a forward pass, so that little of it is padding.
"""

import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import torch

from chatscale_server.engine.encoding import Task
from chatscale_server.engine.pooling import Pooling

LENGTH_RATIO: Final = 1.25
"""Longest input of a forward pass over its shortest one, apart from LENGTH_SLACK."""
LENGTH_SLACK: Final = 8
"""Tokens. A forward pass has a fixed cost, so short inputs share one."""

Activation = Callable[[torch.Tensor], torch.Tensor]
"""Scores (rows, labels) to probabilities of the same shape."""


@dataclass(slots=True)
class Encoder:
    """An encoder with its pooling (embeddings) or its output head (classification). Not thread-safe."""

    network: Any
    task: Task
    pooling: Pooling
    activation: Activation
    device: torch.device
    pad_token: int
    most_tokens: int
    """Tokens of one forward pass, padding included; a single input may be longer."""

    def compute(self, inputs: Sequence[Sequence[int]]) -> list[bytes]:
        """One vector of float32 in little-endian order per input. inputs: token ids, none of them empty."""
        vectors: list[bytes] = [b""] * len(inputs)
        for group in group_by_length([len(tokens) for tokens in inputs], self.most_tokens):
            for at, vector in zip(group, self.compute_padded([inputs[at] for at in group]), strict=True):
                vectors[at] = vector
        return vectors

    def compute_padded(self, inputs: Sequence[Sequence[int]]) -> list[bytes]:
        """Like `compute`, in one forward pass."""
        with torch.inference_mode():
            found = self._forward(inputs).cpu().numpy().astype("<f4")
        return [vector.tobytes() for vector in found]

    def text(self, text: str) -> str:
        """The text to tokenize: with the checkpoint's default prompt, in lower case if it requires that."""
        text = self.pooling.prompt + text
        return text.lower() if self.pooling.lower_case else text

    def _forward(self, inputs: Sequence[Sequence[int]]) -> torch.Tensor:
        """Vectors (rows, size) float32."""
        longest = max(map(len, inputs))
        rows = [[*tokens, *[self.pad_token] * (longest - len(tokens))] for tokens in inputs]
        lengths = torch.tensor([len(tokens) for tokens in inputs], device=self.device)
        mask = (torch.arange(longest, device=self.device)[None, :] < lengths[:, None]).long()
        ids = torch.tensor(rows, device=self.device)
        output = self.network(input_ids=ids, attention_mask=mask)
        if self.task is Task.CLASSIFY:
            return self.activation(output.logits.float())
        return self.pooling.apply(output.last_hidden_state, mask)


def group_by_length(lengths: Sequence[int], most_tokens: int) -> list[list[int]]:
    """Positions of the inputs of each forward pass, longest inputs first.

    E.g. lengths 9, 100, 10, 90 -> [[1, 3], [2, 0]]: less than a tenth of either pass is padding.
    """
    groups: list[list[int]] = []
    longest = 0
    for at in sorted(range(len(lengths)), key=lambda at: -lengths[at]):
        similar = lengths[at] * LENGTH_RATIO + LENGTH_SLACK >= longest
        if not groups or not similar or (len(groups[-1]) + 1) * longest > most_tokens:
            groups.append([])
            longest = lengths[at]
        groups[-1].append(at)
    return groups


def numbers(vector: bytes) -> "array.array[float]":
    """The numbers of one vector of `Encoder.compute`."""
    return array.array("f", vector)
