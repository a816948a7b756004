"""A task: a name, two schemas and a function; single and batch. The HTTP front has no part of its own in them."""

from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, Generic, Protocol, TypeVar

from chatscale.api.v1alpha1.shopassistant import Language
from chatscale_assistant.domain.interfaces import ChatModel, Encoder
from chatscale_assistant.errors import InvalidRequestError
from chatscale_assistant.tasks.baskets.fits import Fits
from chatscale_assistant.tasks.schema import TaskModel, TaskResult, parse_input, shown
from chatscale_assistant.tasks.sentiment_head import SentimentHead, packaged_head

MAX_BATCH: Final = 1000
"""Inputs of one batch."""

T = TypeVar("T")
In = TypeVar("In", bound=TaskModel)
Out = TypeVar("Out", bound=TaskResult)


class FactCheck(Protocol):
    """Checks text of a chat model against the texts that it may be based on."""

    def __call__(self, text: str, sources: Sequence[str], language: Language) -> tuple[str, ...]:
        """Descriptions of what the sources do not support; empty if the text passed."""
        ...


class Worker(Protocol):
    """Runs a function that computes for long outside the event loop."""

    def __call__(self, compute: Callable[[], T]) -> Awaitable[T]:
        """The function's result."""
        ...


async def compute_here(compute: Callable[[], T]) -> T:
    """A `Worker` for tests and scripts: computes at once."""
    return compute()


@dataclass(frozen=True, slots=True)
class TaskContext:
    """What tasks take from outside."""

    encoder: Encoder
    now: datetime
    """Timezone-aware."""
    worker: Worker = compute_here
    model: ChatModel | None = None
    """None: results have no text of a chat model."""
    check: FactCheck | None = None
    """Without it text of the chat model is never used."""
    model_timeout_s: float = 8.0
    head: SentimentHead = field(default_factory=packaged_head)
    fits: Fits = field(default_factory=Fits)
    """Share one between all requests of a process."""


@dataclass(frozen=True, slots=True)
class BatchItem:
    """One input's outcome: a result or an error."""

    result: TaskResult | None = None
    error: InvalidRequestError | None = None


@dataclass(frozen=True, slots=True)
class Task(Generic[In, Out]):
    """One task."""

    name: str
    summary: str
    input_model: type[In]
    output_model: type[Out]
    core: Callable[[In, TaskContext], Coroutine[Any, Any, Out]] = field(repr=False)

    async def run(self, data: object, context: TaskContext) -> Out:
        """The result for one input. Raises InvalidRequestError if the input does not match the schema."""
        return await self.core(parse_input(self.name, self.input_model, data), context)

    async def run_batch(
        self, inputs: object, context: TaskContext, *, shared: Mapping[str, Any] | None = None
    ) -> tuple[BatchItem, ...]:
        """One item for each input, in order; an invalid input does not stop the others.

        Fields of `shared` are added to every input, such as the purchases that all recommendations use; an input's own
        field wins.  Raises InvalidRequestError if the batch itself is wrong.
        """
        if not isinstance(inputs, Sequence) or isinstance(inputs, str | bytes):
            raise InvalidRequestError(f"{self.name}: inputs: expected a list, found {shown(inputs)}", "inputs")
        if not 1 <= len(inputs) <= MAX_BATCH:
            raise InvalidRequestError(
                f"{self.name}: inputs: expected 1 to {MAX_BATCH} inputs, found {len(inputs)}", "inputs"
            )
        return tuple([await self._item(each, context, shared or {}) for each in inputs])

    async def _item(self, data: object, context: TaskContext, shared: Mapping[str, Any]) -> BatchItem:
        try:
            merged = {**shared, **data} if isinstance(data, Mapping) else data
            return BatchItem(result=await self.run(merged, context))
        except InvalidRequestError as e:
            return BatchItem(error=e)

    def schemas(self) -> dict[str, Any]:
        """Name, summary and the JSON schemas of input and output."""
        return {
            "name": self.name,
            "summary": self.summary,
            "input": self.input_model.model_json_schema(),
            "output": self.output_model.model_json_schema(mode="serialization"),
        }
