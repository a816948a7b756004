"""The object `chatscale` in requests to an assistant and in its answers.

In a stream the object is in the last chunk that has a choice; without a stream it is beside `choices`.
"""

from enum import StrEnum

from pydantic import BaseModel, ConfigDict, Field


class Rung(StrEnum):
    """Where an answer comes from, from the most to the least certain; then a hand-over."""

    CURATED = "curated"
    TEMPLATE = "template"
    QUOTE = "quote"
    MODEL = "model"
    HAND_OVER = "hand_over"
    NO_ANSWER = "no_answer"
    """The assistant has no answer and says so; too many in a row become a hand-over."""


class Sentiment(StrEnum):
    """Tone of the customer's last message."""

    POSITIVE = "positive"
    NEUTRAL = "neutral"
    NEGATIVE = "negative"
    ANGRY = "angry"


class HandOverState(StrEnum):
    """Who answers."""

    NONE = "none"
    REQUESTED = "requested"
    """With this answer the case goes to a person, and the answer says so."""
    PERSON = "person"
    """A person answers. The assistant's text is empty."""


class _Extra(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class CitationExtra(_Extra):
    """One source of an answer: the text that was used, not a text about it."""

    source: str
    """Name of the knowledge source, or `tool:SERVER/TOOL`."""
    title: str
    quote: str
    version: str
    """Digest of the source's content, or time of the tool's result (RFC 3339)."""


class CheckExtra(_Extra):
    """What checked an answer."""

    name: str
    """`facts`, `language`, `scope`, `gate`."""
    passed: bool
    detail: str = ""
    """What did not pass, without text of the conversation."""


class AnswerExtras(_Extra):
    """`chatscale` in an answer."""

    rung: Rung
    language: str
    """ISO 639-1 code of the answer."""
    sentiment: Sentiment
    hand_over: HandOverState = HandOverState.NONE
    citations: tuple[CitationExtra, ...] = ()
    checks: tuple[CheckExtra, ...] = ()
    pending: str | None = None
    """A signed token of the action that the customer may confirm now. A client may send it back; it need not."""
    index: str = ""
    """Version of the index that answered."""


class RequestExtras(_Extra):
    """`chatscale` in a request. Everything is optional: any OpenAI client can leave it out."""

    conversation: str = Field(default="", max_length=128, pattern=r"^[A-Za-z0-9._:-]*$")
    """The shop's id of the conversation, for the desk and idempotency keys; without it a hash of the first message."""
    customer_token: str = Field(default="", max_length=8192)
    """The shop's signed token for the customer (JWT)."""
    pending: str = Field(default="", max_length=16_384)
    hand_over: HandOverState | None = None
    """Who answers, as the client's desk has it. Without it: read from the messages (`name: person`)."""
