"""Evidence cut into segments: the smallest parts that one fact can belong to. Pure.

A segment of a document is a clause, of a catalogue or a tool's result one field.  Its context is what surrounds it: the
sentence and the title, or the other fields of the same object and the names of the objects around it.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

from chatscale.api.v1alpha1.shopassistant import KnowledgeKind, Language
from chatscale_assistant.domain.evidence import Chunk, Evidence, ToolResult
from chatscale_assistant.language.concepts import terms
from chatscale_assistant.language.detect import latin_scores
from chatscale_assistant.language.quantities import Fact, FactKind, find_facts
from chatscale_assistant.language.scripts import han_count, latin_words
from chatscale_assistant.language.sentences import split_sentences

Key = tuple[FactKind, str, str]
_CLAUSE: Final = re.compile(
    r"(?<=[,，;；:：])(?!\d)\s*|\s+(?=(?:and|but|while|whereas|if|unless|et|mais|tandis|alors|si|sauf)\s)|(?=但|而|并且|如果|除非)",
    re.IGNORECASE,
)
_MONEY_FIELD: Final = re.compile(r"price|cost|amount|total|balance|prix|montant|价|金额|余额|费", re.IGNORECASE)
_CURRENCY_FIELD: Final = re.compile(r"currency|devise|货币|币种", re.IGNORECASE)
_ASSERTED_FIELD: Final = re.compile(
    r"price|cost|amount|total|balance|stock|quantit|date|time|status|deliver|rating|prix|montant|价|金额|余额|费|库存|数量|日期|状态",
    re.IGNORECASE,
)
_HUGE: Final = 4000
_MIN_CLAUSE_TERMS: Final = 2
_FLAGS: Final = {
    "true": True,
    "yes": True,
    "oui": True,
    "是": True,
    "false": False,
    "no": False,
    "non": False,
    "否": False,
}


@dataclass(frozen=True, slots=True)
class Segment:
    """One part of one piece of evidence."""

    evidence: int
    """Position in the evidence."""
    text: str
    terms: frozenset[str]
    context: frozenset[str]
    """Terms around it, and keys of the facts around it."""
    facts: frozenset[Key]
    asserted: bool = True
    """False for a property that distinguishes similar objects, such as a size: others may have another value."""
    flag: bool | None = None
    """The value of a yes-or-no field."""


def split_clauses(sentence: str) -> tuple[str, ...]:
    """The clauses of a sentence. Numbers keep their commas, lists of properties stay with what they describe."""
    clauses: list[str] = []
    start = 0
    for mark in _CLAUSE.finditer(sentence):
        part = sentence[start : mark.start()]
        closed = sum(map(part.count, "(（[")) <= sum(map(part.count, ")）]"))
        if closed and (len(terms(part)) > _MIN_CLAUSE_TERMS or find_facts(part, language_of(part))):
            clauses.append(part.strip())
            start = mark.end()
    return tuple(filter(None, (*clauses, sentence[start:].strip())))


def language_of(text: str) -> Language:
    """A rough language for reading numbers: by script, then by frequent words."""
    if han_count(text) * 4 > len(text):
        return Language.CHINESE
    scores = latin_scores(latin_words(text))
    return Language.FRENCH if scores[Language.FRENCH] > scores[Language.ENGLISH] else Language.ENGLISH


def segment(evidence: tuple[Evidence, ...], *, currency: str = "") -> tuple[Segment, ...]:
    """All segments of the evidence. `currency` (ISO 4217) is the shop's, for prices without one."""
    found: list[Segment] = []
    for number, item in enumerate(evidence):
        match item:
            case Chunk(kind=KnowledgeKind.CATALOGUE) if item.fields:
                found += _object(number, dict(item.fields), fact_terms(item.title), currency)
            case Chunk():
                found += _document(number, item)
            case ToolResult():
                found += _tool_result(number, item, currency)
    return tuple(found)


def fact_terms(text: str) -> frozenset[str]:
    """Terms of a text, and its facts as terms: `f:number:1000:ml`, for context."""
    facts = find_facts(text, language_of(text))
    return terms(text) | {fact_term(fact.key) for fact in facts}


def fact_term(key: Key) -> str:
    """A fact as a term. A price without a currency is a number."""
    kind, value, unit = key
    return f"f:{FactKind.NUMBER if kind is FactKind.MONEY and not unit else kind}:{value}:{unit}"


def _document(number: int, chunk: Chunk) -> Iterator[Segment]:
    language = language_of(chunk.text)
    title = fact_terms(chunk.title)
    before: frozenset[str] = frozenset()
    for sentence in split_sentences(chunk.text):
        around = fact_terms(sentence)
        for clause in split_clauses(sentence):
            facts = frozenset(fact.key for fact in find_facts(clause, language))
            yield Segment(number, clause, terms(clause), around | title | before, facts)
        before = terms(sentence)
    if chunk.title:
        facts = frozenset(fact.key for fact in find_facts(chunk.title, language))
        yield Segment(number, chunk.title, terms(chunk.title), frozenset(), facts)


def _tool_result(number: int, result: ToolResult, currency: str) -> Iterator[Segment]:
    data = result.data if isinstance(result.data, Mapping | list) else {"result": result.text}
    yield from _object(number, data, terms(result.call.tool.replace("_", " ")), currency)


def _object(number: int, data: Any, around: frozenset[str], currency: str) -> Iterator[Segment]:
    if isinstance(data, list | tuple):
        for each in data:
            yield from (
                _object(number, each, around, currency)
                if isinstance(each, Mapping | list)
                else _leaf(number, "", each, around, currency)
            )
        return
    scalars = {str(key): value for key, value in data.items() if not isinstance(value, Mapping | list | tuple)}
    named = next((str(value) for key, value in scalars.items() if _CURRENCY_FIELD.search(key)), currency)
    flat = {key: value for key, value in data.items() if isinstance(value, Mapping) and not _has_objects(value)}
    inner = around | frozenset().union(*(fact_terms(f"{_words(k)} {_text(v)}") for k, v in scalars.items()))
    options = inner | frozenset().union(*(fact_terms(_text(v)) for each in flat.values() for v in each.values()))
    for key, value in scalars.items():
        yield from _leaf(number, key, value, options, named)
    for key, value in data.items():
        if key in scalars:
            continue
        context = options if key in flat else inner
        if isinstance(value, Mapping) and key in flat:
            for name, each in value.items():
                yield from _leaf(number, f"{key} {name}", each, context, named)
        else:
            key_terms = fact_terms(_words(str(key)))
            yield from _object(number, value, context | key_terms, named) if isinstance(value, Mapping | list) else ()


def _has_objects(value: Mapping[str, Any]) -> bool:
    return any(isinstance(each, Mapping | list) for each in value.values())


def _leaf(number: int, key: str, value: Any, context: frozenset[str], currency: str) -> Iterator[Segment]:
    text = f"{_words(key)}: {_text(value)}" if key else _text(value)
    if len(text) > _HUGE:
        text = text[:_HUGE]
    raw = _text(value)
    facts = [*find_facts(raw, language_of(raw))]
    if _MONEY_FIELD.search(key):
        facts = [_as_money(fact, currency) for fact in facts]
    flag = value if isinstance(value, bool) else _FLAGS.get(raw.strip().casefold())
    if flag is not None:
        text = _words(key) if flag else f"not {_words(key)}"
    asserted = _ASSERTED_FIELD.search(key) is not None
    yield Segment(number, text, terms(text), context, frozenset(fact.key for fact in facts), asserted, flag)


def _as_money(fact: Fact, currency: str) -> Fact:
    bare = fact.kind is FactKind.NUMBER and not fact.unit
    return replace(fact, kind=FactKind.MONEY, unit=currency.upper()) if bare else fact


def _text(value: Any) -> str:
    if isinstance(value, datetime):
        return value.isoformat()
    return "" if value is None else str(value)


def _words(key: str) -> str:
    return key.replace("_", " ").replace(".", " ")
