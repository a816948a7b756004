"""Adds the other languages' words to a question, so that the lexical search crosses languages.

Small encoders mix up kindred products across languages, such as a kettle, a tea kettle and a water bottle. A short
glossary of shop words settles these.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from chatscale_assistant.retrieval.glossary_entries import ENTRIES
from chatscale_assistant.retrieval.spelling import corrected
from chatscale_assistant.retrieval.terms import content_terms, fold, has_cjk, terms
from chatscale_assistant.retrieval.topics import TOPICS

_LONGEST_CJK: Final = 8
_LONGEST_WORDS: Final = 5


@dataclass(frozen=True, slots=True)
class _Entry:
    terms: tuple[str, ...]
    """A text with any of them is about the entry; of all three languages."""


def concepts(question: str) -> list[list[str]]:
    """For each shop word and topic of a question: the terms of its words in all three languages."""
    found = dict.fromkeys(entry for tables in (_words(), _topics()) for entry in _find(question, *tables))
    return [list(entry.terms) for entry in found]


_ByWords = dict[tuple[str, ...], list[_Entry]]
_ByCjk = dict[str, list[_Entry]]


def _find(question: str, by_words: _ByWords, by_cjk: _ByCjk) -> list[_Entry]:
    found: list[_Entry] = []
    spelled = _vocabulary()
    words = [corrected(word, spelled) for word in terms("".join(c if not has_cjk(c) else " " for c in question))]
    position = 0
    while position < len(words):
        for length in range(min(_LONGEST_WORDS, len(words) - position), 0, -1):
            if entries := by_words.get(tuple(words[position : position + length])):
                found += entries
                position += length
                break
        else:
            position += 1
    text = fold(question)
    position = 0
    while position < len(text):
        for length in range(_LONGEST_CJK, 0, -1):
            if entries := by_cjk.get(text[position : position + length]):
                found += entries
                position += length
                break
        else:
            position += 1
    return list(dict.fromkeys(found))


@lru_cache(maxsize=1)
def _words() -> tuple[_ByWords, _ByCjk]:
    return _tables(ENTRIES)


@lru_cache(maxsize=1)
def _topics() -> tuple[_ByWords, _ByCjk]:
    return _tables(TOPICS)


@lru_cache(maxsize=1)
def _vocabulary() -> frozenset[str]:
    """The words of Latin letters that questions may have: of both tables."""
    return frozenset(word for by_words, _ in (_words(), _topics()) for phrase in by_words for word in phrase)


def _tables(lines: str) -> tuple[_ByWords, _ByCjk]:
    """Entries by the words that a question has."""
    by_words: _ByWords = {}
    by_cjk: _ByCjk = {}
    for line in lines.strip().splitlines():
        asked: list[str] = []
        own: list[str] = []
        for part in line.split("|"):
            words, _, evidence = part.partition("=")
            asked += [word.strip() for word in words.split(",")]
            own += [word.strip() for word in (evidence or words).split(",")]
        entry = _Entry(tuple(dict.fromkeys(term for word in own for term in content_terms(word))))
        for word in dict.fromkeys(asked):
            if has_cjk(word):
                by_cjk.setdefault(fold(word), []).append(entry)
            else:
                by_words.setdefault(tuple(terms(word)), []).append(entry)
    return by_words, by_cjk
