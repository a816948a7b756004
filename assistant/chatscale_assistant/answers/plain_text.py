"""Text of documents, tools and reviews as it may be shown: quoted plain text without links, markup or control characters.

The text is data.  An address stays only if it is one of `allowed`.  Pure.
"""

import html
import re
import unicodedata
from collections.abc import Iterable
from typing import Final

from chatscale_assistant.grounding.segments import language_of
from chatscale_assistant.intent.scope import injection_markers
from chatscale_assistant.language.quantities import FactKind, find_facts, link_value
from chatscale_assistant.language.sentences import split_sentences

_IMAGE: Final = re.compile(r"!\[([^\]\n]*)\](?:\([^)\n]*\)?|\[[^\]\n]*\])?")
_MARKDOWN_LINK: Final = re.compile(r"\[([^\]\n]*)\]\(\s*<?((?:[^()\s>]|\([^()\s]*\))*)>?[^)\n]*\)?")
_REFERENCE: Final = re.compile(r"^\s*\[[^\]\n]+\]:\s*\S+.*$|\[([^\]\n]+)\]\[[^\]\n]*\]", re.MULTILINE)
_BLOCK: Final = re.compile(
    r"<(script|style|iframe|svg|object|noscript|template)\b.*?(?:</\1\s*>|\Z)", re.IGNORECASE | re.DOTALL
)
_TAG: Final = re.compile(r"<(?:/?[A-Za-z!?|][^<>]*>|!--.*?-->)", re.DOTALL)
_SCHEME: Final = re.compile(r"\b(?:javascript|data|vbscript|file|tel|sms|intent)\s*:\S+", re.IGNORECASE)
_ADDRESS: Final = re.compile(r"\b[a-z][a-z0-9+.-]*://\S+|\bwww\.\S+|\S*//:\S*", re.IGNORECASE)
_MARKUP: Final = re.compile(
    r"^\s{0,3}(?:#{1,6}\s+|>\s?|```.*$|[-*_]{3,}\s*$|\|?[\s:|-]+\|\s*$)|(?<!\w)(?:\*\*|__|`)|(?:\*\*|__|`)(?!\w)",
    re.MULTILINE,
)
_ANY_END: Final = re.compile(r"(?<=[.!?。！？])\s+")
_MAX_SOURCE: Final = 8000
_EMPTY: Final = re.compile(r"\(\s*\)|\[\s*\]|<\s*>")
_BIDI: Final = frozenset(
    "\u061c\u200b\u200c\u200d\u200e\u200f\u2028\u2029\u202a\u202b\u202c\u202d\u202e\u2060\u2061\u2062\u2063\u2064\u2066\u2067\u2068\u2069\ufeff\u00ad"
)


REMOVED: Final = "\ue000"
"""A private character in the place of a removed link, for callers that drop the sentence around it."""


def plain_text(text: str, *, allowed: Iterable[str] = (), limit: int = 2000, removed: str = " ") -> str:
    """The text without anything that a client may run, load or click.

    `allowed` are addresses that may stay.  `removed` stands in the place of each other address.
    """
    values = frozenset(map(link_value, allowed))
    for _ in range(3):  # &amp;lt;script&amp;gt; is a tag after two rounds
        unescaped = html.unescape(text)
        if unescaped == text:
            break
        text = unescaped
    text = without_controls(text)
    text = _BLOCK.sub(" ", text)
    text = _TAG.sub(" ", text)
    text = _IMAGE.sub(removed, text)
    text = _MARKDOWN_LINK.sub(lambda match: _label(match, values, removed), text)
    text = _REFERENCE.sub(lambda match: match.group(1) or "", text)
    text = _MARKUP.sub("", text)
    text = _without_links(text, values, removed)
    text = _EMPTY.sub("", text).replace("<", "‹").replace(">", "›")
    lines = (re.sub(r"[^\S\n]+", " ", line).strip() for line in text.splitlines())
    return "\n".join(line for line in lines if line)[:limit].rstrip()


def clean_sentences(text: str, links: Iterable[str] = ()) -> tuple[str, ...]:
    """The sentences of a source or of a model that may be shown.

    Left out: each sentence with a link that is none of `links`, and each with a marker of an injected instruction.
    """
    shown = plain_text(text, allowed=links, limit=_MAX_SOURCE, removed=REMOVED)
    kept: list[str] = []
    for sentence in split_sentences(shown):
        if not _is_dirty(sentence):
            kept.append(sentence)
        else:  # a sentence may hang on a clean one, in lower case
            kept += [part for part in _ANY_END.split(sentence) if part and not _is_dirty(part)]
    return tuple(kept)


def _is_dirty(sentence: str) -> bool:
    return REMOVED in sentence or bool(injection_markers(sentence))


def without_controls(text: str) -> str:
    """The text without control, format and direction characters; tabs and line ends stay."""
    return "".join(
        c
        for c in text
        if c in "\n\t"
        or (
            c not in _BIDI
            and unicodedata.category(c) not in {"Cc", "Cf", "Cs", "Co"}
            and not "\U000e0000" <= c <= "\U000e007f"
        )
    )


def links_of(text: str) -> frozenset[str]:
    """The links of a text, as `link_value` writes them."""
    return frozenset(fact.value for fact in find_facts(text, language_of(text)) if fact.kind is FactKind.LINK)


def _label(match: re.Match[str], allowed: frozenset[str], removed: str) -> str:
    label, address = match.group(1), match.group(2)
    return f"{label} {address}" if link_value(address) in allowed else f"{label}{removed}".rstrip(" ")


def _without_links(text: str, allowed: frozenset[str], removed: str) -> str:
    text = _SCHEME.sub(removed, text)
    text = _ADDRESS.sub(lambda match: match.group() if _is_allowed(match.group(), allowed) else removed, text)
    for fact in reversed(find_facts(text, language_of(text))):
        if fact.kind is FactKind.LINK and fact.value not in allowed:
            # Positions are of the normalised text; the address itself is the same in both.
            text = re.sub(
                r"(?:https?://)?(?:www\.)?" + re.escape(fact.value) + r"/?", removed, text, flags=re.IGNORECASE
            )
    return text


def _is_allowed(address: str, allowed: frozenset[str]) -> bool:
    return link_value(address.rstrip(".,;:!?)")) in allowed
