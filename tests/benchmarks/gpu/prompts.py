"""Random prompts with an exact number of tokens. No two are equal, so that no prefix is found in a cache."""

import random
from collections.abc import Sequence
from functools import cache
from typing import Any

from tests.benchmarks.gpu.load import body
from tests.benchmarks.gpu.models import BYTE_TOKENS, text_of, words


@cache
def _words(vocab: int) -> list[str]:
    return words(vocab)


def token_ids(rng: random.Random, vocab: int, count: int) -> list[int]:
    """Random ids, all of them words."""
    return [rng.randrange(BYTE_TOKENS, vocab - 1) for _ in range(count)]


def prompt(rng: random.Random, vocab: int, count: int) -> str:
    """A text of `count` tokens."""
    return text_of(token_ids(rng, vocab, count), _words(vocab))


def as_text(ids: Sequence[int], vocab: int) -> str:
    """The text of these ids."""
    return text_of(list(ids), _words(vocab))


def requests(
    seed: str, vocab: int, clients: int, turns: int, lengths: tuple[int, int], max_tokens: int, **fields: Any
) -> list[list[dict[str, Any]]]:
    """Bodies by client. lengths: shortest and longest prompt; both are drawn equally often."""
    rng = random.Random(seed)
    return [
        [body(prompt(rng, vocab, rng.randint(*lengths)), max_tokens, **fields) for _ in range(turns)]
        for _ in range(clients)
    ]
