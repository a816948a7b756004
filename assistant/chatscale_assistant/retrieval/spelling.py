"""Corrects one slip in a word: `refnud` to `refund`. Pure, for folded words of Latin letters."""

from collections.abc import Collection
from typing import Final

SHORTEST: Final = 6
"""Letters of a word that is corrected: shorter ones are near to other real words."""
_LETTERS: Final = "abcdefghijklmnopqrstuvwxyz"


def corrected(word: str, vocabulary: Collection[str]) -> str:
    """The one word of the vocabulary with the same first letter that is one slip away; the word itself if none is.

    A slip is a missing or an additional letter, or two letters in the wrong order. A wrong letter is not corrected:
    `simple` is a word, and one letter from `sample`.
    """
    if word in vocabulary or len(word) < SHORTEST or not (word.isascii() and word.isalpha()):
        return word
    found = {each for each in _one_slip_away(word) if each in vocabulary}
    return found.pop() if len(found) == 1 else word


def _one_slip_away(word: str) -> set[str]:
    parts = [(word[:i], word[i:]) for i in range(1, len(word) + 1)]
    swapped = {a + b[1] + b[0] + b[2:] for a, b in parts if b[1:]}
    shorter = {a + b[1:] for a, b in parts if b}
    longer = {a + c + b for a, b in parts for c in _LETTERS}
    return swapped | shorter | longer
