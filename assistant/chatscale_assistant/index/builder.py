"""Content to an index in use. Blocks: call it from a thread, one build at a time."""

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import apsw

from chatscale.api.v1alpha1.shopassistant import KnowledgeKind, Language
from chatscale_assistant.domain.interfaces import Encoder
from chatscale_assistant.errors import SourceError
from chatscale_assistant.index.content import Content
from chatscale_assistant.index.search import Backgrounds, Searcher
from chatscale_assistant.index.snapshot import Snapshot, write_snapshot
from chatscale_assistant.index.store import Store
from chatscale_assistant.index.vectors import MemoryVectors, Vectors
from chatscale_assistant.retrieval.background import BACKGROUND, background_language
from chatscale_assistant.retrieval.passages import text_key
from chatscale_assistant.retrieval.scoring import Background, measure_background

_PREFIX: Final = "index-"
_SUFFIX: Final = ".sqlite"
BACKGROUND_KEYS: Final = tuple(text_key(f"question: {text}") for text in BACKGROUND)
"""Keys of the vectors of the unrelated questions: they are kept like those of passages."""

_LANGUAGES: Final = (
    (Language.CHINESE,), (Language.ENGLISH,), (Language.FRENCH,), (Language.ENGLISH, Language.FRENCH, None),
)  # fmt: skip
"""Languages of unrelated questions that share a background; the last one is for questions of no clear language."""


@dataclass(slots=True)
class OpenIndex:
    """An index version in use."""

    content: Content
    searcher: Searcher
    """For the worker thread."""
    lookup: Snapshot
    """For the event loop: a connection of its own."""
    missing: dict[str, list[bytes]]
    """By encoder: keys of passages and unrelated questions that are not embedded yet."""

    @property
    def version(self) -> str:
        """Name of the content."""
        return self.lookup.version

    @property
    def is_complete(self) -> bool:
        """Whether everything is embedded."""
        return not any(self.missing.values())


@dataclass(slots=True)
class Builder:
    """Writes index files into a folder."""

    folder: Path
    encoders: Sequence[Encoder]
    store: Store
    failure: str = ""
    """Why the last build went without vectors; empty if it had them."""
    _builds: int = field(default=0, init=False)
    _aside: ThreadPoolExecutor = field(
        default_factory=lambda: ThreadPoolExecutor(1, thread_name_prefix="assistant-encoder"), init=False
    )

    def close(self) -> None:
        """Let go of the store, and of the thread for slow encoders."""
        self._aside.shutdown()
        self.store.close()

    def build(self, content: Content) -> OpenIndex:
        """The index of a content, with the vectors that are there. Raises SourceError if it cannot be written."""
        version = content.version(each.name for each in self.encoders)
        encoders, missing = list(self.encoders), dict[str, list[bytes]]()
        self.failure = ""
        try:
            missing = {each.name: self.store.missing(each, [*content.keys, *BACKGROUND_KEYS]) for each in encoders}
            vectors = self.store.in_snapshot(encoders, content)
        except SourceError as e:
            self.failure, encoders, vectors = str(e), [], {}
        self._builds += 1
        path = self.folder / f"{_PREFIX}{version}-{self._builds}{_SUFFIX}"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            write_snapshot(path, version, content, vectors)
            snapshot, lookup = Snapshot(path), Snapshot(path)
        except (apsw.Error, OSError) as e:
            raise SourceError(f"index {path}: cannot be written: {e}") from e
        searcher = Searcher(snapshot, MemoryVectors(snapshot, []), [])
        try:
            if encoders:
                opened = self.store.open(snapshot, encoders, content)
                used = [each for each in content.sources if each.chunks]
                replies = frozenset(each.name for each in used if each.kind is KnowledgeKind.REPLIES)
                texts = frozenset(each.name for each in used) - replies
                passages = len(content.passages)
                searcher = Searcher(
                    snapshot, opened, encoders, self._backgrounds(encoders, opened, passages, texts or replies),
                    texts=texts, replies=replies,
                    reply_backgrounds=self._backgrounds(encoders, opened, passages, replies), aside=self._aside,
                )  # fmt: skip
        except SourceError as e:
            self.failure = str(e)
        return OpenIndex(content, searcher, lookup, missing)

    def _backgrounds(
        self, encoders: Sequence[Encoder], vectors: Vectors, passages: int, sources: Iterable[str]
    ) -> Backgrounds:
        """Of the passages of some sources.

        Curated replies are questions, and a question is nearer to any question than to any text. So they have a
        background of their own, without which a shop with replies would find nothing else.
        """
        found: dict[tuple[str, Language | None], Background] = {}
        for encoder in encoders:
            if len(vectors.missing(encoder.name)) * 2 > passages:
                continue  # the best similarities would be those of a few passages
            questions = self.store.get(encoder, BACKGROUND_KEYS)
            for languages in _LANGUAGES:
                best = [
                    max(similarities)
                    for text, key in zip(BACKGROUND, BACKGROUND_KEYS, strict=True)
                    if background_language(text) in languages and key in questions
                    if (
                        similarities := [
                            similarity
                            for source in sources
                            for similarity in vectors.nearest(encoder.name, questions[key], source, 1).values()
                        ]
                    )
                ]
                if len(best) > 1:
                    key_language = languages[0] if len(languages) == 1 else None
                    found[encoder.name, key_language] = measure_background(best)
        return found

    def remove_others(self, used: OpenIndex) -> None:
        """Delete index files of earlier processes."""
        for path in self.folder.glob(f"{_PREFIX}*"):
            if path != used.lookup.path:
                path.unlink(missing_ok=True)
