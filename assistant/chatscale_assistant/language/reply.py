"""Whether an answer has the customer's language. Quotes and codes do not count: they stay in their own language. Pure."""

import re
from typing import Final

from chatscale.api.v1alpha1.shopassistant import Language
from chatscale_assistant.language.detect import latin_scores
from chatscale_assistant.language.scripts import han_count, latin_words, without_codes
from chatscale_assistant.language.sentences import split_sentences

_QUOTED: Final = re.compile(r"^\s*>.*$|“[^”\n]*”|«[^»\n]*»|「[^」\n]*」|\"[^\"\n]*\"", re.MULTILINE)
_MAX_HAN_IN_LATIN: Final = 2
_MIN_FOREIGN_MARGIN: Final = 2.0


def is_in_language(text: str, language: Language) -> bool:
    """Whether each sentence of the text, without what it quotes, is in the language. True for a text without words."""
    return all(_fits(sentence, language) for sentence in split_sentences(_QUOTED.sub(" ", text)))


def _fits(sentence: str, language: Language) -> bool:
    plain = without_codes(sentence)
    words, han = latin_words(plain), han_count(plain)
    totals = latin_scores(words)
    if language is Language.CHINESE:
        # Names of products and brands stay in Latin letters, English or French grammar does not.
        return max(totals.values()) < max(_MIN_FOREIGN_MARGIN, han / 4)
    if han > _MAX_HAN_IN_LATIN:
        return False
    other = Language.FRENCH if language is Language.ENGLISH else Language.ENGLISH
    margin = totals[other] - totals[language]
    return margin < _MIN_FOREIGN_MARGIN and not (margin >= 1 and margin * 2 >= len(words))
