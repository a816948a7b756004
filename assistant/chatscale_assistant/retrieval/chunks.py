"""Sections to chunks of about 75 to 150 tokens that hold whole sentences."""

import hashlib
import re
from collections.abc import Iterable
from typing import Final

from chatscale.api.v1alpha1.shopassistant import KnowledgeKind
from chatscale_assistant.domain.evidence import Chunk
from chatscale_assistant.retrieval.sections import Section
from chatscale_assistant.retrieval.sentences import join_sentences, split_sentences

MIN_TOKENS: Final = 75
MAX_TOKENS: Final = 150
"""Of one chunk; a longer sentence is a chunk of its own. Passages of this length embed best and quote well."""
_WORD: Final = re.compile(r"[^\W\u3040-\u9fff]+|[\u3040-\u9fff]|[^\w\s]")
_TOKENS_PER_WORD: Final = 1.3
"""Of SentencePiece in English and French; a Chinese character has about 0.7."""
_TOKENS_PER_CJK: Final = 0.7
TITLE_SEPARATOR: Final = " › "


def chunk_id(source: str, title: str, text: str) -> str:
    """The id of a chunk: the same text keeps its id over rebuilds."""
    digest = hashlib.sha256()
    for part in (source, title, text):
        digest.update(part.encode("utf-8", "surrogatepass"))
        digest.update(b"\x00")
    return digest.hexdigest()[:16]


def count_tokens(text: str) -> int:
    """An estimate of an encoder's tokens, within a quarter of the real number."""
    words: list[str] = _WORD.findall(text)
    cjk = sum(len(word) == 1 and word >= "\u3040" for word in words)
    return round((len(words) - cjk) * _TOKENS_PER_WORD + cjk * _TOKENS_PER_CJK)


def chunk_sections(source: str, version: str, sections: Iterable[Section]) -> list[Chunk]:
    """The chunks of a document, in order."""
    return [
        _documents_chunk(source, version, TITLE_SEPARATOR.join(section.headings), text)
        for section in sections
        for text in pack_sentences(section.text)
    ]


def pack_sentences(text: str) -> list[str]:
    """Neighbouring sentences of a section, joined up to MAX_TOKENS. A short rest joins the last one if both fit.

    Blocks (paragraphs, list items) stay on lines of their own.
    """
    packed: list[str] = []
    sizes: list[int] = []

    def add(piece: str, size: int, *, starts_block: bool) -> None:
        packed[-1] = f"{packed[-1]}\n{piece}" if starts_block else join_sentences(packed[-1], piece)
        sizes[-1] += size

    starts_block = False
    for block in text.split("\n"):
        for number, sentence in enumerate(split_sentences(block)):
            size = count_tokens(sentence)
            starts_block = number == 0
            if sizes and sizes[-1] < MIN_TOKENS and sizes[-1] + size <= MAX_TOKENS:
                add(sentence, size, starts_block=starts_block)
            else:
                packed.append(sentence)
                sizes.append(size)
    if len(packed) > 1 and sizes[-2] + sizes[-1] <= MAX_TOKENS:
        last, size = packed.pop(), sizes.pop()
        add(last, size, starts_block=starts_block)
    return packed


def _documents_chunk(source: str, version: str, title: str, text: str) -> Chunk:
    return Chunk(chunk_id(source, title, text), source, KnowledgeKind.DOCUMENTS, title, text, version)
