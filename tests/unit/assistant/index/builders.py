"""An encoder of words, and knowledge over folders, for the tests of the index."""

import asyncio
import hashlib
from collections.abc import Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np

from chatscale.api.v1alpha1.shopassistant import KnowledgeSource
from chatscale_assistant.encoders.texts import normalise
from chatscale_assistant.errors import SourceError
from chatscale_assistant.index.builder import Builder
from chatscale_assistant.index.knowledge import Knowledge
from chatscale_assistant.index.sources import FolderSource
from chatscale_assistant.index.store import FileStore, Store
from chatscale_assistant.index.worker import Worker
from chatscale_assistant.retrieval.terms import content_terms

CATALOGUE = "id,name,color,price\n1,Tea Kettle,red,19.90\n2,Tea Kettle,blue,21.90\n3,Desk Lamp,white,35.00\n"
POLICY = "# Returns\nWe take shoes back for 30 days.\n\n# Shipping\nParcels to France cost 4.90 EUR.\n"
REPLIES = """
- id: hours
  questions: ["When are you open?", 你们几点开门]
  answers: {en: "From 9 to 18.", zh: "九点到十八点", fr: "De 9 h à 18 h."}
"""


class WordEncoder:
    """A vector of hashed words: texts that share words are near."""

    def __init__(self, name: str = "words", dimensions: int = 64) -> None:
        self.name = name
        self.dimensions = dimensions
        self.embedded: list[str] = []
        """Every text that was embedded as a passage, in order."""
        self.is_broken = False

    def queries(self, texts: Sequence[str]):
        if self.is_broken:
            raise SourceError(f"encoder {self.name}: failed")
        found = np.zeros((len(texts), self.dimensions), dtype=np.float32)
        for row, text in enumerate(texts):
            for term in content_terms(text):
                found[row, hashlib.sha256(term.encode()).digest()[0] % self.dimensions] += 1
        return normalise(found)

    def passages(self, texts: Sequence[str]):
        vectors = self.queries(texts)
        self.embedded += texts
        return vectors


class Shop:
    """Mounted sources in a temporary folder, and the knowledge over them."""

    def __init__(self, folder: Path, *encoders: WordEncoder, store: Store | None = None, poll_s: float = 0.005) -> None:
        self.mounts = folder / "knowledge"
        self.index = folder / "index"
        self.encoders = encoders or (WordEncoder(),)
        kinds = {"policies": "Documents", "catalogue": "Catalogue", "replies": "Replies"}
        for name in kinds:
            (self.mounts / name).mkdir(parents=True, exist_ok=True)
        if not any((self.mounts / "policies").iterdir()):
            self.write("policies/policy.md", POLICY)
            self.write("catalogue/shop.csv", CATALOGUE)
            self.write("replies/replies.yaml", REPLIES)
        self.index.mkdir(exist_ok=True)
        self.store = FileStore(self.index / "embeddings.sqlite") if store is None else store
        self.worker = Worker()
        self.builder = Builder(self.index, self.encoders, self.store)
        self.knowledge = Knowledge(
            [
                FolderSource(
                    KnowledgeSource.model_validate({"name": name, "configMap": "x", "kind": kind}), self.mounts / name
                )
                for name, kind in kinds.items()
            ],
            self.builder,
            worker=self.worker,
            poll_s=poll_s,
        )

    def write(self, path: str, text: str | bytes) -> None:
        """Replace a file as a whole."""
        beside = self.mounts / ".part"
        beside.write_bytes(text.encode() if isinstance(text, str) else text)
        beside.replace(self.mounts / path)

    async def titles(self, question: str, **options) -> list[str]:
        return [hit.chunk.title for hit in (await self.knowledge.search(question, **options)).hits]

    async def texts(self, question: str, **options) -> list[str]:
        return [hit.chunk.text for hit in (await self.knowledge.search(question, **options)).hits]

    def messages(self) -> dict[str, str]:
        return {state.name: state.message for state in self.knowledge.states}

    @asynccontextmanager
    async def complete(self):
        """Running, with everything embedded."""
        async with self.knowledge.running():
            await eventually(lambda: self.knowledge.is_complete)
            yield self


async def eventually(condition, within_s: float = 30) -> None:
    async with asyncio.timeout(within_s):
        while not condition():  # noqa: ASYNC110 - the condition is anything
            await asyncio.sleep(0.005)
