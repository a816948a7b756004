"""Suites `retrieval` and `abstention`: products and passages are found, and missing answers are recognised."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Final

from chatscale.api.v1alpha1.shopassistant import Language
from chatscale_assistant.domain.evidence import Retrieved
from chatscale_assistant.domain.interfaces import Retriever
from chatscale_assistant.evaluation import questions
from chatscale_assistant.evaluation.bm25 import Bm25
from chatscale_assistant.evaluation.intervals import auc, share
from chatscale_assistant.evaluation.measurement import Measurement
from chatscale_assistant.evaluation.questions import Question, Split, has_quote
from chatscale_assistant.evaluation.tau2 import CATALOGUE_SOURCE, POLICY_SOURCE, Tau2Shop

LANGUAGES: Final = (Language.ENGLISH, Language.CHINESE, Language.FRENCH)
_PRODUCT_LIMITS: Final = {
    Language.ENGLISH: (0.98, 1.0),
    Language.CHINESE: (0.95, 0.98),
    Language.FRENCH: (0.95, 0.98),
}
"""Must and aim."""
_ANSWERS: Final = 0.5
"""`Retrieved.answerable` from which on the assistant answers."""


@dataclass(frozen=True, slots=True)
class Corpus:
    """The texts of the baseline: one per product, and the paragraphs of the policy."""

    names: tuple[str, ...]
    products: Bm25
    paragraphs: tuple[str, ...]
    passages: Bm25

    @classmethod
    def of(cls, shop: Tau2Shop) -> "Corpus":
        """Without any knowledge of the assistant's own chunks."""
        rows = ["\n".join(f"{column}: {value}" for column, value in each.summary().items()) for each in shop.products]
        paragraphs = tuple(part.strip() for part in shop.policy.split("\n\n") if part.strip()[:1] not in {"", "#"})
        return cls(tuple(each.name for each in shop.products), Bm25(rows), paragraphs, Bm25(paragraphs))


async def measure_retrieval(retriever: Retriever, shop: Tau2Shop, sample: int | None) -> AsyncIterator[Measurement]:
    """Products within three and passages within five, per language."""
    corpus = Corpus.of(shop)
    for language in LANGUAGES:
        asked = questions.products(language)[:sample]
        found = [each.product in distinct_titles(await _products(retriever, each), 3) for each in asked]
        base = [each.product in [corpus.names[i] for i in corpus.products.best(each.text, 3)] for each in asked]
        must, aim = _PRODUCT_LIMITS[language]
        yield Measurement.of(
            "retrieval",
            "product within three",
            share(found),
            language=language,
            baseline=share(base).value,
            baseline_name="BM25",
            must=must,
            aim=aim,
            note=_held_out(asked, found),
        )
    for language in LANGUAGES:
        asked = questions.policy(language)[:sample]
        found = [await _has_passage(retriever, each) for each in asked]
        base = [
            any(has_quote(corpus.paragraphs[i], each.quotes) for i in corpus.passages.best(each.text, 5))
            for each in asked
        ]
        yield Measurement.of(
            "retrieval",
            "passage within five",
            share(found),
            language=language,
            baseline=share(base).value,
            baseline_name="BM25",
            must=0.95,
            aim=0.98,
            note=_held_out(asked, found),
        )


async def measure_abstention(retriever: Retriever, shop: Tau2Shop, sample: int | None) -> AsyncIterator[Measurement]:
    """How well `answerable` separates the policy's questions from those without an answer."""
    corpus = Corpus.of(shop)
    for language in LANGUAGES:
        asked = questions.policy(language)[:sample]
        without = questions.unanswerable(language)[:sample]
        yes = [(await retriever.search(each.text)).answerable for each in asked]
        no = [(await retriever.search(each.text)).answerable for each in without]
        base = auc(
            [float(corpus.passages.scores(each.text).max()) for each in asked],
            [float(corpus.passages.scores(each.text).max()) for each in without],
        )
        held = auc(
            [score for each, score in zip(asked, yes, strict=True) if each.split is Split.TEST] or yes,
            [score for each, score in zip(without, no, strict=True) if each.split is Split.TEST] or no,
        )
        refused, answered = share([score < _ANSWERS for score in yes]), share([score >= _ANSWERS for score in no])
        yield Measurement.of(
            "abstention",
            "AUC of answerable",
            auc(yes, no),
            language=language,
            baseline=base.value,
            baseline_name="best BM25 score",
            must=0.95,
            aim=0.98,
            note=(
                f"held-out half: {held.value:.3f}. At the threshold, {refused.value:.0%} of the questions with an "
                f"answer get none, and {answered.value:.0%} of those without an answer get a passage."
            ),
        )


def distinct_titles(found: Retrieved, count: int) -> list[str]:
    """The first `count` different titles: several variants of a product are one product."""
    return list(dict.fromkeys(hit.chunk.title for hit in found.hits))[:count]


async def _products(retriever: Retriever, question: Question) -> Retrieved:
    return await retriever.search(question.text, limit=10, source=CATALOGUE_SOURCE)


async def _has_passage(retriever: Retriever, question: Question) -> bool:
    found = await retriever.search(question.text, limit=5, source=POLICY_SOURCE)
    return any(has_quote(hit.chunk.text, question.quotes) for hit in found.hits)


def _held_out(asked: Sequence[Question], found: Sequence[bool]) -> str:
    held = [hit for each, hit in zip(asked, found, strict=True) if each.split is Split.TEST]
    # Only of the half that is for tuning: the report is read by those who tune.
    missed = [each.id for each, hit in zip(asked, found, strict=True) if not hit and each.split is Split.DEV]
    listed = f"; missed of the other half: {', '.join(missed[:12])}" if missed else ""
    return f"held-out half: {share(held).value:.3f} of {len(held)}{listed}." if held else ""
