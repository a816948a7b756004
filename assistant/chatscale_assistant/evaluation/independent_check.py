"""A second reader of answers: which numbers, links and codes of a text stand in its evidence. Pure.

It shares no code with the assistant's fact check, so that an error there does not hide itself. It is stricter: a number
is supported only if the cited text contains it.
"""

import re
from collections.abc import Iterable, Iterator
from decimal import Decimal
from typing import Final

_LINK: Final = re.compile(r"(?:https?://|www\.)[^\s)\]>»”\"']+", re.IGNORECASE)
_MAIL: Final = re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+")
_CODE: Final = re.compile(r"#[A-Za-z]\d{4,}|\b(?=[A-Z0-9_-]*\d)(?=[A-Z0-9_-]*[A-Z])[A-Z0-9_-]{6,}\b")
_NUMBER: Final = re.compile(r"\d(?:[\d.,\u00a0\u202f' ]*\d)?")
_LIST_MARK: Final = re.compile(r"^\s*\d{1,2}[.)]\s", re.MULTILINE)
_TO_TWENTY: Final = """\
one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen
nineteen twenty"""
_A_SEIZE: Final = "un deux trois quatre cinq six sept huit neuf dix onze douze treize quatorze quinze seize"
_EN_TENS: Final = {"thirty": 30, "forty": 40, "fifty": 50, "sixty": 60, "seventy": 70, "eighty": 80, "ninety": 90}
_FR_TENS: Final = {"vingt": 20, "trente": 30, "quarante": 40, "cinquante": 50, "soixante": 60}
_EN: Final = {word: value for value, word in enumerate(_TO_TWENTY.split(), 1)} | _EN_TENS | {"hundred": 100}
_FR: Final = {word: value for value, word in enumerate(_A_SEIZE.split(), 1)} | _FR_TENS | {"une": 1, "cent": 100}
_WORDS: Final = _EN | _FR
_UNITS: Final = (
    r"(?:business |working |full )?(?:days?|weeks?|months?|years?|hours?|minutes?|percent|dollars?|euros?)"
    r"|jours?|semaines?|mois|ans?|années?|heures?|pour ?cent"
)
_WORD_NUMBER: Final = re.compile(rf"\b({'|'.join(_WORDS)})[ -](?:{_UNITS})\b", re.IGNORECASE)
_ANY_WORD: Final = re.compile(rf"\b({'|'.join(_WORDS)})\b", re.IGNORECASE)
_HAN: Final = dict(zip("零一二两三四五六七八九", (0, 1, 2, 2, 3, 4, 5, 6, 7, 8, 9), strict=True))
_HAN_UNITS: Final = "个?(?:工作日|小时|分钟|星期|月)|[天日周年元块折]|美元|欧元"
_HAN_NUMBER: Final = re.compile(rf"([零一二两三四五六七八九十百]+)(?={_HAN_UNITS})")
_THOUSANDS: Final = 3


def unsupported(answer: str, evidence: Iterable[str], question: str = "") -> list[str]:
    """The numbers, links, addresses and codes of an answer that stand in no text of `evidence`, in their order.

    A code that the customer wrote, such as an order number, may be repeated.
    """
    texts = list(evidence)
    known = {fact for text in texts for fact in _facts(text)}
    known |= {f"number {_WORDS[word.lower()]}" for text in texts for word in _ANY_WORD.findall(text)}
    known |= {fact for fact in _facts(question) if fact.startswith("code ")}
    return [fact for fact in dict.fromkeys(_facts(_LIST_MARK.sub("", answer))) if fact not in known]


def links(text: str) -> list[str]:
    """The links of a text."""
    return _LINK.findall(text)


def _facts(text: str) -> Iterator[str]:
    for kind, pattern in (("link", _LINK), ("mail", _MAIL), ("code", _CODE)):
        for found in pattern.findall(text):
            yield f"{kind} {found.rstrip('.,;:!?').casefold()}"
        text = pattern.sub(" ", text)
    for found in _NUMBER.findall(text):
        yield from (f"number {value}" for value in _values(found))
    for word in _WORD_NUMBER.findall(text):
        yield f"number {_WORDS[word.lower()]}"
    for word in _HAN_NUMBER.findall(text):
        yield f"number {_han(word)}"


def _values(text: str) -> Iterator[str]:
    """The values of a run of digits and separators: 1,234.56 and 1 234,56 are the same; 5, 7 are two."""
    for part in re.split(r"[.,] | {2,}|(?<!\d) | (?!\d{3}\b)", text):
        digits = re.sub(r"[\u00a0\u202f' ]", "", part)
        point = max(digits.rfind("."), digits.rfind(","))
        if point >= 0:
            whole, fraction = re.sub(r"[.,]", "", digits[:point]), digits[point + 1 :]
            is_group = len(fraction) == _THOUSANDS and whole != "0"
            digits = whole + fraction if is_group else f"{whole}.{fraction}"
        yield f"{Decimal(digits).normalize():f}"


def _han(word: str) -> int:
    value = 0
    for part in re.findall(r"[零一二两三四五六七八九]?[十百]|[零一二两三四五六七八九]", word):
        unit = {"十": 10, "百": 100}.get(part[-1], 1)
        value += _HAN.get(part[0], 1) * unit  # 十 alone is 10
    return value
