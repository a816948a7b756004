"""Sentences of a text in Chinese, English and French. Pure."""

import re
from typing import Final

_END: Final = re.compile(
    r"(?<=[。！？；])[”’」』）)]*\s*"  # Chinese marks need no space after them
    r"|(?<=[.!?…])[\"'”’»)]*\s+(?=[\"'“‘«(¿]*[A-ZÀ-ÖØ-Þ0-9#*\-\u3400-\u9fff])"
    r"|\s*\n+\s*"
)
_ABBREVIATION: Final = re.compile(
    r"(?:\b(?:e\.g|i\.e|etc|mr|mrs|ms|dr|no|nr|vs|approx|st|inc|ltd|art|env|ex|p\.ex|m|mme|mlle|tel|min|max)|\b[A-Z])\.$",
    re.IGNORECASE,
)
_BULLET: Final = re.compile(r"^\s*(?:[-*•·]|\d{1,2}[.)、])\s+")


def split_sentences(text: str) -> tuple[str, ...]:
    """The sentences of the text, trimmed, without bullets; a line break ends a sentence."""
    sentences: list[str] = []
    start = 0
    for end in _END.finditer(text):
        part = text[start : end.end()].strip()
        if "\n" not in end.group() and _ABBREVIATION.search(text[start : end.start()].rstrip("\"'”’»)")):
            continue
        sentences.append(part)
        start = end.end()
    sentences.append(text[start:].strip())
    return tuple(filter(None, (_BULLET.sub("", sentence).strip() for sentence in sentences)))


def join_sentences(sentences: tuple[str, ...] | list[str]) -> str:
    """One paragraph: a space between sentences, none after a Chinese mark."""
    text = ""
    for sentence in sentences:
        text += sentence if not text or text[-1] in "。！？；：" else f" {sentence}"
    return text
