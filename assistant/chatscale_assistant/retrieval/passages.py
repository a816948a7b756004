"""What is embedded and indexed for the lexical search: one passage for a chunk of a document, a question of a curated
reply, or all rows of a product.
"""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from chatscale.api.v1alpha1.shopassistant import KnowledgeKind
from chatscale_assistant.domain.evidence import Chunk
from chatscale_assistant.retrieval.chunks import TITLE_SEPARATOR
from chatscale_assistant.retrieval.columns import descriptive_values
from chatscale_assistant.retrieval.terms import fold, terms

_MAX_VALUES: Final = 8
"""Values of one column in the embedded text of a product: more would drown its name."""
_MAX_TEXT: Final = 900
_MAX_TERMS: Final = 20_000
_HEADINGS: Final = 2
"""Nearest headings in the embedded text of a passage."""


@dataclass(frozen=True, slots=True)
class Passage:
    """The unit that retrieval ranks."""

    source: str
    text: str
    """Embedded. Prices, stock and ids are not in it, so their changes need no new vector."""
    terms: str
    """Terms of all its chunks with all their columns, joined by spaces."""
    chunks: tuple[int, ...]
    """Positions in the list of chunks."""

    @property
    def key(self) -> bytes:
        """32 bytes: the key of its vector in caches and stores."""
        return text_key(self.text)


def text_key(text: str) -> bytes:
    """SHA-256 of a text."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()


def make_passages(chunks: Sequence[Chunk]) -> list[Passage]:
    """The passages of all chunks; each chunk is in exactly one."""
    groups: dict[tuple[str, str], list[int]] = {}
    for position, chunk in enumerate(chunks):
        is_row = chunk.kind is KnowledgeKind.CATALOGUE
        groups.setdefault((chunk.source, f"name {fold(chunk.title)}" if is_row else f"id {chunk.id}"), []).append(
            position
        )
    return [_passage([chunks[i] for i in positions], tuple(positions)) for positions in groups.values()]


def _passage(group: Sequence[Chunk], positions: tuple[int, ...]) -> Passage:
    first = group[0]
    match first.kind:
        case KnowledgeKind.DOCUMENTS:
            headings = TITLE_SEPARATOR.join(first.title.split(TITLE_SEPARATOR)[-_HEADINGS:])
            text = f"{headings}\n{first.text}" if headings else first.text
            searched = f"{first.title}\n{first.text}"
        case KnowledgeKind.REPLIES:
            text = searched = first.title
        case KnowledgeKind.CATALOGUE:
            text = _product_text(first.title, group)
            searched = f"{first.title}\n{first.title}\n" + "\n".join(
                dict.fromkeys(line for row in group for line in row.text.split("\n"))
            )
    return Passage(first.source, text[:_MAX_TEXT], " ".join(_bounded(searched)), positions)


def _product_text(name: str, rows: Iterable[Chunk]) -> str:
    row_list = list(rows)
    name_column = next((column for column, value in row_list[0].fields.items() if " ".join(value.split()) == name), "")
    values = descriptive_values((row.fields for row in row_list), name_column)
    parts = [f"{column.replace('_', ' ')}: {', '.join(found[:_MAX_VALUES])}" for column, found in values.items()]
    return f"{name}. {'; '.join(parts)}" if parts else name


def _bounded(text: str) -> list[str]:
    return terms(text)[:_MAX_TERMS]
