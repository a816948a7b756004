"""An encoder without a model, a chat model with a fixed answer, and contexts for tasks."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
import pytest

from chatscale_assistant.tasks.sentiment_head import SentimentHead
from chatscale_assistant.tasks.task import TaskContext

NOW = datetime(2026, 11, 27, 12, tzinfo=UTC)
GOOD_WORDS = ("good", "great", "bon", "好")
BAD_WORDS = ("bad", "broken", "mauvais", "坏")


@dataclass(frozen=True)
class WordEncoder:
    """First dimension: good words minus bad words; the others: noise that depends on the text alone."""

    name: str = "words"
    dimensions: int = 16

    def queries(self, texts: Sequence[str]) -> np.ndarray:
        return np.stack([self._vector(text) for text in texts])

    def passages(self, texts: Sequence[str]) -> np.ndarray:
        return self.queries(texts)

    def _vector(self, text: str) -> np.ndarray:
        seed = int.from_bytes(hashlib.sha256(text.encode("utf-8", "replace")).digest()[:4], "big")
        vector = np.random.default_rng(seed).normal(size=self.dimensions)
        lowered = text.lower()
        vector[0] = 8 * (sum(map(lowered.count, GOOD_WORDS)) - sum(map(lowered.count, BAD_WORDS)))
        return (vector / np.linalg.norm(vector)).astype(np.float32)


@dataclass
class FixedModel:
    """A chat model that always gives the same text."""

    text: str | None
    users: list[str]

    async def write(self, system: str, user: str, *, max_tokens: int, timeout_s: float) -> str | None:
        assert system
        assert max_tokens > 0
        assert timeout_s > 0
        self.users.append(user)
        return self.text


@dataclass(frozen=True)
class FixedCheck:
    """A fact check that always finds the same problems."""

    problems: tuple[str, ...]

    def __call__(self, text: str, sources: Sequence[str], language: str) -> tuple[str, ...]:
        assert text
        assert sources
        assert language
        return self.problems


def make_context(text: str | None = None, problems: tuple[str, ...] | None = None) -> TaskContext:
    """With a chat model if `text` is given, with a fact check if `problems` is given."""
    encoder = WordEncoder()
    weights = np.zeros(encoder.dimensions, dtype=np.float32)
    weights[0] = 6
    return TaskContext(
        encoder=encoder,
        now=NOW,
        model=None if text is None else FixedModel(text, []),
        check=None if problems is None else FixedCheck(problems),
        head=SentimentHead("test-head", "words", np.zeros(encoder.dimensions, dtype=np.float32), weights, 0.0),
    )


@pytest.fixture
def context() -> TaskContext:
    return make_context()


@pytest.fixture
def with_model():
    """Builds a context with a chat model and a fact check that finds the given problems."""
    return make_context
