"""Beam search by transformers' `generate`, with a callback between its steps."""

from collections.abc import Callable, Collection
from typing import Any

import torch
from transformers import GenerationConfig, StoppingCriteria, StoppingCriteriaList

from chatscale_server.engine.request import Request


class _Between(StoppingCriteria):  # type: ignore[misc]  # transformers is Any to mypy
    """Calls `between` after each step, and ends the search if it returns True."""

    def __init__(self, between: Callable[[], bool]) -> None:
        self._between = between

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor, **_: Any) -> torch.Tensor:  # noqa: ARG002
        """One flag per beam."""
        return torch.full((input_ids.shape[0],), self._between(), device=input_ids.device)


def search_beams(
    network: Any, request: Request, count: int, end_tokens: Collection[int], between: Callable[[], bool]
) -> list[list[int]]:
    """The `count` best outputs, best first, each up to its end token.

    between: called after every step; True ends the search, and the result is then undefined.
    """
    # `generate` fills missing options from the model's own configuration, which may contain sampling rules.
    network.generation_config = GenerationConfig()
    ids = torch.tensor([request.prompt], device=network.device)
    ends = sorted(end_tokens)
    config = GenerationConfig(
        num_beams=request.beams,
        num_return_sequences=count,
        max_new_tokens=request.max_tokens,
        do_sample=False,
        eos_token_id=ends or None,
        pad_token_id=ends[0] if ends else 0,
    )
    found = network.generate(
        ids,
        attention_mask=torch.ones_like(ids),
        generation_config=config,
        stopping_criteria=StoppingCriteriaList([_Between(between)]),
    )
    return [_up_to_end(row, end_tokens) for row in found[:, ids.shape[1] :].tolist()]


def _up_to_end(tokens: list[int], end_tokens: Collection[int]) -> list[int]:
    """Remove the padding after the end token."""
    length = next((at + 1 for at, token in enumerate(tokens) if token in end_tokens), len(tokens))
    return tokens[:length]
