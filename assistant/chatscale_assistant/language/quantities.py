"""The checkable facts of a text: numbers with unit, prices, percentages, dates, links, e-mails, phone numbers, codes.

One scanner for messages, drafts and sources, so that two texts with the same fact have the same `Fact.key`.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from decimal import Decimal
from enum import StrEnum
from itertools import zip_longest
from typing import Final

from chatscale.api.v1alpha1.shopassistant import Language
from chatscale_assistant.language import dates, numbers, units
from chatscale_assistant.language.scripts import normalise


class FactKind(StrEnum):
    """What a fact is."""

    NUMBER = "number"
    MONEY = "money"
    PERCENT = "percent"
    DURATION = "duration"
    DATE = "date"
    TIME = "time"
    LINK = "link"
    EMAIL = "email"
    PHONE = "phone"
    CODE = "code"


@dataclass(frozen=True, slots=True)
class Fact:
    """One fact of a text."""

    kind: FactKind
    value: str
    """Canonical: `30`, `2026-03-05`, `w1234567`."""
    unit: str = ""
    """Dimension in which the value is given; empty for a bare number."""
    start: int = 0
    end: int = 0
    """Position in the normalised text."""
    number: Decimal | None = None
    """The number as written, before its unit's factor."""

    @property
    def key(self) -> tuple[FactKind, str, str]:
        """Equal for equal facts."""
        return self.kind, self.value, self.unit


_LINK: Final = re.compile(
    r"(?:https?://|www\.)[^\s<>\"'()\[\]{}，。；！？、）】」]+|\b(?:[a-z0-9-]+\.)+(?:com|org|net|io|shop|store|fr|cn|eu|co|uk|de|info|example|ru|xyz|top)\b(?:/[^\s<>\"'()，。]*)?",
    re.IGNORECASE,
)
_EMAIL: Final = re.compile(r"[A-Za-z0-9._%+-]+@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+")
_PHONE: Final = re.compile(
    r"(?<![A-Za-z\d#.])(?:\+\d{1,3}[ .-]?)?(?:\(\d{1,4}\)[ .-]?)?\d{1,4}(?:[ .-]\d{2,4}){2,5}(?![A-Za-z\d])|\+\d{8,14}\b"
)
_THOUSANDS: Final = re.compile(r"\d{1,3}(?:[ .,]\d{3})+(?:[.,]\d{1,2})?")
_CODE: Final = re.compile(
    r"#[A-Za-z0-9][A-Za-z0-9_-]*|(?<![A-Za-z0-9_])(?=[A-Za-z0-9_-]*\d)(?=[A-Za-z0-9_-]*[A-Za-z])[A-Za-z0-9]+(?:[-_][A-Za-z0-9]+)*(?![A-Za-z0-9])"
    r"|(?<!\d[.,])(?<![A-Za-z\d])\d{6,}(?![A-Za-z\d])(?![.,]\d)"
)
_BETWEEN: Final = r"\s?(?:-|–|—|~|to|à|a|et|and|ou|or|至|到)\s?"
_MULTIPLE: Final = r"(?P<times>\s?(?:万|亿|millions?\b|thousand\b))?"
_TIMES: Final = {"万": 10_000, "亿": 100_000_000, "million": 1_000_000, "millions": 1_000_000, "thousand": 1000}
_PREFIXED: Final = re.compile(
    rf"(?P<unit>{units.CURRENCY_PREFIX})\s?(?P<n>{numbers.DIGITS}){_MULTIPLE}(?!\d)", re.IGNORECASE
)
_WITH_UNIT: Final = re.compile(
    rf"(?<!\d[.,])(?<![A-Za-z\d_#])(?P<n>{numbers.DIGITS}){_MULTIPLE}[\s-]?(?P<unit>{units.UNIT_PATTERN})|"
    rf"(?<!\d[.,])(?<![A-Za-z\d_#])(?P<n2>{numbers.DIGITS}){_MULTIPLE.replace('times', 'times2')}(?![\w]*[a-z])",
    re.IGNORECASE,
)
_WORD: Final = re.compile(
    rf"(?<![\w-])(?P<n>{numbers.WORD_PATTERN})(?![\w])(?!-[a-zà-ÿ]+-)(?:[\s-](?P<unit>{units.UNIT_PATTERN}))?",
    re.IGNORECASE,
)
_LATIN: Final = re.compile(r"[a-zà-ÿ]+")
_ARTICLE: Final = re.compile(
    rf"(?:\b(?:within|in|after|takes?|for|under)\s+(?:an?|one)|\b(?:dans|en|sous|après|pendant|d')\s?(?:une?))\s(?P<unit>{units.UNIT_PATTERN})",
    re.IGNORECASE,
)
_FEW: Final = re.compile(
    rf"(?:\b(?:a few|several|some|a couple of|few|quelques|plusieurs)\s|几个?|数个?|若干)(?P<unit>{units.UNIT_PATTERN})",
    re.IGNORECASE,
)
_HALF_ZH: Final = re.compile(r"半(?:个)?(?P<unit>小时|天|年|月)")
_PERCENT_ZH: Final = re.compile(rf"百分之(?P<n>{numbers.DIGITS}|{numbers.CHINESE_NUMERALS})")
_ZH: Final = re.compile(
    rf"(?<!第)(?P<n>{numbers.CHINESE_NUMERALS})(?:多)?(?P<unit>{units.UNIT_PATTERN}|[个件双只台款种位人本张笔份条项](?!人工))",
    re.IGNORECASE,
)
_ZH_ARTICLE: Final = re.compile(r"[个件双只台款种位人本张笔份条项次度倍星点]")


def find_facts(text: str, language: Language) -> tuple[Fact, ...]:
    """The facts of the text, by position. `language` decides how 1.000 and 5/3/2026 are read."""
    facts: list[Fact] = []
    rest = normalise(text)
    scans = _SCANS if any(map(str.isdigit, rest)) else _SCANS_WITHOUT_DIGITS
    for scan in scans:
        found = sorted(scan(rest, language), key=lambda fact: (fact.start, -fact.end))
        for fact in found:
            if not rest[fact.start : fact.end].strip("\0") or "\0" in rest[fact.start : fact.end]:
                continue
            facts.append(fact)
            rest = rest[: fact.start] + "\0" * (fact.end - fact.start) + rest[fact.end :]
    facts.sort(key=lambda fact: fact.start)
    return tuple(_with_ranges(facts, rest))


def quantity(number: Decimal, unit: units.Unit | None, start: int = 0, end: int = 0) -> Fact:
    """A number with its unit, in the base unit of the dimension."""
    if unit is None:
        return Fact(FactKind.NUMBER, numbers.plain(number), "", start, end, number)
    value = numbers.plain(round(number * unit.factor, 6))
    if unit.dimension in units.CURRENCIES:
        kind = FactKind.MONEY
    elif unit.dimension in {"%", "zhe"}:
        kind = FactKind.PERCENT
    else:
        kind = FactKind.DURATION if unit.dimension in units.TIME_DIMENSIONS else FactKind.NUMBER
    return Fact(kind, value, unit.dimension, start, end, number)


def _links(text: str, _: Language) -> Iterator[Fact]:
    for match in _EMAIL.finditer(text):
        yield Fact(FactKind.EMAIL, match.group().casefold(), "", match.start(), match.end())
    for match in _LINK.finditer(text):
        address = match.group().rstrip(".,;:!?")
        yield Fact(FactKind.LINK, link_value(address), "", match.start(), match.start() + len(address))


def link_value(address: str) -> str:
    """The address without scheme and final slash, host in lower case."""
    bare = re.sub(r"^(?:https?://)?(?:www\.)?", "", address, flags=re.IGNORECASE).rstrip("/")
    host, slash, path = bare.partition("/")
    return host.casefold() + slash + path


def _dates(text: str, language: Language) -> Iterator[Fact]:
    for start, end, value in (*dates.find_dates(text, language), *dates.find_words(text)):
        yield Fact(FactKind.DATE, value, "", start, end)


def _date_words(text: str, _: Language) -> Iterator[Fact]:
    for start, end, value in dates.find_words(text):
        yield Fact(FactKind.DATE, value, "", start, end)


def _times(text: str, _: Language) -> Iterator[Fact]:
    for start, end, value in dates.find_times(text):
        yield Fact(FactKind.TIME, value, "", start, end)


def _phones(text: str, _: Language) -> Iterator[Fact]:
    for match in _PHONE.finditer(text):
        digits = re.sub(r"\D", "", match.group())
        if 8 <= len(digits) <= 15 and not _THOUSANDS.fullmatch(match.group()):  # noqa: PLR2004 - E.164
            yield Fact(FactKind.PHONE, digits, "", match.start(), match.end())


def _currency_first(text: str, language: Language) -> Iterator[Fact]:
    for match in _PREFIXED.finditer(text):
        number = numbers.parse_digits(match["n"], language) * _multiple(match["times"])
        yield quantity(number, units.unit_of(match["unit"]), match.start(), match.end())


def _units(text: str, language: Language) -> Iterator[Fact]:
    for match in _WITH_UNIT.finditer(text):
        digits = match["n"] or match["n2"]
        if match["unit"] is None and len(re.sub(r"\D", "", digits)) >= 6 and digits.isdigit():  # noqa: PLR2004
            continue  # an id: `_codes` takes it
        number = numbers.parse_digits(digits, language) * _multiple(match["times"] or match["times2"])
        unit = units.unit_of(match["unit"]) if match["unit"] else None
        yield quantity(number, unit, match.start(), match.end())


def _codes(text: str, _: Language) -> Iterator[Fact]:
    for match in _CODE.finditer(text):
        yield Fact(FactKind.CODE, match.group().lstrip("#").casefold(), "", match.start(), match.end())


def _words(text: str, _: Language) -> Iterator[Fact]:
    if numbers.FIRST_WORDS.isdisjoint(_LATIN.findall(text.casefold())):
        return
    for match in _WORD.finditer(text):
        word = match["n"].casefold()
        unit = units.unit_of(match["unit"]) if match["unit"] else None
        if unit is None and word in numbers.UNCERTAIN:
            continue
        yield quantity(Decimal(numbers.WORDS[word]), unit, match.start(), match.end())


def _articles(text: str, _: Language) -> Iterator[Fact]:
    for match in _ARTICLE.finditer(text):
        unit = units.unit_of(match["unit"])
        if unit is not None and unit.dimension in units.TIME_DIMENSIONS:
            yield quantity(Decimal(1), unit, match.start("unit"), match.end())


def _percent_zh(text: str, language: Language) -> Iterator[Fact]:
    for match in _PERCENT_ZH.finditer(text):
        digits = match["n"]
        number = (
            numbers.parse_digits(digits, language) if digits[0].isdigit() else Decimal(numbers.parse_chinese(digits))
        )
        yield quantity(number, units.unit_of("%"), match.start(), match.end())


def _chinese(text: str, _: Language) -> Iterator[Fact]:
    for match in _HALF_ZH.finditer(text):
        yield quantity(Decimal("0.5"), units.unit_of(match["unit"]), match.start(), match.end())
    for match in _ZH.finditer(text):
        counter = _ZH_ARTICLE.fullmatch(match["unit"])
        if match["n"] == "一" and counter:
            continue  # 一个 is an article
        unit = None if counter and match["unit"] not in "次倍星度" else units.unit_of(match["unit"])
        yield quantity(Decimal(numbers.parse_chinese(match["n"])), unit, match.start(), match.end())


def _vague(text: str, _: Language) -> Iterator[Fact]:
    for match in _FEW.finditer(text):
        unit = units.unit_of(match["unit"])
        if unit is not None:
            kind = FactKind.DURATION if unit.dimension in units.TIME_DIMENSIONS else FactKind.NUMBER
            yield Fact(kind, f"few of {numbers.plain(unit.factor)}", unit.dimension, match.start(), match.end())


_Scan = Callable[[str, Language], Iterator[Fact]]
_SCANS_WITHOUT_DIGITS: Final[tuple[_Scan, ...]] = (
    _links,
    _date_words,
    _percent_zh,
    _words,
    _articles,
    _chinese,
    _vague,
)
_SCANS: Final[tuple[_Scan, ...]] = (
    _links, _dates, _phones, _times, _currency_first, _percent_zh, _units, _codes, _words, _articles, _chinese, _vague,
)  # fmt: skip


def _multiple(text: str | None) -> int:
    return _TIMES[text.strip().casefold()] if text else 1


def _with_ranges(facts: list[Fact], rest: str) -> Iterator[Fact]:
    """`5 to 7 days`: the first number has the second one's unit."""
    for fact, following in zip_longest(facts, facts[1:]):
        between = rest[fact.end : following.start] if following else ""
        bare = fact.number if fact.kind is FactKind.NUMBER and not fact.unit else None
        joined = following and following.unit and following.number and re.fullmatch(_BETWEEN, between, re.IGNORECASE)
        if bare is not None and joined and following.number:
            factor = Decimal(following.value) / following.number
            value = numbers.plain(round(bare * factor, 6))
            yield replace(fact, kind=following.kind, unit=following.unit, value=value)
        else:
            yield fact
