"""One turn: from a conversation to an answer.

The steps have an order: a person, the customer's confirmation, orders, knowledge. Each step has a deadline, and a step
that fails lowers the rung. The assistant never raises: a customer always gets an answer, or a hand-over that is said.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from typing_extensions import override

from chatscale.api.v1alpha1.shopassistant import Language
from chatscale_assistant import metrics
from chatscale_assistant.conversation.deadlines import DESK_S, STATUS_S, TOOLS_S, TURN_S, limited, where
from chatscale_assistant.conversation.history import History, read_history
from chatscale_assistant.conversation.knowledge_step import Found, KnowledgeStep
from chatscale_assistant.conversation.order_step import OrderOutcome, OrderStep
from chatscale_assistant.conversation.several import about_part, joined, questions_of
from chatscale_assistant.conversation.wording import Wording
from chatscale_assistant.domain.answer import Answer, Draft
from chatscale_assistant.domain.conversation import Conversation, Speaker
from chatscale_assistant.domain.interfaces import Desk, Responder
from chatscale_assistant.intent import (
    Consent,
    Intent,
    Understanding,
    asks_contact,
    is_complaint,
    read_consent,
    understand,
)
from chatscale_assistant.language.detect import conversation_language
from chatscale_contract.assistant.extras import CheckExtra, HandOverState, Rung, Sentiment

log = logging.getLogger(__name__)

SMALL_TALK: Final = frozenset({Intent.GREETING, Intent.THANKS, Intent.GOODBYE, Intent.SMALL_TALK, Intent.WHO_ANSWERS})
_WAITS: Final = frozenset({Intent.GREETING, Intent.SMALL_TALK})
"""After a hand-over these look for the person ("hello?", "??")."""
_TOOLS_FAILED: Final = OrderOutcome(reason="tools_failed")
_SCOPE: Final = CheckExtra(name="scope", passed=False, detail="not about the shop")


@dataclass(frozen=True, slots=True)
class _Turn:
    """One turn, understood."""

    conversation: Conversation
    """With one question in its last turn."""
    language: Language
    understood: Understanding
    history: History
    whole: Conversation
    """With everything that the customer wrote: what a person reads."""


@dataclass(frozen=True, slots=True)
class ShopResponder(Responder):
    """The whole assistant."""

    languages: Sequence[Language]
    wording: Wording
    knowledge: KnowledgeStep
    orders: OrderStep | None = None
    desk: Desk | None = None
    needs_person: Callable[[str, Intent], Awaitable[bool]] | None = None
    """A second sign that a message of this intent needs a person, where no pattern says it."""
    after_misses: int = 2
    model_timeout_s: float = 8.0
    clock: Callable[[], float] = field(default=time.monotonic)

    @override
    async def answer(self, conversation: Conversation) -> Answer:
        """Answer, and count."""
        started_s, language, called = self.clock(), self.languages[0], False
        try:
            async with asyncio.timeout(TURN_S + self.model_timeout_s):
                language = self._language(conversation)
                answer, called = await self._answer(conversation, language)
        except Exception as error:  # noqa: BLE001 - a customer gets an answer in any case
            log.error("turn failed", extra=where(error))  # noqa: TRY400
            metrics.PARTS_FAILED.labels("turn").inc()
            answer = Answer(self.wording.contact(language), Rung.NO_ANSWER, language, Sentiment.NEUTRAL)
        metrics.ANSWERS.labels(str(answer.rung), str(answer.language)).inc()
        metrics.ANSWER_SECONDS.labels("called" if called else "not_called").observe(self.clock() - started_s)
        return answer

    def _language(self, conversation: Conversation) -> Language:
        said = [turn.text for turn in conversation.turns if turn.speaker is Speaker.CUSTOMER]
        return conversation_language(said, languages=self.languages)

    async def _answer(self, conversation: Conversation, language: Language) -> tuple[Answer, bool]:
        """The answer, and whether the chat model was called for it."""
        turn = _Turn(
            conversation,
            language,
            understand(conversation.question, language),
            read_history(conversation, self.wording),
            conversation,
        )
        if turn.history.has_person or await self._has_person(conversation):
            return self._silence(turn), False
        answer, called = await self._reply(turn)
        # A person may have come while the answer was made.
        if answer.hand_over is HandOverState.NONE and await self._has_person(conversation):
            return self._silence(turn), called
        if turn.history.is_first and answer.text:
            answer = replace(answer, text=f"{self.wording.opening(language)}\n\n{answer.text}")
        return answer, called

    async def _reply(self, turn: _Turn) -> tuple[Answer, bool]:
        if turn.understood.tone is not Sentiment.ANGRY and turn.understood.intent is not Intent.PERSON:
            parts = questions_of(turn.conversation, turn.language)
            if len(parts) > 1 and (several := await self._reply_to_each(turn, parts)):
                return several
        return await self._reply_to_one(turn)

    async def _reply_to_each(self, turn: _Turn, parts: Sequence[str]) -> tuple[Answer, bool] | None:
        """One answer to several questions; None if no part has an answer. A hand-over or a proposal ends it."""
        if await self._seems_to_want_person(turn):
            return None
        answers: list[Answer] = []
        called = False
        for part in parts:
            conversation = about_part(turn.conversation, part)
            one = replace(turn, conversation=conversation, understood=understand(part, turn.language))
            answer, was_called = await self._reply_to_one(one)
            answers.append(answer)
            called = called or was_called
            if answer.rung is Rung.HAND_OVER or answer.pending:
                break
        if all(answer.rung is Rung.NO_ANSWER for answer in answers):
            return None
        return joined(answers), called

    async def _reply_to_one(self, turn: _Turn) -> tuple[Answer, bool]:
        answer = await self._serve(turn) or self._talk(turn)
        return (answer, False) if answer is not None else await self._from_knowledge(turn)

    async def _serve(self, turn: _Turn) -> Answer | None:
        """What comes before everything else: a person, and the customer's own orders."""
        if turn.understood.intent is Intent.PERSON:
            return await self._hand_over(turn, "requested")
        if outcome := await self._confirmed(turn):
            return await self._from_orders(turn, outcome)
        if await self._seems_to_want_person(turn):
            return await self._hand_over(turn, "requested")
        if turn.understood.tone is Sentiment.ANGRY and not turn.history.handed_over:
            return await self._hand_over(turn, "angry")
        if turn.understood.intent is not Intent.OUT_OF_SCOPE and (outcome := await self._about_orders(turn)):
            return await self._from_orders(turn, outcome)
        return None

    async def _seems_to_want_person(self, turn: _Turn) -> bool:
        if self.needs_person is None or turn.understood.entities.orders:
            return False
        text = turn.conversation.question
        if read_consent(text) is not Consent.UNCLEAR:
            return False
        return await limited("needs_person", self.needs_person(text, turn.understood.intent), STATUS_S, otherwise=False)

    def _talk(self, turn: _Turn) -> Answer | None:
        """What needs no source."""
        intent, language = turn.understood.intent, turn.language
        if intent is Intent.OUT_OF_SCOPE:
            draft = Draft(self.wording.out_of_scope(language), Rung.TEMPLATE, language)
            return self._said(turn, draft, checks=(_SCOPE,))
        if turn.history.handed_over and intent in _WAITS:
            return self._waiting(turn)
        if intent in SMALL_TALK:
            return self._said(turn, Draft(self.wording.small_talk(intent, language), Rung.TEMPLATE, language))
        return None

    async def _confirmed(self, turn: _Turn) -> OrderOutcome | None:
        if self.orders is None or turn.history.is_first:
            return None
        step = self.orders.confirmed(turn.conversation, turn.language)
        return await limited("tools", step, 2 * TOOLS_S, _TOOLS_FAILED)

    async def _about_orders(self, turn: _Turn) -> OrderOutcome | None:
        if self.orders is None:
            return None
        step = self.orders.answer(turn.conversation, turn.understood, turn.language)
        return await limited("tools", step, TOOLS_S, _TOOLS_FAILED)

    async def _from_orders(self, turn: _Turn, outcome: OrderOutcome) -> Answer:
        if outcome.draft is None:
            return replace(await self._hand_over(turn, outcome.reason), checks=outcome.checks)
        return self._said(turn, outcome.draft, checks=outcome.checks, pending=outcome.pending)

    async def _from_knowledge(self, turn: _Turn) -> tuple[Answer, bool]:
        found = await self.knowledge.find(turn.conversation, turn.language)
        if found.draft is not None:
            return self._said(turn, found.draft, checks=found.checks, index=found.index), found.model_called
        if found.failed:
            return await self._hand_over(turn, "search_failed"), found.model_called
        return await self._miss(turn, found), found.model_called

    async def _miss(self, turn: _Turn, found: Found) -> Answer:
        reach = self.wording.reach(turn.language) if asks_contact(turn.conversation.question) else ""
        if reach:
            return self._said(turn, Draft(reach, Rung.TEMPLATE, turn.language), index=found.index)
        if turn.history.handed_over:
            return replace(self._waiting(turn), index=found.index)
        if read_consent(turn.conversation.question) is not Consent.UNCLEAR:  # a yes or no to nothing is no question
            text = self.wording.small_talk(Intent.SMALL_TALK, turn.language)
            return self._said(turn, Draft(text, Rung.TEMPLATE, turn.language), index=found.index)
        if reason := self._person_for_miss(turn, found):
            return replace(await self._hand_over(turn, reason), index=found.index)
        text = self.wording.no_answer(turn.language)
        return self._said(turn, Draft(text, Rung.NO_ANSWER, turn.language), checks=found.checks, index=found.index)

    def _person_for_miss(self, turn: _Turn, found: Found) -> str:
        """Why a person takes over after a question without an answer; empty: the customer may try again."""
        if is_complaint(turn.conversation.question):
            return "complaint"
        if turn.history.misses + 1 >= self.after_misses:
            return "misses"
        return "overload" if found.overloaded else ""  # a second try would be one more question to a busy pod

    async def _hand_over(self, turn: _Turn, reason: str) -> Answer:
        """A person takes over, once per case. The text says it; if the desk does not accept, it has the contact."""
        language, now = turn.language, turn.conversation.now
        if turn.history.handed_over:
            return self._waiting(turn)
        accepted, outcome = False, "none"
        if self.desk is not None:
            summary = self.wording.summary(turn.whole, language, reason)
            step = self.desk.hand_over(turn.whole, summary=summary, language=language, reason=reason)
            accepted = await limited("desk", step, DESK_S, otherwise=False)
            outcome = "accepted" if accepted else "refused"
        metrics.HAND_OVERS.labels(reason, outcome).inc()
        text = self.wording.hand_over(language, now) if accepted else self.wording.contact(language)
        if turn.understood.tone is Sentiment.ANGRY:
            text = f"{self.wording.sorry(language)} {text}"
        answer = self._said(turn, Draft(text, Rung.HAND_OVER, language))
        return replace(answer, hand_over=HandOverState.REQUESTED) if accepted else answer

    def _waiting(self, turn: _Turn) -> Answer:
        text = self.wording.waiting(turn.language, turn.conversation.now)
        return self._said(turn, Draft(text, Rung.HAND_OVER, turn.language))

    async def _has_person(self, conversation: Conversation) -> bool:
        """Whether a person answers now, as the desk has it. A desk that fails says so itself."""
        if self.desk is None:
            return False
        return await limited("desk", self.desk.has_person(conversation), STATUS_S, otherwise=False)

    def _silence(self, turn: _Turn) -> Answer:
        return Answer("", Rung.HAND_OVER, turn.language, turn.understood.tone, hand_over=HandOverState.PERSON)

    def _said(
        self,
        turn: _Turn,
        draft: Draft,
        *,
        checks: tuple[CheckExtra, ...] = (),
        pending: str | None = None,
        index: str = "",
    ) -> Answer:
        return Answer(
            draft.text, draft.rung, turn.language, turn.understood.tone, citations=draft.citations, checks=checks,
            pending=pending, index=index,
        )  # fmt: skip
