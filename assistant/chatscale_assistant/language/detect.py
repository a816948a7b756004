"""The language of a customer's message, and the language that the customer requests.

Script first, then frequent words, then a statistical model; a message without a language of its own, such as an order
number or "ok", has the language of the conversation.
"""

import re
from collections.abc import Iterable, Sequence
from typing import Final

from chatscale.api.v1alpha1.shopassistant import Language
from chatscale_assistant.language.function_words import count_words
from chatscale_assistant.language.model import ScoreLanguages, score_languages
from chatscale_assistant.language.scripts import fold, han_count, is_other_script, latin_words, shortened, without_codes

_MIN_MODEL_PROBABILITY: Final = 0.5
_MIN_WORDS_FOR_MODEL: Final = 3
_FOREIGN_WORDS: Final = frozenset(
    "hallo danke bitte guten ja nein hola gracias por favor buenos si ciao grazie prego hej tack ola obrigado".split()
)
_REQUESTS: Final = {
    Language.CHINESE: re.compile(
        r"(?:in|speak|switch to|use|answer|reply|write)\s+(?:chinese|mandarin)|en chinois|(?:用|说|讲|换成|切换到)\s*(?:中文|汉语|普通话)"
    ),
    Language.ENGLISH: re.compile(
        r"(?:in|speak|switch to|use|answer|reply|write)\s+english|(?:en|parle[zr]?)\s+anglais|(?:用|说|讲|换成|切换到)\s*(?:英文|英语)"
    ),
    Language.FRENCH: re.compile(
        r"(?:in|speak|switch to|use|answer|reply|write)\s+french|(?:en|parle[zr]?)\s+francais|(?:用|说|讲|换成|切换到)\s*(?:法文|法语)"
    ),
}


def detect_language(
    text: str,
    *,
    languages: Sequence[Language],
    previous: Language | None = None,
    scores: ScoreLanguages = score_languages,
) -> Language:
    """The language in which to answer: one of `languages`.

    `previous` is the language of the conversation so far.  A language that is none of `languages` gets the first of
    them.
    """
    text = shortened(text)
    own = requested_language(text) or own_language(text, scores=scores)
    if own is None and previous is Language.CHINESE:
        own = _nearest_latin_language(text, scores)
    if own is None:
        return previous if previous is not None and previous in languages else languages[0]
    return next((language for language in languages if language == own), languages[0])


def conversation_language(
    messages: Iterable[str], *, languages: Sequence[Language], scores: ScoreLanguages = score_languages
) -> Language:
    """The language after all messages of a customer, oldest first."""
    current: Language | None = None
    for message in messages:
        current = detect_language(message, languages=languages, previous=current, scores=scores)
    return current if current is not None else languages[0]


def requested_language(text: str) -> Language | None:
    """The language that the text requests, such as "please answer in French"."""
    folded = fold(text)
    found = [(match.start(), language) for language, pattern in _REQUESTS.items() for match in pattern.finditer(folded)]
    return max(found)[1] if found else None


def own_language(text: str, *, scores: ScoreLanguages = score_languages) -> Language | str | None:
    """The language that the text itself shows; "other" for a language that is not supported; None if it shows none."""
    plain = without_codes(text)
    if sum(map(is_other_script, plain)) > han_count(plain) / 4:
        return "other"
    words = latin_words(plain)
    han = han_count(plain)
    if han:
        # One ideograph carries about as much as a word; product names in Latin letters do not outweigh a question.
        return Language.CHINESE if han * 2 >= len(words) else _latin_language(words, plain, scores)
    return _latin_language(words, plain, scores) if words else None


def _nearest_latin_language(text: str, scores: ScoreLanguages) -> Language | None:
    """English or French for two words or more in lower case: they are not Chinese, and no name or code."""
    words = [word for word in without_codes(text).split() if word.strip("?!.,").isalpha()]
    if len(words) < 2 or not all(word.islower() for word in words) or han_count(text):  # noqa: PLR2004 - see above
        return None
    likely = scores(" ".join(words))
    return max((Language.ENGLISH, Language.FRENCH), key=lambda language: likely.get(language, 0.0))


def latin_scores(words: Sequence[str]) -> dict[Language, float]:
    """How many of the words are English and how many are French."""
    totals = {Language.ENGLISH: 0.0, Language.FRENCH: 0.0}
    for word in words:
        for language, score in count_words(word, fold(word)).items():
            totals[language] += score
    return totals


def _latin_language(words: Sequence[str], plain: str, scores: ScoreLanguages) -> Language | str | None:
    totals = latin_scores(words)
    best = max(totals, key=lambda language: totals[language])
    margin = totals[best] - min(totals.values())
    if len(words) < _MIN_WORDS_FOR_MODEL:
        if margin >= 1:
            return best
        return "other" if words and all(fold(word) in _FOREIGN_WORDS for word in words) else None
    if margin >= 2 or (margin >= 1 and margin * 4 >= len(words)):  # noqa: PLR2004 - two words, or one of four
        return best
    likely = scores(" ".join(plain.split()))
    for code, probability in sorted(likely.items(), key=lambda each: -each[1]):
        if probability < _MIN_MODEL_PROBABILITY:
            break
        if code in (Language.ENGLISH, Language.FRENCH):
            return Language(code)
        if margin < 1 and len(words) > _MIN_WORDS_FOR_MODEL:
            return "other"
    return best if margin > 0 else None
