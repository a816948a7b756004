"""Answers from documents, catalogue and curated replies: search, quote, and the chat model on top if it may write."""

import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Final

from chatscale.api.v1alpha1.shopassistant import Language
from chatscale_assistant import metrics
from chatscale_assistant.answers.products import MIN_RECOMMENDED, recommends
from chatscale_assistant.conversation.deadlines import RETRIEVAL_S, limited
from chatscale_assistant.conversation.wording import Composer
from chatscale_assistant.domain.answer import Draft
from chatscale_assistant.domain.conversation import Conversation, Speaker
from chatscale_assistant.domain.evidence import MIN_ANSWERABLE, Retrieved
from chatscale_assistant.domain.interfaces import ChatModel, Retriever
from chatscale_contract.assistant.extras import CheckExtra, Rung

MAX_HITS: Final = 5
MODEL_TOKENS: Final = 200
_FOLLOW_UP: Final = re.compile(
    r"^\W*(?:and|or|also|what about|how about|then|but)\b|\b(?:it|they|them|that one|this one|those|these)\b"
    r"|^\W*(?:et|ou|aussi|alors|mais)\b|\b(?:celui|celle|ceux|celles|ça|cela)\b|[- ](?:il|elle|ils|elles)\b"
    r"|^(?:那|还有|另外|它|这个|那个|那么)|呢[?\uff1f]?$",
    re.IGNORECASE,
)
"""Signs that a question goes on with the one before it."""
_PROPERTY: Final = re.compile(
    r"^\W*(?:(?:and|or|what about|how about|also)\s+)?(?:in|size)\s+\S+(?:\s+\S+)?\W*$"
    r"|^\W*(?:(?:et|ou|aussi)\s+)?(?:en|taille)\s+\S+(?:\s+\S+)?\W*$"
    r"|^\W*(?:那|还有)?\S{1,4}[色码号]的?(?:有吗|有没有|呢)?\W*$",
    re.IGNORECASE,
)
"""A colour, size or material alone. It is about the product of the question before it, whatever else has it."""
_MAX_FOLLOW_UP: Final = 120
"""Characters. A longer question says itself what it is about."""
_FEW_CHARACTERS: Final = 12
"""Of a question in Chinese, which has no spaces."""
_WORDS: Final = re.compile(r"\w+")


@dataclass(frozen=True, slots=True)
class Found:
    """The result of the step."""

    draft: Draft | None = None
    """None: there is no answer."""
    checks: tuple[CheckExtra, ...] = ()
    index: str = ""
    model_called: bool = False
    failed: bool = False
    """The search failed, was late, or was shortened and found nothing: a person may know the answer."""
    overloaded: bool = False
    """There is no answer, and the chat model has more requests than it can write."""


@dataclass(frozen=True, slots=True)
class KnowledgeStep:
    """Used by all turns."""

    retriever: Retriever
    composer: Composer
    model: ChatModel | None = None
    may_write: Callable[[], bool] = lambda: False
    model_timeout_s: float = 8.0
    clock: Callable[[], float] = field(default=time.monotonic)

    async def find(self, conversation: Conversation, language: Language) -> Found:
        """Search, and draft an answer from what was found. Without a hit there is no answer."""
        started_s = self.clock()
        question, retrieved = await self._search(conversation)
        if retrieved is None:
            return Found(failed=True)
        least = MIN_RECOMMENDED if recommends(question) else MIN_ANSWERABLE
        if retrieved.answerable < least:
            return Found(index=retrieved.index, failed=retrieved.is_shortened, overloaded=self._is_overloaded)
        draft = self.composer.compose(question, retrieved.hits, language)
        if draft is None:
            return Found(index=retrieved.index, failed=retrieved.is_shortened, overloaded=self._is_overloaded)
        if draft.rung is Rung.CURATED or self.model is None:
            return Found(draft, index=retrieved.index)
        if not self.may_write():
            metrics.MODEL_STEPS.labels("not_allowed").inc()
            return Found(draft, index=retrieved.index)
        left_s = self.model_timeout_s - (self.clock() - started_s)
        return replace(await self._phrase(self.model, question, draft, language, left_s), index=retrieved.index)

    @property
    def _is_overloaded(self) -> bool:
        return self.model is not None and self.model.under_pressure

    async def _search(self, conversation: Conversation) -> tuple[str, Retrieved | None]:
        """The question that was searched, and what it found; one that goes on is tried with the one before it."""
        question = conversation.question
        before = [turn.text for turn in conversation.turns[:-1] if turn.speaker is Speaker.CUSTOMER]
        longer = f"{before[-1]}\n{question}" if before else question
        if before and _PROPERTY.search(question):
            question, longer = longer, question
        retrieved = await self._search_one(question)
        if (
            retrieved is None
            or retrieved.answerable >= MIN_ANSWERABLE
            or not before
            or not _goes_on(conversation.question)
        ):
            return question, retrieved
        again = await self._search_one(longer)
        return (longer, again) if again is not None and again.answerable >= MIN_ANSWERABLE else (question, retrieved)

    async def _search_one(self, question: str) -> Retrieved | None:
        started_s = self.clock()
        found = await limited("retrieval", self._retrieve(question), RETRIEVAL_S, None)
        metrics.RETRIEVAL_SECONDS.observe(self.clock() - started_s)
        return found

    async def _retrieve(self, question: str) -> Retrieved | None:
        return await self.retriever.search(question, limit=MAX_HITS)

    async def _phrase(self, model: ChatModel, question: str, draft: Draft, language: Language, left_s: float) -> Found:
        """The model's text if it passed the checks, otherwise the draft."""
        system, user = self.composer.prompt(question, draft, language)
        step = model.write(system, user, max_tokens=MODEL_TOKENS, timeout_s=left_s)
        text = await limited("model", step, max(0.0, left_s) + 1.0, None)
        if text is None:
            return Found(draft, model_called=True)
        written, checks = self.composer.review(text, draft, language)
        for check in checks:
            if not check.passed:
                metrics.CHECKS_FAILED.labels(check.name).inc()
        metrics.MODEL_STEPS.labels("written" if written else "not_grounded").inc()
        return Found(written or draft, checks, model_called=True)


def _goes_on(question: str) -> bool:
    text = question.strip()
    return len(text) <= _MAX_FOLLOW_UP and (_FOLLOW_UP.search(text) or _PROPERTY.search(text)) is not None
