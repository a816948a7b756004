"""Where vectors are kept between builds: a file of the pod, or Postgres for all pods."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from chatscale_assistant.domain.interfaces import Encoder
from chatscale_assistant.index.content import Content
from chatscale_assistant.index.embedding_cache import EmbeddingCache
from chatscale_assistant.index.snapshot import Snapshot
from chatscale_assistant.index.snapshot import Vectors as StoredVectors
from chatscale_assistant.index.vectors import MemoryVectors, Vectors


class Store(Protocol):
    """Vectors by encoder and key of the text. Methods block: call them from a thread, one at a time.

    All raise SourceError if the store cannot be reached.
    """

    def missing(self, encoder: Encoder, keys: Sequence[bytes]) -> list[bytes]:
        """Keys without a vector, in order, each once."""
        ...

    def get(self, encoder: Encoder, keys: Sequence[bytes]) -> dict[bytes, NDArray[np.float32]]:
        """The vectors that are there."""
        ...

    def put(self, encoder: Encoder, vectors: Mapping[bytes, NDArray[np.float32]]) -> None:
        """Keep vectors."""
        ...

    def in_snapshot(self, encoders: Sequence[Encoder], content: Content) -> StoredVectors:
        """What the index file holds; nothing if the store searches itself."""
        ...

    def open(self, snapshot: Snapshot, encoders: Sequence[Encoder], content: Content) -> Vectors:
        """Search in the vectors of a version."""
        ...

    def embedding(self, encoder: Encoder) -> AbstractAsyncContextManager[bool]:
        """Entered while passages are embedded. False: another pod does it now, so look again in a moment."""
        ...

    def end_build(self) -> None:
        """Drop what was not used for long."""
        ...

    def close(self) -> None:
        """Let go of file and connection."""
        ...


class FileStore(Store):
    """A file beside the index."""

    def __init__(self, path: Path) -> None:
        self._cache = EmbeddingCache(path)

    @override
    def missing(self, encoder: Encoder, keys: Sequence[bytes]) -> list[bytes]:
        found = self.get(encoder, keys)
        return [key for key in dict.fromkeys(keys) if key not in found]

    @override
    def get(self, encoder: Encoder, keys: Sequence[bytes]) -> dict[bytes, NDArray[np.float32]]:
        return self._cache.get(encoder.name, encoder.dimensions, list(dict.fromkeys(keys)))

    @override
    def put(self, encoder: Encoder, vectors: Mapping[bytes, NDArray[np.float32]]) -> None:
        self._cache.put(encoder.name, vectors)

    @override
    def in_snapshot(self, encoders: Sequence[Encoder], content: Content) -> StoredVectors:
        found = {}
        for encoder in encoders:
            vectors = self.get(encoder, content.keys)
            found[encoder.name] = {number: vectors[key] for number, key in enumerate(content.keys) if key in vectors}
        return found

    @override
    def open(self, snapshot: Snapshot, encoders: Sequence[Encoder], content: Content) -> Vectors:
        return MemoryVectors(snapshot, encoders)

    @override
    @asynccontextmanager
    async def embedding(self, encoder: Encoder) -> AsyncIterator[bool]:
        yield True

    @override
    def end_build(self) -> None:
        self._cache.end_build()

    @override
    def close(self) -> None:
        self._cache.close()
