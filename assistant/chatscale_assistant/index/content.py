"""What an index is built from, and the name that this content gives it."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from chatscale.api.v1alpha1.shopassistant import KnowledgeKind
from chatscale_assistant.domain.evidence import Chunk
from chatscale_assistant.retrieval.passages import Passage, make_passages
from chatscale_contract.assistant.state import SourceState

FORMAT: Final = 1
"""Raise it when chunks, terms, passages or the file's tables change: pods then build their index anew."""


@dataclass(frozen=True, slots=True)
class Source:
    """One knowledge source as it is now."""

    name: str
    kind: KnowledgeKind
    digest: str = ""
    """Of its content; empty if it is not used."""
    chunks: tuple[Chunk, ...] = ()
    message: str = ""
    """Why it, or one of its files, is not used."""

    @property
    def state(self) -> SourceState:
        """For GET /state."""
        return SourceState(name=self.name, digest=self.digest, chunks=len(self.chunks), message=self.message[:1024])


@dataclass(frozen=True)
class Content:
    """All sources of one moment."""

    sources: tuple[Source, ...]

    @cached_property
    def chunks(self) -> list[Chunk]:
        """Of all sources, each id once: two files of a source may hold the same text."""
        return list({chunk.id: chunk for source in self.sources for chunk in source.chunks}.values())

    @cached_property
    def passages(self) -> list[Passage]:
        """Of all sources."""
        return make_passages(self.chunks)

    @cached_property
    def keys(self) -> list[bytes]:
        """Of the vectors of all passages, in order."""
        return [passage.key for passage in self.passages]

    @property
    def states(self) -> tuple[SourceState, ...]:
        """For GET /state."""
        return tuple(source.state for source in self.sources)

    def version(self, encoders: Iterable[str]) -> str:
        """16 hexadecimal characters: the same content, encoders and format give the same name in every pod."""
        digest = hashlib.sha256(f"format {FORMAT}\n".encode())
        for source in sorted(self.sources, key=lambda each: each.name):
            digest.update(f"{source.name} {source.kind} {source.digest}\n".encode())
        for name in encoders:
            digest.update(f"encoder {name}\n".encode())
        return digest.hexdigest()[:16]
