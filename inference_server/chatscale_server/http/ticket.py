"""One admitted request as its HTTP handler sees it, and several that make up one answer."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

from chatscale_contract.openai.errors import ApiError
from chatscale_server.engine.request import FinishReason, Output, Request, Score


@dataclass(frozen=True, slots=True)
class News:
    """What came since the last look; `finish` is set in the last one."""

    text: str
    scores: tuple[Score, ...] = ()
    finish: FinishReason | None = None


class Ticket:
    """The bridge feeds it, one handler reads it. Tickets that share `bell` are read together."""

    def __init__(self, request: Request, bell: asyncio.Event | None = None, schema_param: str | None = None) -> None:
        self.request = request
        self.schema_param = schema_param
        """The body's field that asks for its schema, if one does."""
        self.started_s: float | None = None
        self.first_token_s: float | None = None
        self.last_token_s: float | None = None
        self.generated = 0
        self.finish: FinishReason | None = None
        self.problem: ApiError | None = None
        """Set when the request ended without an answer."""
        self.bell = bell or asyncio.Event()
        """Rings when there are news."""
        self._text: list[str] = []
        self._scores: list[Score] = []
        self._unread = 0

    @property
    def unread_tokens(self) -> int:
        """Generated and not yet taken by the handler."""
        return self._unread

    def feed(self, output: Output) -> None:
        """New text; called by the bridge."""
        self._text.append(output.text)
        self._scores += output.scores
        self._unread += output.tokens
        self.generated += output.tokens
        self.bell.set()

    def end(self, finish: FinishReason, problem: ApiError | None = None) -> None:
        """Nothing more will come; the first end counts."""
        if self.finish is None:
            self.finish, self.problem = finish, problem
            self.bell.set()

    def take(self) -> News:
        """All since the last look; raises the problem once the text before it is used up."""
        text = "".join(self._text)
        scores = tuple(self._scores)
        self._text.clear()
        self._scores.clear()
        self._unread = 0
        if self.problem is None:
            return News(text, scores, self.finish)
        if not text:
            raise self.problem
        self.bell.set()
        return News(text, scores)


async def read_together(tickets: Sequence[Ticket]) -> AsyncIterator[tuple[int, News]]:
    """News of tickets that share a bell, each with its index, until all have ended; raises the first problem."""
    unfinished = dict(enumerate(tickets))
    while unfinished:
        bell = next(iter(unfinished.values())).bell
        await bell.wait()
        bell.clear()
        for index, ticket in list(unfinished.items()):
            news = ticket.take()
            if news.finish is not None:
                del unfinished[index]
            if news.text or news.scores or news.finish is not None:
                yield index, news
