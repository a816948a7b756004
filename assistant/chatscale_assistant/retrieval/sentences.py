"""Sentences of Chinese, English and French text. A passage never ends inside one."""

import re
from typing import Final

_ABBREVIATIONS: Final = frozenset(
    """
    mr mrs ms dr st no nr art fig vs etc approx e.g i.e inc ltd co mme mlle m p.ex env av tél tel réf ref min max
    """.split()  # noqa: SIM905 - readable
)
"""Words whose full stop ends no sentence."""
_END: Final = re.compile(r"[。！？；…]+[”’」』）\"]*|(?<![.!?])[.!?]++[)\"'”’»]*+(?=\s)|\n+")
_LAST_WORD: Final = re.compile(r"([\w.]+)$")


def split_sentences(text: str) -> tuple[str, ...]:
    """The sentences in order, without white space around them. A line break ends one, a decimal point does not."""
    sentences = []
    start = 0
    for end in _END.finditer(text):
        if end.group().startswith(".") and _is_abbreviation(text[start : end.start()]):
            continue
        if sentence := text[start : end.end()].strip():
            sentences.append(sentence)
        start = end.end()
    if rest := text[start:].strip():
        sentences.append(rest)
    return tuple(sentences)


def _is_abbreviation(before: str) -> bool:
    word = _LAST_WORD.search(before[-12:])
    return word is not None and word.group(1).casefold() in _ABBREVIATIONS


def join_sentences(first: str, second: str) -> str:
    """Text of two neighbours: a space between them, except after Chinese punctuation."""
    if not first or not second:
        return first + second
    return first + ("" if first[-1] in "。！？；…”」』）" else " ") + second
