"""Adds the other languages' words to a question, so that the lexical search crosses languages.

Small encoders mix up kindred products across languages, such as a kettle, a tea kettle and a water bottle. A short
glossary of shop words settles these.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from chatscale_assistant.retrieval.glossary_entries import ENTRIES
from chatscale_assistant.retrieval.terms import content_terms, fold, has_cjk, terms

_LONGEST_CJK: Final = 8
_LONGEST_WORDS: Final = 5


@dataclass(frozen=True, slots=True)
class _Entry:
    english: tuple[str, ...]
    chinese: tuple[str, ...]
    french: tuple[str, ...]


def concepts(question: str) -> list[list[str]]:
    """For each shop word of a question: the terms of its words in all three languages; empty if there are none."""
    return [
        list(
            dict.fromkeys(
                term for word in (*entry.english, *entry.chinese, *entry.french) for term in content_terms(word)
            )
        )
        for entry in _find(question)
    ]


def _find(question: str) -> list[_Entry]:
    by_words, by_cjk = _tables()
    found: list[_Entry] = []
    words = terms("".join(c if not has_cjk(c) else " " for c in question))
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
def _tables() -> tuple[dict[tuple[str, ...], list[_Entry]], dict[str, list[_Entry]]]:
    by_words: dict[tuple[str, ...], list[_Entry]] = {}
    by_cjk: dict[str, list[_Entry]] = {}
    for line in ENTRIES.strip().splitlines():
        english, chinese, french = (tuple(word.strip() for word in part.split(",")) for part in line.split("|"))
        entry = _Entry(english, chinese, french)
        for word in dict.fromkeys((*english, *french)):
            by_words.setdefault(tuple(terms(word)), []).append(entry)
        for word in chinese:
            if has_cjk(word):
                by_cjk.setdefault(fold(word), []).append(entry)
    return by_words, by_cjk
