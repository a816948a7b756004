"""In-memory parts for tests of the flow of a turn."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from typing_extensions import override

from chatscale.api.v1alpha1.shopassistant import KnowledgeKind, Language
from chatscale_assistant.conversation.knowledge_step import KnowledgeStep
from chatscale_assistant.conversation.order_step import OrderOutcome, OrderStep
from chatscale_assistant.conversation.turn import ShopResponder
from chatscale_assistant.conversation.wording import Composer, Wording
from chatscale_assistant.domain.answer import Draft
from chatscale_assistant.domain.conversation import Conversation, Speaker, Turn
from chatscale_assistant.domain.evidence import Chunk, Hit, Retrieved
from chatscale_assistant.domain.interfaces import ChatModel, Desk, Retriever
from chatscale_assistant.intent import Intent, Understanding
from chatscale_contract.assistant.extras import CheckExtra, CitationExtra, Rung

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
LANGUAGES = tuple(Language)
RETURNS = Chunk("c1", "policies", KnowledgeKind.DOCUMENTS, "Returns", "Returns are possible within 30 days.", "v1")


def dialogue(*texts: str, **more: Any) -> Conversation:
    """Turns of customer and assistant, in alternation; `person:` begins a turn of staff."""
    turns = []
    for index, text in enumerate(texts):
        speaker = Speaker.CUSTOMER if index % 2 == 0 else Speaker.ASSISTANT
        if text.startswith("person:"):
            speaker, text = Speaker.PERSON, text.removeprefix("person:")  # noqa: PLW2901
        turns.append(Turn(speaker, text))
    return Conversation("case-1", tuple(turns), NOW, **more)


class FakeWording(Wording):
    """Texts that name themselves."""

    @override
    def opening(self, language: Language) -> str:
        return f"[opening {language}]"

    @override
    def sorry(self, language: Language) -> str:
        return f"[sorry {language}]"

    @override
    def hand_over(self, language: Language, now: datetime) -> str:
        return f"[hand-over {language} {now:%H:%M}]"

    @override
    def waiting(self, language: Language, now: datetime) -> str:
        return f"[waiting {language}]"

    @override
    def reach(self, language: Language) -> str:
        return f"[reach {language}]"

    @override
    def contact(self, language: Language) -> str:
        return f"[contact {language}]"

    @override
    def no_answer(self, language: Language) -> str:
        return f"[no answer {language}]"

    @override
    def out_of_scope(self, language: Language) -> str:
        return f"[out of scope {language}]"

    @override
    def small_talk(self, intent: Intent, language: Language) -> str:
        return f"[{intent} {language}]"

    @override
    def misses(self, turns: Sequence[Turn]) -> int:
        said = [turn.text for turn in reversed(turns) if turn.speaker is not Speaker.CUSTOMER]
        return next((count for count, text in enumerate(said) if "[no answer" not in text), len(said))

    @override
    def is_hand_over(self, text: str) -> bool:
        return "[hand-over" in text

    @override
    def summary(self, conversation: Conversation, language: Language, reason: str) -> str:
        return f"{reason}: {conversation.question}"


@dataclass
class FakeComposer(Composer):
    """Quotes the first hit; the model's text is supported unless it has a number."""

    quotes: bool = True

    @override
    def compose(self, question: str, hits: Sequence[Hit], language: Language) -> Draft | None:
        if not self.quotes:
            return None
        chunk = hits[0].chunk
        if chunk.kind is KnowledgeKind.REPLIES:
            return Draft(chunk.text, Rung.CURATED, language)
        citation = CitationExtra(source=chunk.source, title=chunk.title, quote=chunk.text, version=chunk.version)
        return Draft(f"“{chunk.text}”", Rung.QUOTE, language, (chunk,), (citation,))

    @override
    def prompt(self, question: str, draft: Draft, language: Language) -> tuple[str, str]:
        return "system", f"{question} {draft.text}"

    @override
    def review(self, text: str, draft: Draft, language: Language) -> tuple[Draft | None, tuple[CheckExtra, ...]]:
        grounded = "24" not in text
        checks = (CheckExtra(name="facts", passed=grounded),)
        return (replace(draft, text=text, rung=Rung.MODEL) if grounded else None), checks


@dataclass
class FakeRetriever(Retriever):
    """Finds `chunk` for questions with `word`."""

    chunk_: Chunk = RETURNS
    word: str = "return"
    error: Exception | None = None
    hangs: bool = False
    is_shortened: bool = False
    questions: list[str] = field(default_factory=list)

    @override
    async def search(self, question: str, *, limit: int = 5, source: str | None = None) -> Retrieved:
        self.questions.append(question)
        if self.error:
            raise self.error
        if self.hangs:
            await asyncio.Event().wait()
        if self.word not in question:
            return Retrieved((), "i1", 0.1, self.is_shortened)
        return Retrieved((Hit(self.chunk_, 0.9),), "i1", 0.9, self.is_shortened)

    @override
    def chunk(self, chunk_id: str) -> Chunk | None:
        return self.chunk_ if chunk_id == self.chunk_.id else None


@dataclass
class FakeDesk(Desk):
    """Accepts cases. `person` says whether a person answers; a list gives one value for each call."""

    accepts: bool = True
    person: list[bool] = field(default_factory=list)
    error: Exception | None = None
    cases: list[tuple[str, str, str]] = field(default_factory=list)

    @override
    async def hand_over(self, conversation: Conversation, *, summary: str, language: Language, reason: str) -> bool:
        if self.error:
            raise self.error
        self.cases.append((reason, str(language), summary))
        return self.accepts

    @override
    async def has_person(self, conversation: Conversation) -> bool:
        return self.person.pop(0) if self.person else False


@dataclass
class FakeModel(ChatModel):
    """Writes one text."""

    text: str | None = "You can return it within 30 days."
    prompts: list[str] = field(default_factory=list)
    pressed: bool = False

    @property
    @override
    def under_pressure(self) -> bool:
        return self.pressed

    @override
    async def write(self, system: str, user: str, *, max_tokens: int, timeout_s: float) -> str | None:
        self.prompts.append(user)
        return self.text


@dataclass
class FakeOrders(OrderStep):
    """Gives fixed outcomes."""

    confirmed_: OrderOutcome | None = None
    answer_: OrderOutcome | None = None
    error: Exception | None = None

    @override
    async def confirmed(self, conversation: Conversation, language: Language) -> OrderOutcome | None:
        return self.confirmed_

    @override
    async def answer(
        self, conversation: Conversation, understood: Understanding, language: Language
    ) -> OrderOutcome | None:
        if self.error:
            raise self.error
        return self.answer_


def responder(**parts: Any) -> ShopResponder:
    """A responder of fakes."""
    knowledge = KnowledgeStep(
        parts.pop("retriever", FakeRetriever()), parts.pop("composer", FakeComposer()), parts.pop("model", None),
        parts.pop("may_write", lambda: True),
    )  # fmt: skip
    return ShopResponder(LANGUAGES, FakeWording(), knowledge, **parts)
