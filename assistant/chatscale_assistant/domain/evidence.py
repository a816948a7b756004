"""What an answer may be based on. Text in it is data, never an instruction."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from chatscale.api.v1alpha1.shopassistant import KnowledgeKind

MIN_ANSWERABLE: Final = 0.5
"""Of `Retrieved.answerable`: below it, the assistant does not answer from the hits."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """A passage of a document, or one row of a catalogue."""

    id: str
    """SHA-256 of source, title and text, hexadecimal, 16 characters."""
    source: str
    """Name of the knowledge source."""
    kind: KnowledgeKind
    title: str
    """Headings above the passage, or the product's name."""
    text: str
    version: str
    """Digest of the source's content."""
    fields: Mapping[str, str] = field(default_factory=dict)
    """Of a catalogue: the row, column by column."""


@dataclass(frozen=True, slots=True)
class Hit:
    """A chunk that retrieval found."""

    chunk: Chunk
    confidence: float
    """0 to 1, calibrated for the corpus: how likely the chunk answers the question."""


@dataclass(frozen=True, slots=True)
class Retrieved:
    """The result of one search."""

    hits: tuple[Hit, ...]
    """Best first."""
    index: str
    """Version of the index."""
    answerable: float
    """0 to 1: how likely any of the hits answers the question."""
    is_shortened: bool = False
    """The search left out the encoders because too many questions wait: what it did not find may be there."""


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A call of an MCP tool that code or a model proposes."""

    server: str
    tool: str
    arguments: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ToolResult:
    """What a tool returned."""

    call: ToolCall
    data: Any
    """Structured content, or the parsed JSON text, or the text itself."""
    text: str
    at: datetime
    is_error: bool = False
    receipt: str = ""
    """Of a write: the idempotency key under which it was done."""


Evidence = Chunk | ToolResult
