"""Numbers in digits and in words, in Chinese, English and French. Pure."""

import re
from decimal import Decimal
from typing import Final

from chatscale.api.v1alpha1.shopassistant import Language

DIGITS: Final = (
    r"(?:\d{1,3}(?: \d{3})+(?:[.,]\d+)?(?!\d)"  # 1 000,00
    r"|\d{1,3}(?:['.,]\d{3})+(?:[.,]\d{1,2})?(?![\d])"  # 1,000.00 and 1.000,00
    r"|\d+(?:[.,]\d+)?)"
)
"""A number in digits, of text that `normalise` returned."""


def parse_digits(text: str, language: Language) -> Decimal:
    """The value of a match of `DIGITS`.

    With one separator before exactly three digits, French has a point for thousands, English and Chinese for decimals;
    a comma separates thousands in all three.  E.g. 1.000,5 -> 1000.5.
    """
    compact = text.replace(" ", "").replace("'", "")
    separators = [character for character in compact if character in ".,"]
    if len(set(separators)) == 2:  # noqa: PLR2004 - point and comma: the last one is the decimal mark
        decimal = separators[-1]
        compact = compact.replace("," if decimal == "." else ".", "").replace(decimal, ".")
    elif len(separators) > 1:
        compact = compact.replace(separators[0], "")
    elif separators:
        before, after = re.split(r"[.,]", compact)
        groups = len(after) == 3 and len(before) <= 3 and before != "0"  # noqa: PLR2004 - a group of thousands
        thousands = groups and (separators[0] == "," or language is Language.FRENCH)
        compact = before + after if thousands else f"{before}.{after}"
    return Decimal(compact)


def plain(value: Decimal) -> str:
    """The shortest decimal form: 1000, 49.9."""
    text = format(value.normalize(), "f")
    return "0" if text in {"-0", ""} else text


_EN_ONES: Final = [
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
]
_EN_TENS: Final = {
    20: "twenty",
    30: "thirty",
    40: "forty",
    50: "fifty",
    60: "sixty",
    70: "seventy",
    80: "eighty",
    90: "ninety",
}
_FR_ONES: Final = [
    "zéro",
    "un",
    "deux",
    "trois",
    "quatre",
    "cinq",
    "six",
    "sept",
    "huit",
    "neuf",
    "dix",
    "onze",
    "douze",
    "treize",
    "quatorze",
    "quinze",
    "seize",
    "dix-sept",
    "dix-huit",
    "dix-neuf",
]
_FR_TENS: Final = {20: "vingt", 30: "trente", 40: "quarante", 50: "cinquante", 60: "soixante", 80: "quatre-vingt"}
_HUNDRED: Final = 100


def _english() -> dict[str, int]:
    words = {word: value for value, word in enumerate(_EN_ONES)}
    for tens, word in _EN_TENS.items():
        words[word] = tens
        for one in range(1, 10):
            words[f"{word}-{_EN_ONES[one]}"] = words[f"{word} {_EN_ONES[one]}"] = tens + one
    for one in range(1, 10):
        words[f"{_EN_ONES[one]} hundred"] = one * 100
        words[f"{_EN_ONES[one]} thousand"] = one * 1000
    return words | {"a hundred": 100, "hundred": 100, "a thousand": 1000, "a dozen": 12, "dozen": 12}


def _french() -> dict[str, int]:
    words = {word: value for value, word in enumerate(_FR_ONES)}
    for tens, word in _FR_TENS.items():
        words[word] = tens
        for one in range(1, 20 if tens in {60, 80} else 10):
            joined = f"{word} et {_FR_ONES[one]}" if one in {1, 11} and tens != 80 else f"{word}-{_FR_ONES[one]}"  # noqa: PLR2004
            words[joined] = words[joined.replace("-", " ")] = tens + one
    words |= {"quatre-vingts": 80, "quatre vingts": 80, "septante": 70, "huitante": 80, "nonante": 90}
    for one in range(2, 10):
        words[f"{_FR_ONES[one]} cents"] = one * _HUNDRED
        words[f"{_FR_ONES[one]} mille"] = one * 1000
    return words | {"mille": 1000, "une douzaine": 12, "douzaine": 12, "une quinzaine": 15, "une dizaine": 10}


WORDS: Final = _english() | _french()
"""Number words of English and French -> value. "six" is the same in both."""
UNCERTAIN: Final = frozenset({"one", "un", "une", "neuf", "a", "an"})
"""Also an article, a pronoun or an adjective: a number only before a unit."""
FIRST_WORDS: Final = frozenset(word.replace("-", " ").split()[0] for word in WORDS)
"""What a number in words begins with: most texts have none of them, and need no further search."""
WORD_PATTERN: Final = "|".join(re.escape(word) for word in sorted(WORDS, key=len, reverse=True))

_ZH_DIGITS: Final = {c: v for v, c in enumerate("零一二三四五六七八九")} | {"〇": 0, "两": 2, "半": 0}
_ZH_FACTORS: Final = {"十": 10, "百": 100, "千": 1000}
CHINESE_NUMERALS: Final = "[零〇一二两三四五六七八九十百千万亿]+"


def parse_chinese(text: str) -> int:
    """The value of Chinese numerals: 三十 -> 30, 一千二百 -> 1200, 二零二六 -> 2026."""
    if not any(c in _ZH_FACTORS or c in "万亿" for c in text):
        return int("".join(str(_ZH_DIGITS[c]) for c in text))
    total = section = digit = 0
    for character in text:
        if character in _ZH_DIGITS:
            digit = _ZH_DIGITS[character]
        elif character in _ZH_FACTORS:
            section += (digit or 1) * _ZH_FACTORS[character]
            digit = 0
        else:
            total = (total + section + digit or 1) * (10_000 if character == "万" else 100_000_000)
            section = digit = 0
    return total + section + digit
