"""What remains of a chat model's text: trimmed, checked sentence by sentence, in the customer's language. Pure."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from chatscale.api.v1alpha1.shopassistant import FactCheck, Language
from chatscale_assistant.answers.plain_text import clean_sentences, plain_text
from chatscale_assistant.answers.quotes import citation_of as chunk_citation
from chatscale_assistant.answers.results import citation_of as result_citation
from chatscale_assistant.domain.answer import Draft
from chatscale_assistant.domain.evidence import Chunk, Evidence
from chatscale_assistant.grounding import Reason, SentenceCheck, Similarity, check_sentences
from chatscale_assistant.language.reply import is_in_language
from chatscale_assistant.language.scripts import fold
from chatscale_assistant.language.sentences import join_sentences, split_sentences
from chatscale_contract.assistant.extras import CheckExtra, CitationExtra, Rung

_MAX_SENTENCES: Final = 4
_MAX_QUOTE: Final = 400
_SPECIAL: Final = re.compile(
    r"<\|[^|<>]*\|>|</?s>|\[/?INST\]|</?(?:source|question)-[0-9a-f]{12}[^>]*>|<think>.*?(?:</think>|\Z)",
    re.DOTALL | re.IGNORECASE,
)
_ROLE: Final = re.compile(r"^\s*(?:assistant|answer|réponse|reponse|答|回答|答案)\s*[:：]\s*", re.IGNORECASE)
_NEXT_TURN: Final = re.compile(
    r"\n\s*(?:user|customer|client|question|human|顾客|用户|问)\s*[:：].*", re.IGNORECASE | re.DOTALL
)
_PRONOUN: Final = re.compile(
    r"^(?:it|they|this|that|these|those|he|she|its|their|however|otherwise|then|so|il|elle|ils|elles|cela|ca|ce|cette|ces|celui|celle|sinon|cependant|alors|这|那|它|该|此|其|否则|但|不过|因此|所以)\b",
    re.IGNORECASE,
)
_PRONOUN_ZH: Final = re.compile(r"^(?:这|那|它|该|此|其|否则|但|不过|因此|所以)")


@dataclass(frozen=True, slots=True)
class Written:
    """The model's text after all checks."""

    draft: Draft | None
    """None: nothing may be shown, and the answer comes from a lower rung."""
    checks: tuple[CheckExtra, ...]
    sentences: tuple[SentenceCheck, ...]


def review_written(
    text: str,
    evidence: Sequence[Evidence],
    language: Language,
    *,
    facts: FactCheck = FactCheck.ENFORCE,
    similarity: Similarity | None = None,
    currency: str = "",
    links: frozenset[str] = frozenset(),
) -> Written:
    """Keep the sentences that the evidence supports; at least one of them must answer something.

    `links` are the shop's own addresses: a sentence with any other link is dropped, even if a source has it.
    """
    sentences = split_sentences(trim_written(text, links))
    results = check_sentences(sentences, evidence, language, similarity=similarity, currency=currency)
    failed = sorted({check.reason.value for check in results if not check.supported})
    kept = _keep(results) if facts is FactCheck.ENFORCE else list(results)
    kept = kept[:_MAX_SENTENCES]
    shown = join_sentences([check.sentence for check in kept])
    fits = is_in_language(shown, language)
    checks = (
        CheckExtra(name="facts", passed=not failed, detail=", ".join(failed)),
        CheckExtra(name="language", passed=fits),
    )
    if not any(check.reason is Reason.SUPPORTED for check in kept) and facts is FactCheck.ENFORCE:
        return Written(None, checks, results)
    if not shown or not fits:
        return Written(None, checks, results)
    used = sorted({check.evidence for check in kept if check.evidence is not None and check.reason is Reason.SUPPORTED})
    citations = tuple(_citation(evidence[i]) for i in used)
    return Written(Draft(shown, Rung.MODEL, language, tuple(evidence[i] for i in used), citations), checks, results)


def trim_written(text: str, links: frozenset[str] = frozenset()) -> str:
    """The text without roles, special tokens and markup, one sentence a line; a cut last sentence is dropped."""
    cleaned = _NEXT_TURN.sub("", _ROLE.sub("", _SPECIAL.sub(" ", text)))
    sentences = clean_sentences(cleaned, links)
    if sentences and len(sentences) > 1 and sentences[-1][-1] not in ".!?。！？…)”»\"'）":
        sentences = sentences[:-1]
    return "\n".join(sentences)


def _keep(results: tuple[SentenceCheck, ...]) -> list[SentenceCheck]:
    """The supported sentences. One that begins with "it" goes with the sentence before it."""
    kept: list[SentenceCheck] = []
    dropped = False
    for check in results:
        folded = fold(check.sentence)
        follows = bool(_PRONOUN.match(folded) or _PRONOUN_ZH.match(folded))
        if check.supported and not (dropped and follows):
            kept.append(check)
            dropped = False
        else:
            dropped = True
    return kept


def _citation(item: Evidence) -> CitationExtra:
    if isinstance(item, Chunk):
        return chunk_citation(item, plain_text(item.text, limit=_MAX_QUOTE))
    return result_citation(item)
