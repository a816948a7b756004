"""Task `sentiment`: whether a text is positive, neutral or negative, in any language of the encoder."""

from enum import StrEnum
from typing import Final

from pydantic import Field

from chatscale_assistant.domain.interfaces import Encoder
from chatscale_assistant.tasks.schema import EvidenceItem, Share, TaskModel, TaskResult
from chatscale_assistant.tasks.sentiment_head import SentimentHead

MAX_CHARACTERS: Final = 20_000
_BEGINNING: Final = 300
_END: Final = 150
NEUTRAL_FROM: Final = 0.4
NEUTRAL_TO: Final = 0.6


class SentimentLabel(StrEnum):
    """Tone of a text."""

    POSITIVE = "positive"
    NEUTRAL = "neutral"
    NEGATIVE = "negative"


class SentimentInput(TaskModel):
    """One text."""

    text: str = Field(min_length=1, max_length=MAX_CHARACTERS, pattern=r"\S", description="A review or a message.")


class SentimentResult(TaskResult):
    """The text's tone."""

    label: SentimentLabel = Field(description=f"neutral: positive is between {NEUTRAL_FROM} and {NEUTRAL_TO}.")
    positive: Share = Field(description="Probability that the text is positive.")


def classify_sentiment(data: SentimentInput, encoder: Encoder, head: SentimentHead) -> SentimentResult:
    """The tone of one text."""
    positive = float(head.positive(encoder.queries([shorten(data.text)]))[0])
    return SentimentResult(
        engine=f"{head.name} on {encoder.name}",
        evidence=(EvidenceItem(source="text", value=shorten(data.text)),),
        label=label(positive),
        positive=round(positive, 4),
    )


def label(positive: float) -> SentimentLabel:
    """The label of a probability."""
    if positive > NEUTRAL_TO:
        return SentimentLabel.POSITIVE
    return SentimentLabel.NEGATIVE if positive < NEUTRAL_FROM else SentimentLabel.NEUTRAL


def shorten(text: str) -> str:
    """Beginning and end of a long text: the opinion stands there, and an encoder's time grows with the length."""
    plain = " ".join(text.split())
    if len(plain) <= _BEGINNING + _END:
        return plain
    return f"{plain[:_BEGINNING]} … {plain[-_END:]}"
