"""Questions about a rule of the shop: which passage answers them, and which of its sentences belong together. Pure.

"Can I return the jacket?" names a product, so its row in the catalogue fits best by its words, and does not answer.
A rule without its conditions and exceptions is a wrong answer, so they are quoted with it.
"""

import re
from collections.abc import Sequence
from typing import Final

from chatscale.api.v1alpha1.shopassistant import KnowledgeKind
from chatscale_assistant.domain.evidence import MIN_ANSWERABLE, Hit
from chatscale_assistant.language.concepts import terms
from chatscale_assistant.language.scripts import fold

MAX_SENTENCES: Final = 4
"""Of one rule."""
_SAME: Final = (
    frozenset({"=return", "=refund"}), frozenset({"=delivery", "=shipping"}), frozenset({"=exchange"}),
    frozenset({"=cancel"}), frozenset({"=warranty"}), frozenset({"=repair"}), frozenset({"=pay"}),
    frozenset({"=invoice"}), frozenset({"=customs"}),
)  # fmt: skip
"""Concepts of rules; those of one set stand for each other."""
_PROPERTIES: Final = (
    "=price", "=stock", "=size", "=color", "=material", "=weight", "=capacity", "=variant", "=battery", "=screen", "size:",
)  # fmt: skip
"""Concepts of what a catalogue has in its columns."""
_PHRASES: Final = (
    (_SAME[0], re.compile(
        r"\b(?:send|bring|give|take)\s(?:\w+\s){0,4}?back\b|\bmoney back\b"
        r"|\b(?:rapporter|ramener|reprendre|reprenez)\b|\brecuperer mon argent\b"
        r"|[能可以想要]退(?!出)|退[吗掉钱]|包退"
    )),
    (_SAME[1], re.compile(r"多久(?:能|可以|会)?(?:送?到|收到)|几天(?:能|可以|会)?(?:送?到|收到)|送到|包邮")),
    (_SAME[2], re.compile(r"[能可以想要]换(?!算)|换[吗货]")),
    (_SAME[4], re.compile(r"质保|保修|[能可以]修[吗?]")),
)  # fmt: skip
"""What one word does not say."""
_GOES_ON: Final = re.compile(
    r"^\W*(?:they|it|this|that|these|those|both|such|in (?:this|that) case|otherwise|then"
    r"|ils|elles|il|elle|cela|ceci|ce|cet|cette|ces|dans ce cas|sinon"
    r"|它们?|这|该|此|否则|其)(?![a-z])"
)
"""A sentence that begins so is about the one before it."""
_LIMITS: Final = re.compile(
    r"\b(?:only|except|unless|excluded?|excluding|cannot|not|never|no|must|but|however)\b|n't\b"
    r"|\b(?:seulement|uniquement|sauf|exclu\w*|hormis|ne|n|doi\w+|non|pas|jamais|mais|toutefois)\b"
    r"|只|仅|除|不|须|需|但|无法"
)
"""Words of conditions and exceptions."""


def asked_policies(question: str) -> frozenset[str]:
    """The concepts of rules that a question is about; empty if it is about none."""
    own, folded = terms(question), fold(question)
    found = [group for group in _SAME if group & own]
    found += [group for group, pattern in _PHRASES if pattern.search(folded)]
    return frozenset().union(*found)


def asks_only_policies(question: str) -> bool:
    """Whether the question is about a rule and about no property of a product: a row is no answer to it."""
    own = terms(question)
    return bool(asked_policies(question)) and not any(term.startswith(_PROPERTIES) for term in own)


def policy_first(asked: frozenset[str], hits: Sequence[Hit]) -> list[Hit]:
    """The passages of documents about the rule before everything else; all hits as they were if there is none.

    A passage is about the rule if its title is, or, where the search found it likely, its text. Only the best one and
    those like it are left of the documents: another rule is no second answer.
    """
    documents = [hit for hit in hits if hit.chunk.kind is KnowledgeKind.DOCUMENTS]
    titled = [hit for hit in documents if asked & terms(hit.chunk.title)]
    about = titled or [hit for hit in documents if hit.confidence >= MIN_ANSWERABLE and asked & terms(hit.chunk.text)]
    if not about:
        return list(hits)
    return [*about, *(hit for hit in hits if hit.chunk.kind is not KnowledgeKind.DOCUMENTS)]


def rule_sentences(
    asked: frozenset[str], sentences: Sequence[str], own: Sequence[frozenset[str]], top: int
) -> list[int]:
    """The sentences of a passage that state the rule, in order: the best one, its conditions and its exceptions.

    own: the terms of each sentence.  top: the one that fits the question best.
    """
    rest = [at for at in range(len(sentences)) if at != top and asked & own[at]]
    rest.sort(key=lambda at: (_LIMITS.search(fold(sentences[at])) is None, abs(at - top)))
    chosen: list[int] = []
    for at in (top, *rest):
        group = [each for each in _with_context(sentences, at) if each not in chosen]
        if len(chosen) + len(group) <= MAX_SENTENCES or not chosen:
            chosen += group
    return sorted(chosen)


def _with_context(sentences: Sequence[str], at: int) -> list[int]:
    """A sentence, with those before it that it refers to and those after it that refer to it."""
    first, last = at, at
    while first > 0 and _GOES_ON.search(fold(sentences[first])):
        first -= 1
    while last + 1 < len(sentences) and _GOES_ON.search(fold(sentences[last + 1])):
        last += 1
    return list(range(first, min(last, first + MAX_SENTENCES - 1) + 1))
