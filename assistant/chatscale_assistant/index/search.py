"""One search over an open index: BM25 and encoders to hits. Runs in the worker thread, about 20 ms of CPU."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from chatscale.api.v1alpha1.shopassistant import KnowledgeKind
from chatscale_assistant.domain.evidence import Chunk, Hit, Retrieved
from chatscale_assistant.domain.interfaces import Encoder
from chatscale_assistant.errors import SourceError
from chatscale_assistant.index.snapshot import Snapshot
from chatscale_assistant.index.vectors import NEAREST, Vectors
from chatscale_assistant.retrieval.glossary import concepts
from chatscale_assistant.retrieval.replies import REPLY_FIELD
from chatscale_assistant.retrieval.scoring import Background, Nearby, answerable, covered, rank
from chatscale_assistant.retrieval.terms import MAX_QUESTION_TERMS, content_terms, has_cjk, terms

_JUDGED: Final = 20
"""Lexical matches whose coverage stands in for missing vectors."""
OTHER_ROWS: Final = 3
"""Of the best product: a question that names no variant is answered with several."""
_OVERFETCH: Final = 20
"""Of lexical matches where one source is searched: BM25 ranks all sources."""

Backgrounds = Mapping[tuple[str, bool, bool], Background]
"""By encoder, whether the question has Chinese characters, and whether the passages are curated replies."""


@dataclass(slots=True)
class Searcher:
    """An index version with everything that a search needs."""

    snapshot: Snapshot
    vectors: Vectors
    encoders: Sequence[Encoder]
    """The fastest first."""
    backgrounds: Backgrounds = field(default_factory=dict)
    """An encoder without one is left out: its scores mean nothing yet."""
    replies: frozenset[int] = frozenset()
    """Passages of curated replies."""
    failure: str = ""
    """Why the last search went without an encoder; empty if it used all."""

    def search(self, question: str, limit: int, source: str | None, *, is_hurried: bool = False) -> Retrieved:
        """The best chunks: one of each product and of each curated reply, `limit` at most.

        If the best one is a product, up to OTHER_ROWS of its other rows follow at the end. A hurried search uses the
        first encoder only: a quarter of the time, and one product in fifty less.
        """
        wanted = [([term], self._rarity(term)) for term in dict.fromkeys(content_terms(question))]
        translated = [(each, 1.0) for each in concepts(question)]
        searched = dict.fromkeys(
            [term for group, _ in wanted for term in group] + [term for group, _ in translated for term in group]
        )
        lexical = self._lexical(list(searched)[:MAX_QUESTION_TERMS], source)
        near = self._nearby(question, source, self.encoders[:1] if is_hurried else self.encoders)
        judged = [] if near and not any(each.missing for each in near) else list(lexical)[:_JUDGED]
        having = {term: self.snapshot.with_term(term, judged) for term in searched} if judged else {}
        coverage = {
            passage: max(covered(wanted, has), covered(translated, has))
            for passage in judged
            for has in [frozenset(term for term, found in having.items() if passage in found)]
        }
        ranked = rank(lexical, near, coverage)
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
        likely = answerable(ranked[0], self._uncovered(translated, ranked[0].passage)) if ranked else 0.0
        return Retrieved((*hits.values(), *rows), self.snapshot.version, likely)

    def _uncovered(self, concepts: Sequence[tuple[Sequence[str], float]], passage: int) -> int:
        """How many concepts have no term in the passage."""
        return sum(not any(self.snapshot.with_term(term, [passage]) for term in group) for group, _ in concepts)

    def _lexical(self, searched: Sequence[str], source: str | None) -> dict[int, float]:
        limit = NEAREST if source is None else NEAREST * _OVERFETCH
        found = self.snapshot.lexical(searched, limit=limit)
        if source is not None:
            found = [each for each in found if self.snapshot.sources[each[0]] == source][:NEAREST]
        return dict(found)

    def _nearby(self, question: str, source: str | None, encoders: Sequence[Encoder]) -> list[Nearby]:
        self.failure = ""
        found: list[Nearby] = []
        for encoder in encoders:
            of_text, of_replies = (
                self.backgrounds.get((encoder.name, has_cjk(question), each)) for each in (False, True)
            )
            background = of_text or of_replies
            if background is None:
                continue
            try:
                vector = encoder.queries([question])[0]
                similarities = self.vectors.nearest(encoder.name, vector, source, NEAREST)
            except SourceError as e:
                self.failure = str(e)
            else:
                missing = self.vectors.missing(encoder.name)
                found.append(Nearby(similarities, background, missing, self.replies, of_replies))
        return found

    def _rarity(self, term: str) -> float:
        return math.log(1 + len(self.snapshot.sources) / (1 + self.snapshot.frequency(term)))


def _closest_first(chunks: Sequence[Chunk], own: frozenset[str]) -> list[Chunk]:
    """The rows of a product, by the number of terms that they share with the question; equal ones keep their order."""
    if len(chunks) == 1:
        return list(chunks)
    return sorted(chunks, key=lambda chunk: -len(own.intersection(terms(chunk.text))))
