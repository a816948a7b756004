"""One search over an open index: BM25 and encoders to hits. Runs in the worker thread.

BM25 and the fastest encoder take about 5 ms of CPU, the others 12 ms, in a thread of their own at the same time. While
questions wait, the others are left out where the first ones decide; while many wait, wherever the first ones find an
answer. That there is no answer is never concluded without all encoders (docs/design/0025).
"""

import math
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import chain
from types import MappingProxyType
from typing import Final

import numpy as np
from numpy.typing import NDArray

from chatscale.api.v1alpha1.shopassistant import KnowledgeKind, Language
from chatscale_assistant.domain.evidence import MIN_ANSWERABLE, Chunk, Hit, Retrieved
from chatscale_assistant.domain.interfaces import Encoder
from chatscale_assistant.errors import SourceError
from chatscale_assistant.index.snapshot import Snapshot
from chatscale_assistant.index.vectors import NEAREST, Vectors
from chatscale_assistant.language.scripts import shortened
from chatscale_assistant.retrieval.background import background_language
from chatscale_assistant.retrieval.chunks import count_tokens
from chatscale_assistant.retrieval.glossary import concepts
from chatscale_assistant.retrieval.replies import REPLY_FIELD
from chatscale_assistant.retrieval.scoring import Background, Nearby, Ranked, adjusted, covered, rank, strong_bm25
from chatscale_assistant.retrieval.terms import MAX_QUESTION_TERMS, content_terms, terms

_JUDGED: Final = 20
"""Lexical matches whose coverage stands in for missing vectors."""
MAX_QUESTION: Final = 300
"""Characters that are searched. e5 needs 0.05 s for so many, and a second for 4,000."""
MAX_QUESTION_TOKENS: Final = 120
"""Of an encoder, estimated: a row of signs has one for each."""
_RERANKED: Final = 10
OTHER_ROWS: Final = 3
"""Of the best product: a question that names no variant is answered with several."""
MANY_WAITING: Final = 3
DECIDED_CONFIDENCE: Final = 0.9
DECIDED_LEAD: Final = 1.0
"""Of the best passage over the next one of another product, in the sum of the scores. About 45 % of 360 questions reach
both, and for all of those the other encoders have the same best passage."""
_MAX_CACHED: Final = 4096
"""Texts of rows, which many questions meet again. Text of customers is never cached."""
_OVERFETCH: Final = 20
"""Of lexical matches where one source is searched: BM25 ranks all sources."""

Backgrounds = Mapping[tuple[str, Language | None], Background]
"""By encoder and the question's `background_language`."""


@dataclass(slots=True)
class Searcher:
    """An index version with everything that a search needs."""

    snapshot: Snapshot
    vectors: Vectors
    encoders: Sequence[Encoder]
    """The fastest first."""
    backgrounds: Backgrounds = field(default_factory=dict)
    """An encoder without one is left out: its scores mean nothing yet."""
    texts: frozenset[str] = frozenset()
    """Names of the sources with documents and catalogues."""
    replies: frozenset[str] = frozenset()
    """Names of the sources with curated replies."""
    reply_backgrounds: Backgrounds = field(default_factory=dict)
    aside: Executor | None = None
    """Computes the slow vectors beside the search; None computes them within it."""
    failure: str = ""
    """Why the last search went without an encoder; empty if it used all."""

    def search(self, question: str, limit: int, source: str | None, *, waiting: int = 0) -> Retrieved:
        """The best chunks: one of each product and of each curated reply, `limit` at most.

        If the best one is a product, up to OTHER_ROWS of its other rows follow at the end.  waiting: further
        questions, which decide when the fastest encoder is enough.
        """
        self.failure = ""
        question = searchable(question)
        language = background_language(question)
        begun = {} if waiting else self._begin(self.encoders[1:], question, language)
        asked, shop_words = content_terms(question), concepts(question)
        searched = list(dict.fromkeys(chain(asked, *shop_words)))[:MAX_QUESTION_TERMS]
        lexical = self._lexical(searched, source)
        near = self._nearby(self.encoders[:1], question, language, source)
        ranked = [] if not waiting else self._ranked(lexical, near, asked, shop_words)
        if not self._is_enough(ranked, waiting):
            near += self._nearby(self.encoders[1:], question, language, source, begun)
            ranked = self._ranked(lexical, near, asked, shop_words)
        own = frozenset(terms(question))
        hits: dict[str, Hit] = {}
        rows: list[Hit] = []
        for each in ranked:
            if len(hits) == limit:
                break
            chunk, *others = _closest_first(self.snapshot.chunks_of(each.passage), own)
            rows = rows or [Hit(other, each.confidence) for other in others[:OTHER_ROWS] if not hits]
            key = f"{chunk.source} {chunk.fields[REPLY_FIELD]}" if chunk.kind is KnowledgeKind.REPLIES else chunk.id
            hits.setdefault(key, Hit(chunk, each.confidence))
        likely = ranked[0].confidence if ranked else 0.0
        return Retrieved((*hits.values(), *rows), self.snapshot.version, likely)

    def _ranked(
        self, lexical: dict[int, float], near: list[Nearby], asked: Sequence[str], shop_words: Sequence[Sequence[str]]
    ) -> list[Ranked]:
        needs_coverage = not near or any(each.missing for each in near)
        coverage = self._coverage(list(lexical)[:_JUDGED], asked, shop_words) if needs_coverage else {}
        found = rank(lexical, near, coverage, strong=strong_bm25(len(self.snapshot.sources)))
        return self._reranked(found, shop_words)

    def _coverage(
        self, passages: Sequence[int], asked: Sequence[str], shop_words: Sequence[Sequence[str]]
    ) -> dict[int, float]:
        """The share of the question that each passage has."""
        wanted = [([term], self._rarity(term)) for term in asked]
        translated = [(each, 1.0) for each in shop_words]
        having = {term: self.snapshot.with_any([term], passages) for term in {*asked, *chain(*shop_words)}}
        return {
            passage: max(covered(wanted, has), covered(translated, has))
            for passage in passages
            for has in [frozenset(term for term, found in having.items() if passage in found)]
        }

    def _is_enough(self, ranked: Sequence[Ranked], waiting: int) -> bool:
        """Whether a result of the fastest encoder alone may be used while so many questions wait."""
        if waiting >= MANY_WAITING:
            return bool(ranked) and ranked[0].confidence >= MIN_ANSWERABLE
        return self._is_decided(ranked)

    def _is_decided(self, ranked: Sequence[Ranked]) -> bool:
        """Whether the best passage is so likely, and so far ahead, that another encoder would not change it."""
        if not ranked or ranked[0].confidence < DECIDED_CONFIDENCE:
            return False
        best, *others = ranked[:_RERANKED]
        first = self.snapshot.chunks_of(best.passage)[0]
        product = first.title if first.kind is KnowledgeKind.CATALOGUE else None
        return all(
            best.total - each.total >= DECIDED_LEAD
            for each in others
            if self.snapshot.chunks_of(each.passage)[0].title != product
        )

    def _reranked(self, ranked: list[Ranked], shop_words: Sequence[Sequence[str]]) -> list[Ranked]:
        """The best passages, each lowered for the shop words of the question that it lacks."""
        best, rest = ranked[:_RERANKED], ranked[_RERANKED:]
        passages = [each.passage for each in best]
        covered_by = [self.snapshot.with_any(group, passages) for group in shop_words]
        scored: list[Ranked] = []
        for each in best:
            has = sum(each.passage in covering for covering in covered_by)
            is_product = self.snapshot.chunks_of(each.passage)[0].kind is KnowledgeKind.CATALOGUE
            scored.append(adjusted(each, has if is_product else 0, len(covered_by) - has))
        return sorted(scored, key=lambda each: (-each.total, each.passage)) + rest

    def _lexical(self, searched: Sequence[str], source: str | None) -> dict[int, float]:
        limit = NEAREST if source is None else NEAREST * _OVERFETCH
        found = self.snapshot.lexical(searched, limit=limit)
        if source is not None:
            found = [each for each in found if self.snapshot.sources[each[0]] == source][:NEAREST]
        return dict(found)

    def _begin(
        self, encoders: Sequence[Encoder], question: str, language: Language | None
    ) -> dict[str, Future[NDArray[np.float32]]]:
        """Vectors of the question, by encoder, that are being computed."""
        if self.aside is None:
            return {}
        used = [encoder for encoder in encoders if (encoder.name, language) in self.backgrounds]
        return {encoder.name: self.aside.submit(encoder.queries, [question]) for encoder in used}

    def _nearby(
        self,
        encoders: Sequence[Encoder],
        question: str,
        language: Language | None,
        source: str | None,
        begun: Mapping[str, Future[NDArray[np.float32]]] = MappingProxyType({}),
    ) -> list[Nearby]:
        found: list[Nearby] = []
        for encoder in encoders:
            background = self.backgrounds.get((encoder.name, language))
            if background is None:
                continue
            try:
                vectors = begun[encoder.name].result() if encoder.name in begun else encoder.queries([question])
                similarities = self._nearest(encoder.name, vectors[0], source)
            except SourceError as e:
                self.failure = str(e)
            else:
                replies = self.reply_backgrounds.get((encoder.name, language))
                if replies is not None:
                    similarities = self._scaled(similarities, replies, background)
                found.append(Nearby(similarities, background, self.vectors.missing(encoder.name)))
        return found

    def _nearest(self, encoder: str, vector: NDArray[np.float32], source: str | None) -> dict[int, float]:
        """The nearest texts and the nearest replies: one kind must not crowd out the other."""
        if source is not None or not self.replies or not self.texts:
            return self.vectors.nearest(encoder, vector, source, NEAREST)
        found: dict[int, float] = {}
        for group in (self.texts, self.replies):
            merged: dict[int, float] = {}
            for name in sorted(group):
                merged |= self.vectors.nearest(encoder, vector, name, NEAREST)
            best = sorted(merged.items(), key=lambda item: -item[1])[:NEAREST]
            found |= dict(best)
        return found

    def _scaled(self, similarities: dict[int, float], replies: Background, texts: Background) -> dict[int, float]:
        """Similarities of replies, moved so that they mean on the scale of texts what they mean on their own."""
        return {
            passage: texts.mean + replies.standard_score(similarity) * texts.spread
            if self.snapshot.sources[passage] in self.replies
            else similarity
            for passage, similarity in similarities.items()
        }

    def _rarity(self, term: str) -> float:
        return math.log(1 + len(self.snapshot.sources) / (1 + self.snapshot.frequency(term)))


def searchable(question: str) -> str:
    """The beginning and the end of a long question."""
    limit = MAX_QUESTION
    while count_tokens(question := shortened(question, limit)) > MAX_QUESTION_TOKENS:
        limit //= 2
    return question


def _closest_first(chunks: Sequence[Chunk], own: frozenset[str]) -> list[Chunk]:
    """The rows of a product, by the number of terms that they share with the question; equal ones keep their order."""
    if len(chunks) == 1:
        return list(chunks)
    return sorted(chunks, key=lambda chunk: -len(own & _terms_of(chunk.text)))


@lru_cache(maxsize=_MAX_CACHED)
def _terms_of(text: str) -> frozenset[str]:
    return frozenset(terms(text))
