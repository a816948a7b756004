"""The sources of a spec, read and parsed. A source that cannot be read is left out, with a message: its old text must
not answer any more.
"""

import asyncio
import logging
from dataclasses import dataclass, field
from pathlib import Path

from chatscale.api.v1alpha1.shopassistant import KnowledgeKind, KnowledgeSource
from chatscale_assistant.domain.evidence import Chunk
from chatscale_assistant.errors import SourceError
from chatscale_assistant.index.content import Source
from chatscale_assistant.index.folders import File, Fingerprint, digest_files, fingerprint, read_folder
from chatscale_assistant.retrieval.catalogue import read_catalogue
from chatscale_assistant.retrieval.chunks import chunk_sections
from chatscale_assistant.retrieval.replies import read_replies
from chatscale_assistant.retrieval.sections import read_sections

log = logging.getLogger(__name__)


def parse_source(name: str, kind: KnowledgeKind, files: tuple[File, ...]) -> Source:
    """The source with its chunks; without them, and with a message, if a file has an error.

    Of documents only the file with the error is left out. A catalogue and replies are left out as a whole: half of them
    would deny products that the shop has.
    """
    digest = digest_files(files)
    version = digest[:16]
    chunks: list[Chunk] = []
    messages: list[str] = []
    for file in files:
        try:
            chunks += _read_file(name, kind, version, file)
        except SourceError as e:
            messages.append(str(e))
        except Exception as e:
            # A mistake of ours must not keep the old text in use.
            log.exception("source_failed", extra={"source": name, "file": file.path})
            messages.append(f"source {name}: {file.path}: cannot be read: {type(e).__name__}")
    if messages and kind is not KnowledgeKind.DOCUMENTS:
        return Source(name, kind, message=_join(messages))
    if not chunks:
        return Source(name, kind, message=_join(messages) or f"source {name}: expected text, found none")
    return Source(name, kind, digest, tuple(chunks), _join(messages))


def _join(messages: list[str]) -> str:
    return messages[0] + (f" (and {len(messages) - 1} more)" if len(messages) > 1 else "") if messages else ""


def _read_file(source: str, kind: KnowledgeKind, version: str, file: File) -> list[Chunk]:
    match kind:
        case KnowledgeKind.DOCUMENTS:
            return chunk_sections(source, version, read_sections(source, file.path, file.content))
        case KnowledgeKind.CATALOGUE:
            return read_catalogue(source, version, file.path, file.content)
        case KnowledgeKind.REPLIES:
            return read_replies(source, version, file.path, file.content)


@dataclass(slots=True)
class FolderSource:
    """A mounted source, read again only when its files changed."""

    spec: KnowledgeSource
    folder: Path
    _seen: Fingerprint | str = field(default="", init=False)
    _source: Source | None = field(default=None, init=False)

    async def read(self) -> Source:
        """The source as it is now. The same object as before if nothing changed."""
        return await asyncio.to_thread(self.read_blocking)

    async def close(self) -> None:
        """Nothing is open."""

    def read_blocking(self) -> Source:
        """The same, for a thread: 10 µs a file if nothing changed."""
        try:
            seen = fingerprint(self.folder)
        except SourceError as e:
            return self._use(str(e), Source(self.spec.name, self.spec.kind, message=f"source {self.spec.name}: {e}"))
        if self._source is not None and seen == self._seen:
            return self._source
        try:
            files, seen = read_folder(self.spec.name, self.folder)
        except SourceError as e:
            # Not remembered as seen: the next poll reads again.
            return self._use("", Source(self.spec.name, self.spec.kind, message=str(e)))
        return self._use(seen, parse_source(self.spec.name, self.spec.kind, files))

    def _use(self, seen: Fingerprint | str, source: Source) -> Source:
        self._seen = seen
        if self._source is None or self._source != source:
            self._source = source
        return self._source
