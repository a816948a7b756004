"""Sentences of sources, quoted with their citation: the answer that needs no model. Pure."""

import math
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Final

from chatscale.api.v1alpha1.shopassistant import KnowledgeKind, Language
from chatscale_assistant.answers import wording
from chatscale_assistant.answers.phrases import LANGUAGE_NAMES, Phrase, say
from chatscale_assistant.answers.plain_text import clean_sentences, links_of, plain_text
from chatscale_assistant.answers.policies import (
    Policy,
    asked_policies,
    asks_property,
    policy_first,
    policy_sentences,
)
from chatscale_assistant.answers.products import product_draft, recommends
from chatscale_assistant.domain.answer import Draft
from chatscale_assistant.domain.evidence import Chunk, Hit
from chatscale_assistant.grounding.segments import language_of
from chatscale_assistant.language.concepts import terms
from chatscale_assistant.language.sentences import join_sentences
from chatscale_contract.assistant.extras import CitationExtra, Rung

Similarity = Callable[[str, str], float]
_MAX_SENTENCES: Final = 3
_MAX_CHUNKS: Final = 2
_NEAR: Final = 0.9
"""A second passage is quoted too if its confidence is at least this share of the best one's."""
_KEEP: Final = 0.5
"""A sentence is quoted if it fits the question at least this share as well as the best sentence."""
_MAX_CACHED: Final = 4096
"""Texts of sources, which many questions meet again. Text of customers is never cached."""


def curated_draft(hit: Hit, language: Language) -> Draft | None:
    """The shop's own reply, word for word; None if it is not written in the customer's language.

    The caller decides by `hit.confidence` whether the question is the curated one.
    """
    text = hit.chunk.fields.get(f"answer.{language.value}", "")
    if not text and language_of(hit.chunk.text) is language:
        text = hit.chunk.text
    if not text.strip():
        return None
    # The shop's staff wrote this for customers, so its own links stay.
    shown = plain_text(text, allowed=links_of(text))
    return Draft(shown, Rung.CURATED, language, (hit.chunk,), (citation_of(hit.chunk, shown),))


def quote_draft(
    question: str,
    hits: Sequence[Hit],
    language: Language,
    *,
    similarity: Similarity | None = None,
    currency: str = "",
    links: frozenset[str] = frozenset(),
) -> Draft | None:
    """The sentences that answer best, in the source's own words; None without hits. A policy has its exceptions with it.

    A sentence with a link that is none of `links` (addresses of the shop), or with a marker of an injected instruction,
    is not quoted: anybody may have written the source.
    """
    found = [hit for hit in hits if hit.chunk.kind is not KnowledgeKind.REPLIES]
    if not found:
        return None
    product = next((hit.chunk.title for hit in found if hit.chunk.kind is KnowledgeKind.CATALOGUE), "")
    asked = asked_policies(question, product)
    found = policy_first(asked, found)
    if found[0].chunk.kind is KnowledgeKind.CATALOGUE:
        if asked and not asks_property(question) and not recommends(question):
            return None  # a row says nothing about a policy
        return product_draft(question, found, language, currency)
    best = found[0].confidence
    near = [hit.chunk for hit in found if hit.chunk.kind is KnowledgeKind.DOCUMENTS and hit.confidence >= _NEAR * best]
    chosen = [(chunk, _choose(question, chunk, asked, similarity, links)) for chunk in near[:_MAX_CHUNKS]]
    if len(chosen) > 1 and not chosen[0][1][1] <= chosen[1][1][1]:
        chosen = chosen[:1]  # the second passage fits less well
    shown = [(chunk, quotes) for chunk, (quotes, _) in chosen if quotes]
    if not shown:
        return None
    return Draft(
        "\n".join(_quoted(chunk, quotes, language) for chunk, quotes in shown), Rung.QUOTE, language,
        tuple(chunk for chunk, _ in shown),
        tuple(citation_of(chunk, quote) for chunk, quotes in shown for quote in quotes),
    )  # fmt: skip


def citation_of(chunk: Chunk, quote: str) -> CitationExtra:
    """A citation of the text that was used."""
    return CitationExtra(source=chunk.source, title=wording.shop_text(chunk.title), quote=quote, version=chunk.version)


def _quoted(chunk: Chunk, quotes: Sequence[str], language: Language) -> str:
    source = _language_of_source(chunk.text)
    marks = "“{}”" if language is not Language.FRENCH else "« {} »"
    title = wording.shop_text(chunk.title)
    text = "\n".join(map(marks.format, quotes)) + (f" ({title})" if title else "")
    if source is language:
        return text
    return f"{say(Phrase.QUOTE_FOREIGN, language, source=LANGUAGE_NAMES[source][language])}\n{text}"


def _choose(
    question: str, chunk: Chunk, asked: frozenset[Policy], similarity: Similarity | None, links: frozenset[str]
) -> tuple[list[str], float]:
    """The parts to quote, in the order of the source, and how well the best sentence fits.

    asked: the policies that the question is about.
    """
    sentences, own_terms = _sentences_of(chunk.text, links)
    if not sentences:
        return [], 0.0
    wanted = terms(question)
    scores = [
        _fit(question, wanted, sentence, own, similarity) for sentence, own in zip(sentences, own_terms, strict=True)
    ]
    top = max(range(len(sentences)), key=lambda i: scores[i])
    if stated := policy_sentences(asked, chunk, sentences, top) if asked else []:
        return _parts(sentences, stated), scores[top]
    start = end = top
    while end - start + 1 < _MAX_SENTENCES:
        # Neighbours only: sentences from two places may not belong together.
        options = [i for i in (end + 1, start - 1) if 0 <= i < len(sentences) and scores[i] >= _KEEP * scores[top]]
        if not options or scores[top] <= 0:
            break
        start, end = (start, options[0]) if options[0] > end else (options[0], end)
    if scores[top] <= 0:  # no word in common: the passage was found by its meaning, so quote its beginning
        start, end = 0, min(len(sentences), _MAX_SENTENCES - 1) - 1
    return [join_sentences(sentences[start : end + 1])], scores[top]


def _parts(sentences: Sequence[str], chosen: Sequence[int]) -> list[str]:
    """The chosen sentences; those that follow each other are one part."""
    parts: list[list[str]] = []
    for before, at in zip((-2, *chosen), chosen, strict=False):
        if at != before + 1:
            parts.append([])
        parts[-1].append(sentences[at])
    return [join_sentences(part) for part in parts]


@lru_cache(maxsize=_MAX_CACHED)
def _sentences_of(text: str, links: frozenset[str]) -> tuple[tuple[str, ...], tuple[frozenset[str], ...]]:
    """The sentences of a source, and the terms of each."""
    sentences = tuple(clean_sentences(text, links))
    return sentences, tuple(map(terms, sentences))


@lru_cache(maxsize=_MAX_CACHED)
def _language_of_source(text: str) -> Language:
    return language_of(text)


def _fit(
    question: str, wanted: frozenset[str], sentence: str, own: frozenset[str], similarity: Similarity | None
) -> float:
    overlap = len(wanted & own) / math.pow(1 + len(own), 0.25)
    return overlap + (2 * similarity(question, sentence) if similarity else 0.0)
