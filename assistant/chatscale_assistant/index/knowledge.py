"""The index that answers now, and the tasks that keep it up to date.

A change is used in two steps. The new text is found by its words and fields at once; its vectors follow, in a second
build. A source that cannot be read is left out at once. The old file is deleted after its last reader.
"""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from chatscale.api.v1alpha1.shopassistant import KnowledgeKind
from chatscale_assistant.domain.evidence import Chunk, Retrieved
from chatscale_assistant.domain.interfaces import Encoder, Retriever
from chatscale_assistant.errors import SourceError
from chatscale_assistant.index.builder import BACKGROUND_KEYS, Builder, OpenIndex
from chatscale_assistant.index.content import Content, Source
from chatscale_assistant.index.search import Searcher
from chatscale_assistant.index.vectors import MemoryVectors
from chatscale_assistant.index.worker import Priority, Worker
from chatscale_assistant.retrieval.background import BACKGROUND
from chatscale_contract.assistant.state import SourceState

log = logging.getLogger(__name__)

POLL_S: Final = 0.5
"""Between two looks at the sources."""
BATCH_CHARACTERS: Final = 600
"""Embedded as one job of the worker: about 0.1 s, which is what a question waits for at most."""
RETRY_S: Final = 2.0
"""After a failed embedding, and while another pod embeds."""
PUBLISH_S: Final = 60.0
"""Vectors of a long embedding are used in steps of this length."""
MAX_ROWS: Final = 50


class LiveSource(Protocol):
    """One source that may change."""

    async def read(self) -> Source:
        """As it is now; cheap, and the same object, if nothing changed. Never raises for a bad source."""
        ...

    async def close(self) -> None:
        """Stop what runs in the background."""
        ...


class Knowledge(Retriever):
    """Use it in one event loop, inside `running()`."""

    def __init__(
        self, sources: Sequence[LiveSource], builder: Builder, *, worker: Worker, poll_s: float = POLL_S
    ) -> None:
        self._sources = sources
        self._builder = builder
        self._worker = worker
        self._poll_s = poll_s
        self._open: OpenIndex | None = None
        self._content: Content | None = None
        self._newest: Content | None = None
        self._failure = ""
        self._building = asyncio.Lock()
        self._refreshing = asyncio.Lock()
        self._incomplete = asyncio.Event()
        self.ready = asyncio.Event()
        """Set from the first index that has all usable sources."""
        self.settled = asyncio.Event()
        """Set once an index has the vectors of all its text, or an embedding has failed."""

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Watches the sources and embeds in the background. The first index may come later: wait for `ready`."""
        tasks = [asyncio.create_task(self._watch()), asyncio.create_task(self._embed_always())]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            for task in tasks:
                with contextlib.suppress(asyncio.CancelledError):
                    await task
            self._open = None
            for source in self._sources:
                await source.close()
            await self._worker.close()
            await asyncio.to_thread(self._builder.close)

    @property
    def version(self) -> str:
        """Of the index in use; empty before the first one."""
        return self._open.version if self._open else ""

    @property
    def is_complete(self) -> bool:
        """Whether all text of the index in use is embedded."""
        return self._open is not None and self._open.is_complete

    @property
    def states(self) -> tuple[SourceState, ...]:
        """The sources, for GET /state."""
        states = self._content.states if self._content else ()
        failure = self._failure or (self._open.searcher.failure if self._open else "")
        if not failure:
            return states
        return tuple(state.model_copy(update={"message": state.message or failure[:1024]}) for state in states)

    @override
    async def search(self, question: str, *, limit: int = 5, source: str | None = None) -> Retrieved:
        while (index := self._open) is not None:
            searcher = index.searcher
            found = await self._worker.call(partial(self._search, searcher, question, limit, source))
            # A search that began before a swap may hold text that is deleted since.
            if index is self._open or index.version == self.version:
                return found
        return Retrieved((), "", 0.0)

    def _search(self, searcher: Searcher, question: str, limit: int, source: str | None) -> Retrieved:
        return searcher.search(question, limit, source, waiting=self._worker.waiting)

    def search_words(self, question: str, *, limit: int = 5, source: str | None = None) -> Retrieved:
        """As `search`, by words and the glossary only: about 2 ms in the event loop, for a pod that is overloaded."""
        index = self._open
        if index is None:
            return Retrieved((), "", 0.0)
        return Searcher(index.lookup, MemoryVectors(index.lookup, []), []).search(question, limit, source)

    @override
    def chunk(self, chunk_id: str) -> Chunk | None:
        return self._open.lookup.chunk(chunk_id) if self._open else None

    def rows(self, column: str, value: str, *, source: str | None = None, limit: int = MAX_ROWS) -> tuple[Chunk, ...]:
        """Catalogue rows whose column has this value, whatever case and accents; under 1 ms. For templates."""
        return tuple(self._open.lookup.rows(column, value, source, limit)) if self._open else ()

    def variants(self, chunk: Chunk) -> tuple[Chunk, ...]:
        """All rows of the product that a row belongs to, itself included."""
        if self._open is None or chunk.kind is not KnowledgeKind.CATALOGUE:
            return ()
        return tuple(self._open.lookup.siblings(chunk.id))

    async def _watch(self) -> None:
        while True:
            try:
                await self.refresh()
            except Exception as e:
                log.exception("index_failed", extra={"error": str(e)})
            await asyncio.sleep(self._poll_s)

    async def refresh(self) -> bool:
        """Look at the sources once; True if a change is in use now. Embedding follows in the background."""
        async with self._refreshing:  # an earlier look must not replace a later one
            return await self._refresh()

    async def _refresh(self) -> bool:
        # At the same time: the first fetch of each slow server takes up to 30 s.
        content = Content(tuple(await asyncio.gather(*(each.read() for each in self._sources))))
        if self._content is not None and self._open is not None and content.sources == self._content.sources:
            return False
        if self._content is not None and content.sources != self._content.sources:
            log.info("sources_changed", extra={"sources": [each.name for each in content.sources if each.digest]})
        self._newest = content
        await self._build(content)
        return True

    async def _build(self, content: Content) -> None:
        async with self._building:
            if content is not self._newest:
                return  # newer content waits, or is in use
            try:
                index = await asyncio.to_thread(self._builder.build, content)
            except Exception as e:
                # The old index may have text that is deleted since, so nothing is used.
                log.exception("index_failed", extra={"error": str(e)})
                self._use(content, None, str(e) if isinstance(e, SourceError) else f"index: {type(e).__name__}")
                return
            self._use(content, index, self._builder.failure)
        log.info(
            "index_used",
            extra={"version": index.version, "chunks": len(content.chunks), "complete": index.is_complete},
        )

    def _use(self, content: Content, index: OpenIndex | None, failure: str) -> None:
        if self._open is not None:
            self._open.lookup.retire()
        elif index is not None:
            self._builder.remove_others(index)
        self._content, self._open, self._failure = content, index, failure
        if index is not None:
            self.ready.set()
            if index.is_complete or failure:
                self.settled.set()
            if not index.is_complete or failure:
                self._incomplete.set()

    async def _embed_always(self) -> None:
        for encoder in self._builder.encoders:  # loading takes up to 2 s, which no customer should wait for
            with contextlib.suppress(SourceError):
                await self._worker.call(partial(encoder.queries, ["hello"]), Priority.INDEXING)
        while True:
            await self._incomplete.wait()
            self._incomplete.clear()
            try:
                await self._embed()
            except SourceError as e:
                self._failure = str(e)
                self.settled.set()
                log.warning("embedding_failed", extra={"error": str(e)})
                await self._later()
            except Exception as e:
                self.settled.set()
                log.exception("embedding_failed", extra={"error": str(e)})
                await self._later()

    async def _later(self) -> None:
        await asyncio.sleep(RETRY_S)
        self._incomplete.set()

    async def _embed(self) -> None:
        """Embed what the index in use misses, the fastest encoder first, and use the vectors of each."""
        index = self._open
        if index is None:
            return
        for encoder in self._builder.encoders:
            if index.missing.get(encoder.name) or self._builder.failure:
                async with self._builder.store.embedding(encoder) as is_mine:
                    if not is_mine:
                        await self._later()
                        return
                    await self._embed_with(encoder, index)
            if self._newest is not index.content:
                self._incomplete.set()  # the sources changed: begin with what is missing now
                return
        await self._build(index.content)
        if self._builder.failure:
            raise SourceError(self._builder.failure)
        async with self._building:
            await asyncio.to_thread(self._builder.store.end_build)

    async def _embed_with(self, encoder: Encoder, index: OpenIndex) -> None:
        loop = asyncio.get_running_loop()
        texts = dict(zip(index.content.keys, (each.text for each in index.content.passages), strict=True))
        questions = dict(zip(BACKGROUND_KEYS, BACKGROUND, strict=True))
        async with self._building:
            keys = await asyncio.to_thread(self._builder.store.missing, encoder, [*BACKGROUND_KEYS, *texts])
        published_s = loop.time()
        for batch in _batches(keys, questions | texts):
            if self._newest is not index.content:
                return
            if loop.time() - published_s > PUBLISH_S:
                await self._build(index.content)
                published_s = loop.time()
            vectors = await self._worker.call(
                partial(_embed_batch, encoder, batch, questions, texts), Priority.INDEXING
            )
            async with self._building:
                await asyncio.to_thread(self._builder.store.put, encoder, vectors)


def _batches(keys: Sequence[bytes], texts: dict[bytes, str]) -> list[list[bytes]]:
    """Keys in groups of about BATCH_CHARACTERS of text."""
    batches: list[list[bytes]] = []
    size = BATCH_CHARACTERS
    for key in keys:
        size += len(texts[key])
        if size > BATCH_CHARACTERS:
            batches.append([])
            size = len(texts[key])
        batches[-1].append(key)
    return batches


def _embed_batch(
    encoder: Encoder, batch: Sequence[bytes], questions: dict[bytes, str], texts: dict[bytes, str]
) -> dict[bytes, NDArray[np.float32]]:
    unrelated = [key for key in batch if key in questions]
    others = [key for key in batch if key not in questions]
    vectors = [
        *encoder.queries([questions[key] for key in unrelated]),
        *encoder.passages([texts[key] for key in others]),
    ]
    return dict(zip([*unrelated, *others], vectors, strict=True))
