"""Terms for the lexical search: folded words, and overlapping pairs of CJK characters.

The tokenizer of FTS5 takes a Chinese sentence as one word and finds nothing in it; its trigrams miss words of two
characters. So text and questions become terms here, and terms are joined with OR.
"""

import re
import unicodedata
from collections.abc import Iterable
from typing import Final

_CJK: Final = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff"
_TOKEN: Final = re.compile(rf"[{_CJK}]+|[^\W_{_CJK}]+")
_IS_CJK: Final = re.compile(rf"[{_CJK}]")
MAX_QUESTION_TERMS: Final = 64
"""Terms of a question beyond these are left out: the rest of a long message adds time and no precision."""
_SHORTEST_PLURAL: Final = 4

_STOP_WORDS: Final = frozenset(
    """
    a an and are as at be but by can could do does did for from had has have having how i if in into is it its me my of
    on or our please so some than that the their them then there these they this to too us very was we were what when
    where which who why will with would you your any about also am been being get got need want like looking tell show
    au aux avec avez avoir ce ces cet cette combien comment dans de des du elle en est et etes etre eu il ils je la le
    les leur lui ma mais me mes moi mon ne nos notre nous on ou par pas plus pour pourquoi quand que quel quelle quelles
    quels qui quoi sa sans se ses si son sont sur ta te tes toi ton tu un une vos votre vous y ai as a l d j n s c m t
    qu sil plait avons cherche voudrais veux
    """.split()  # noqa: SIM905 - readable
)
_CJK_STOP_CHARACTERS: Final = frozenset(
    "的了吗呢啊吧么我你您他她它们是在有和与或也都就请想要能可以给把被这那哪什怎多少"
)


def fold(text: str) -> str:
    """Compatible characters made equal, lower case, without accents."""
    if text.isascii():
        return text.casefold()
    decomposed = unicodedata.normalize("NFKD", unicodedata.normalize("NFKC", text).casefold())
    return unicodedata.normalize("NFC", "".join(c for c in decomposed if not unicodedata.combining(c)))


def terms(text: str) -> list[str]:
    """The terms of a text in order, with repetitions."""
    found: list[str] = []
    for token in _TOKEN.findall(fold(text)):
        if _IS_CJK.match(token):
            found += [token[i : i + 2] for i in range(max(1, len(token) - 1))]
        else:
            found.append(singular(token))
    return found


def singular(word: str) -> str:
    """A folded word without the usual plural endings of English and French."""
    if len(word) < _SHORTEST_PLURAL or word.isdigit() or word.endswith(("ss", "us", "is")):
        return word
    if word.endswith("ies"):
        return f"{word[:-3]}y"
    if word.endswith(("eaux", "eux")):
        return word[:-1]
    if word.endswith(("ches", "shes", "xes", "sses", "zes")):
        return word[:-2]
    return word.removesuffix("s")


_STOP_TERMS: Final = frozenset(singular(word) for word in _STOP_WORDS)


def content_terms(question: str) -> list[str]:
    """The distinct terms of a question that carry meaning: without the common words of three languages."""
    kept = [
        term
        for term in dict.fromkeys(terms(question))
        if term not in _STOP_TERMS and not all(c in _CJK_STOP_CHARACTERS for c in term)
    ]
    return kept[:MAX_QUESTION_TERMS]


def match_any(question_terms: Iterable[str]) -> str:
    """An FTS5 expression for texts with any of the terms; empty if there are none."""
    return " OR ".join('"' + term.replace('"', '""') + '"' for term in question_terms)


def has_cjk(text: str) -> bool:
    """Whether the text has Chinese, Japanese or Korean characters."""
    return _IS_CJK.search(text) is not None
