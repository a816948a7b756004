"""Runs tasks with the parts of one pod."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final, TypeVar

from typing_extensions import override

from chatscale.api.v1alpha1.shopassistant import KnowledgeKind, Language
from chatscale_assistant.domain.evidence import Chunk
from chatscale_assistant.domain.interfaces import ChatModel, Encoder
from chatscale_assistant.grounding import check_sentences
from chatscale_assistant.http.tasks import TaskRunner
from chatscale_assistant.index.worker import Priority, Worker
from chatscale_assistant.language.sentences import split_sentences
from chatscale_assistant.tasks.baskets.fits import Fits
from chatscale_assistant.tasks.registry import TASKS
from chatscale_assistant.tasks.task import TaskContext

T = TypeVar("T")
ENCODER_PREFIX: Final = "e5"
"""Start of the name of the encoder for which the sentiment head was trained."""
_WITH_ENCODER: Final = frozenset({"sentiment", "summarise"})
"""Their computation runs in the thread of the encoders, after customers' questions. Others can take minutes."""


@dataclass(slots=True)
class PodTasks(TaskRunner):
    """The tasks of `tasks.registry`."""

    encoders: Sequence[Encoder]
    worker: Worker
    model: ChatModel | None = None
    may_write: Callable[[], bool] = lambda: False
    _fits: Fits = field(default_factory=Fits)

    @override
    def describe(self) -> Mapping[str, Mapping[str, Any]]:
        schemas = {name: task.schemas() for name, task in TASKS.items()}
        return {name: {key: value for key, value in each.items() if key != "name"} for name, each in schemas.items()}

    @override
    async def run(self, name: str, value: Mapping[str, Any]) -> Mapping[str, Any]:
        result = await TASKS[name].run(value, self._context(name))
        found: Mapping[str, Any] = result.model_dump(mode="json")
        return found

    def _context(self, name: str) -> TaskContext:
        return TaskContext(
            encoder=self._encoder(),
            now=datetime.fromtimestamp(time.time(), UTC),
            worker=self._with_encoder if name in _WITH_ENCODER else _in_thread,
            model=self.model if self.may_write() else None,
            check=unsupported,
            fits=self._fits,
        )

    def _encoder(self) -> Encoder:
        return next((each for each in self.encoders if ENCODER_PREFIX in each.name), self.encoders[-1])

    def _with_encoder(self, compute: Callable[[], T]) -> Awaitable[T]:
        return self.worker.call(compute, Priority.INDEXING)


def _in_thread(compute: Callable[[], T]) -> Awaitable[T]:
    return asyncio.to_thread(partial(compute))


def unsupported(text: str, sources: Sequence[str], language: Language) -> tuple[str, ...]:
    """Why sentences of a chat model's text are not supported by the sources; empty if all are."""
    evidence = [Chunk(str(index), "input", KnowledgeKind.DOCUMENTS, "", each, "") for index, each in enumerate(sources)]
    checks = check_sentences(split_sentences(text), evidence, language)
    return tuple(f"{check.reason}: {check.sentence}" for check in checks if not check.supported)
