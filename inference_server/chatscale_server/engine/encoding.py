"""What an encoder computes: vectors for embeddings, or scores of labels. Plain values, without torch."""

from dataclasses import dataclass
from enum import StrEnum


class Task(StrEnum):
    """What a model is for."""

    GENERATE = "generation"
    EMBED = "embeddings"
    CLASSIFY = "classification"


@dataclass(frozen=True, slots=True, kw_only=True)
class EncoderInfo:
    """Properties of a loaded encoder."""

    task: Task
    size: int
    """Numbers per input: the size of an embedding, or the number of labels."""
    normalised: bool = False
    """Embeddings have length 1."""
    dimensions: frozenset[int] | None = None
    """Sizes that a request may select; None allows any up to `size`."""
    labels: tuple[str, ...] = ()
    """Names of the labels of a classifier, in the order of its scores."""
