"""The fact check of a draft, sentence by sentence. Pure."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from chatscale.api.v1alpha1.shopassistant import KnowledgeKind, Language
from chatscale_assistant.domain.evidence import Chunk, Evidence, ToolResult
from chatscale_assistant.grounding import claims, polarity
from chatscale_assistant.grounding.matching import Clause, Weights, find_segment, fit
from chatscale_assistant.grounding.segments import Segment, fact_terms, language_of, segment, split_clauses
from chatscale_assistant.language.concepts import EXCLUSIVE, terms
from chatscale_assistant.language.quantities import find_facts

Similarity = Callable[[str, str], float]
"""Sentence, text of one piece of evidence -> 0 to 1, calibrated so that 0.5 or more means "about the same thing"."""
_MIN_COVERAGE: Final = 0.5
_MIN_SIMILARITY: Final = 0.5
_NEAR: Final = 0.9
"""A segment that fits this share as well as the best one is about the same."""


class Reason(StrEnum):
    """Why a sentence passed or did not."""

    SUPPORTED = "supported"
    COURTESY = "courtesy"
    """It claims nothing about the shop."""
    NO_EVIDENCE = "no_evidence"
    WRONG_NUMBER = "number"
    WRONG_MONEY = "money"
    WRONG_PERCENT = "percent"
    WRONG_DURATION = "duration"
    WRONG_DATE = "date"
    WRONG_TIME = "time"
    WRONG_LINK = "link"
    WRONG_EMAIL = "email"
    WRONG_PHONE = "phone"
    WRONG_CODE = "code"
    OTHER_SUBJECT = "other_subject"
    """The value stands in the evidence, but about something else."""
    NEGATION = "negation"
    ATTRIBUTE = "attribute"
    """A colour, material or status that the source does not have."""
    PROMISE = "promise"
    ACTION = "action"
    """An action without a receipt."""


@dataclass(frozen=True, slots=True)
class SentenceCheck:
    """The result for one sentence."""

    sentence: str
    reason: Reason
    evidence: int | None = None
    """Position of the evidence that the sentence is about; None if there is none, or none is needed."""

    @property
    def supported(self) -> bool:
        """Whether a customer may read the sentence."""
        return self.reason in {Reason.SUPPORTED, Reason.COURTESY}


def check_sentences(
    sentences: Sequence[str],
    evidence: Sequence[Evidence],
    language: Language,
    *,
    similarity: Similarity | None = None,
    currency: str = "",
) -> tuple[SentenceCheck, ...]:
    """Check each sentence of a draft against the evidence.

    A sentence that cannot be assigned to one piece of evidence is not supported.  `currency` (ISO 4217) is the shop's
    own, for prices that the evidence has without one.
    """
    checker = _Checker(tuple(evidence), language, similarity, currency.upper())
    results: list[SentenceCheck] = []
    before: frozenset[str] = frozenset()
    for sentence in sentences:
        results.append(checker.check(sentence, before))
        before = terms(sentence)
    return tuple(results)


class _Checker:
    def __init__(
        self, evidence: tuple[Evidence, ...], language: Language, similarity: Similarity | None, currency: str
    ) -> None:
        self._evidence = evidence
        self._texts = tuple(map(text_of, evidence))
        self._segments = segment(evidence, currency=currency)
        self._weigh = Weights(self._segments)
        self._language = language
        self._similarity = similarity
        self._currency = currency
        self._all_terms = frozenset().union(*(each.terms | each.context for each in self._segments))

    def check(self, sentence: str, before: frozenset[str]) -> SentenceCheck:
        facts = find_facts(sentence, self._language)
        if claims.claims_own_action(sentence) and not claims.has_receipt_for(sentence, self._evidence):
            return SentenceCheck(sentence, Reason.ACTION)
        said_today = [fact for fact in facts if fact.value != "today"]
        if not said_today and self._claims_nothing(sentence):
            return SentenceCheck(sentence, Reason.COURTESY)
        if not self._segments:
            return SentenceCheck(sentence, Reason.NO_EVIDENCE)
        clauses = self._clauses(sentence, before)
        source = max(clauses, key=lambda clause: len(clause.terms))
        about = max(self._segments, key=lambda each: fit(source, each, self._weigh))
        chosen: list[Segment] = []
        for clause in clauses:
            found = self._check_facts(clause)
            if isinstance(found, Reason):
                return SentenceCheck(sentence, found, about.evidence)
            chosen += found
        about = chosen[0] if chosen else about
        reason = self._check_words(sentence, clauses, about, tuple(chosen))
        return SentenceCheck(sentence, reason, about.evidence)

    def _claims_nothing(self, sentence: str) -> bool:
        if claims.promises(sentence):
            return False
        question = sentence.rstrip(" »”\"'").endswith(("?", "？"))
        return claims.is_courtesy(sentence) or (question and len(split_clauses(sentence)) <= 2)  # noqa: PLR2004

    def _clauses(self, sentence: str, before: frozenset[str]) -> tuple[Clause, ...]:
        similarity = (
            {i: self._similarity(sentence, text) for i, text in enumerate(self._texts)} if self._similarity else {}
        )
        around = fact_terms(sentence)
        return tuple(
            Clause(text, terms(text), around, before, find_facts(text, self._language), similarity)
            for text in split_clauses(sentence) or (sentence,)
        )

    def _check_facts(self, clause: Clause) -> list[Segment] | Reason:
        found: list[Segment] = []
        for fact in clause.facts:
            segment_, elsewhere = find_segment(clause, fact, self._segments, self._weigh, self._currency)
            if segment_ is None:
                return Reason.OTHER_SUBJECT if elsewhere else Reason(fact.kind.value)
            found.append(segment_)
        return found

    def _check_words(  # noqa: PLR0911 - one return for each reason
        self, sentence: str, clauses: tuple[Clause, ...], about: Segment, chosen: tuple[Segment, ...]
    ) -> Reason:
        pieces = {about.evidence, *(each.evidence for each in chosen)}
        if not self._covers(sentence, clauses, pieces):
            return Reason.NO_EVIDENCE
        for clause in clauses:
            if not self._makes_promises_of_source(clause, pieces):
                return Reason.PROMISE
            pairs, said = polarity.yes_no_pairs(clause.text)
            if not all(self._has_flag(clause, name, pieces, value=value) for name, value in pairs):
                return Reason.NEGATION
            clause = replace(clause, text=said, terms=terms(said))  # noqa: PLW2901 - the pairs are checked
            near = self._nearest(clause, pieces)
            if polarity.is_negative(clause.text) != polarity.is_negative(near.text) or polarity.contradicts(
                clause.text, near.text
            ):
                return Reason.NEGATION
            have = near.terms | near.context
            if any(term.startswith(EXCLUSIVE) and term not in have for term in clause.terms):
                return Reason.ATTRIBUTE
        if claims.claims_done_action(sentence) and not self._has_state(sentence, pieces):
            return Reason.ACTION
        return Reason.SUPPORTED

    def _makes_promises_of_source(self, clause: Clause, pieces: set[int]) -> bool:
        """Whether the source makes the clause's promises about the same subject: nearly in the best segment."""
        made = claims.promises(clause.text)
        if not made:
            return True
        subject = replace(clause, terms=terms(claims.without_promises(clause.text)))
        subject = replace(subject, around=subject.around - (clause.terms - subject.terms))
        scored = [(fit(subject, each, self._weigh), each) for each in self._segments if each.evidence in pieces]
        top = max(score for score, _ in scored)
        near = " ".join(each.text for score, each in scored if score >= _NEAR * top)
        return made <= claims.promises(near)

    def _nearest(self, clause: Clause, pieces: set[int]) -> Segment:
        candidates = [each for each in self._segments if each.evidence in pieces]
        # "in stock" is about the field with this name, whatever else the clause names.
        flags = [each for each in candidates if each.flag is not None and each.terms & clause.terms]
        if flags:
            return max(flags, key=lambda each: fit(clause, each, self._weigh))
        return max(candidates, key=lambda each: fit(clause, each, self._weigh))

    def _has_flag(self, clause: Clause, name: str, pieces: set[int], *, value: bool) -> bool:
        """Whether the object that the clause is about has this yes-or-no field with this value."""
        named = terms(name)
        flags = [each for each in self._segments if each.evidence in pieces and each.flag is not None]
        about = [each for each in flags if each.terms & named]
        top = max((fit(clause, each, self._weigh) for each in about), default=0.0)
        return any(each.flag is value for each in about if fit(clause, each, self._weigh) >= top)

    def _covers(self, sentence: str, clauses: tuple[Clause, ...], pieces: set[int]) -> bool:
        """Whether enough of the sentence's terms stand in its evidence; across languages only concepts and names count."""
        have = frozenset().union(*(each.terms | each.context for each in self._segments if each.evidence in pieces))
        own = terms(sentence)
        same = any(language_of(self._texts[i]) is self._language for i in pieces)
        counted = own if same else frozenset(term for term in own if term.startswith(("=", "size:")) or term in have)
        if counted and len(counted & have) >= _MIN_COVERAGE * len(counted):
            return True
        if any(clauses[0].similarity.get(i, 0.0) >= _MIN_SIMILARITY for i in pieces):
            return True
        return not own and any(clause.facts for clause in clauses)

    def _has_state(self, sentence: str, pieces: set[int]) -> bool:
        if claims.has_receipt_for(sentence, self._evidence):
            return True
        wanted = {
            term
            for term in terms(sentence)
            if term.startswith(("=status:", "=cancel", "=refund", "=return", "=exchange"))
        }
        for i in pieces:
            item = self._evidence[i]
            if isinstance(item, ToolResult) and not wanted - terms(self._texts[i]):
                return True
            if isinstance(item, Chunk) and claims.claims_done_action(item.text):
                return True
        return False


def text_of(item: Evidence) -> str:
    """The text of a piece of evidence, as it is compared with a draft."""
    match item:
        case Chunk(kind=KnowledgeKind.CATALOGUE) if item.fields:
            return "\n".join([item.title, item.text, *(f"{key}: {value}" for key, value in item.fields.items())])
        case Chunk():
            return f"{item.title}\n{item.text}"
        case ToolResult():
            return item.text or str(item.data)
