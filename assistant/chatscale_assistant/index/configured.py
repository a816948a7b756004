"""The knowledge of one assistant, from its spec."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import aiohttp

from chatscale.api.v1alpha1.shopassistant import KnowledgeSource, ShopAssistantSpec
from chatscale_assistant.domain.interfaces import Encoder
from chatscale_assistant.encoders.e5 import E5
from chatscale_assistant.encoders.use import UniversalSentenceEncoder
from chatscale_assistant.index.builder import Builder
from chatscale_assistant.index.knowledge import Knowledge, LiveSource
from chatscale_assistant.index.sources import FolderSource
from chatscale_assistant.index.store import FileStore, Store
from chatscale_assistant.index.urls import WebSource
from chatscale_assistant.index.worker import Worker
from chatscale_contract.assistant.endpoints import INDEX_FOLDER, KNOWLEDGE_MOUNT_PATH

CACHE_FILE: Final = "embeddings.sqlite"


def default_encoders() -> tuple[Encoder, ...]:
    """The encoders inside the image, the faster one first. Loads nothing yet."""
    return UniversalSentenceEncoder(), E5()


def make_knowledge(
    spec: ShopAssistantSpec,
    session: aiohttp.ClientSession,
    *,
    encoders: Sequence[Encoder] | None = None,
    store: Store | None = None,
    mounts: Path = Path(KNOWLEDGE_MOUNT_PATH),
    folder: Path = Path(INDEX_FOLDER),
    worker: Worker | None = None,
) -> Knowledge:
    """Enter its `running()`, which also closes the worker.

    `store` is a PostgresStore where the spec names one; a file in `folder` without it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    return Knowledge(
        [_live(each, session, mounts) for each in spec.knowledge],
        Builder(
            folder,
            default_encoders() if encoders is None else encoders,
            FileStore(folder / CACHE_FILE) if store is None else store,
        ),
        worker=worker or Worker(),
    )


def _live(source: KnowledgeSource, session: aiohttp.ClientSession, mounts: Path) -> LiveSource:
    return FolderSource(source, mounts / source.name) if source.url is None else WebSource(source, session)
