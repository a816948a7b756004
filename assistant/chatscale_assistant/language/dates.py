"""Dates and times of day in Chinese, English and French. Pure."""

import re
from collections.abc import Iterator
from typing import Final

from chatscale.api.v1alpha1.shopassistant import Language

_MONTHS: Final = {
    1: "january|jan|janvier|janv",
    2: "february|feb|février|fevrier|févr|fevr",
    3: "march|mar|mars",
    4: "april|apr|avril|avr",
    5: "may|mai",
    6: "june|jun|juin",
    7: "july|jul|juillet|juil",
    8: "august|aug|août|aout",
    9: "september|septembre|sept|sep",
    10: "october|octobre|oct",
    11: "november|novembre|nov",
    12: "december|décembre|decembre|dec|déc",
}
_MONTH: Final = "(?P<name>" + "|".join(f"(?:{names})" for names in _MONTHS.values()) + r")\b\.?"
_YEAR: Final = r"(?:,?\s+(?P<year>(?:19|20)\d\d)\b)?"
_NAMED: Final = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        rf"\b(?P<day>\d{{1,2}})(?:st|nd|rd|th|er)?\s+(?:of\s+)?{_MONTH}{_YEAR}",
        rf"\b{_MONTH}\s+(?:the\s+)?(?P<day>\d{{1,2}})(?:st|nd|rd|th)?(?![\d:.,]\d|\d){_YEAR}",
        rf"\b{_MONTH}\s+(?P<year>(?:19|20)\d\d)\b",
    )
)
_ISO: Final = re.compile(
    r"(?<!\d)(?P<year>(?:19|20)\d\d)(?:-|/|\.|年\s?)(?P<month>\d{1,2})(?:-|/|\.|月\s?)(?P<day>\d{1,2})(?!\d)[日号]?"
)
_CHINESE: Final = re.compile(r"(?:(?P<year>\d{4})年\s?)?(?<!\d)(?P<month>\d{1,2})月\s?(?P<day>\d{1,2})[日号]")
_CHINESE_MONTH: Final = re.compile(r"(?P<year>\d{4})年(?P<month>\d{1,2})月")
_SLASHED: Final = re.compile(
    r"(?<![\d/.])(?P<a>\d{1,2})(?P<mark>[/.])(?P<b>\d{1,2})(?P=mark)(?P<year>(?:19|20)\d\d)(?!\d)"
)
_RELATIVE: Final = {
    "today": r"\btoday\b|\btonight\b|\baujourd'hui\b|\bce soir\b|今天|今日|今晚|当天|当日|\bsame[- ]day\b|\ble jour même\b",
    "tomorrow": r"(?<!the )\btomorrow\b|\bdemain\b|明天|明日|次日|\bnext[- ]day\b",
    "yesterday": r"\byesterday\b|\bhier\b|昨天|昨日",
    "next week": r"\bnext week\b|\bsemaine prochaine\b|下周|下个?星期|下礼拜",
    "next month": r"\bnext month\b|\bmois prochain\b|下个?月",
}
_WEEKDAYS: Final = {
    1: r"\bmondays?\b|\blundis?\b|(?:周|星期|礼拜)一",
    2: r"\btuesdays?\b|\bmardis?\b|(?:周|星期|礼拜)二",
    3: r"\bwednesdays?\b|\bmercredis?\b|(?:周|星期|礼拜)三",
    4: r"\bthursdays?\b|\bjeudis?\b|(?:周|星期|礼拜)四",
    5: r"\bfridays?\b|\bvendredis?\b|(?:周|星期|礼拜)五",
    6: r"\bsaturdays?\b|\bsamedis?\b|(?:周|星期|礼拜)六",
    7: r"\bsundays?\b|\bdimanches?\b|(?:周|星期|礼拜)[日天]",
}
_WORDS: Final = tuple(
    (re.compile(pattern, re.IGNORECASE), value)
    for value, pattern in [*_RELATIVE.items(), *((f"weekday {n}", pattern) for n, pattern in _WEEKDAYS.items())]
)
_CLOCK: Final = re.compile(
    r"(?<![\d:.])(?P<hour>[01]?\d|2[0-4])(?:(?:\s?[:]\s?|\s?h\s?)(?P<minute>[0-5]\d)(?::[0-5]\d)?"
    r"(?:\s?(?P<half>[ap])\.?m\b\.?)?|\s?(?P<half2>[ap])\.?m\b\.?)(?!\d)",
    re.IGNORECASE,
)
_HOUR_FR: Final = re.compile(r"(?<!\d)(?P<hour>[01]?\d|2[0-3])\s?h(?:eures?)?\b(?!\s?\d)", re.IGNORECASE)
_CLOCK_ZH: Final = re.compile(
    r"(?P<part>上午|早上|中午|下午|晚上|凌晨)?\s?(?P<hour>[01]?\d|2[0-4])(?:点|时(?!间))(?P<minute>[0-5]?\d(?=分)|半)?分?"
)
_NOON: Final = 12
Found = tuple[int, int, str]
"""Start, end, canonical value: `2026-03-05`, `--03-05`, `2026-03`, `tomorrow`, `weekday 1`, `18:30`."""


def find_dates(text: str, language: Language) -> Iterator[Found]:
    """Dates of normalised text. A slashed date that may be read in two ways keeps its digits: `5/3/2026`."""
    for pattern in (_ISO, _CHINESE, _CHINESE_MONTH):
        for match in pattern.finditer(text):
            groups = match.groupdict()
            yield match.start(), match.end(), _date(groups.get("year"), int(groups["month"]), groups.get("day"))
    for pattern in _NAMED:
        for match in pattern.finditer(text):
            groups = match.groupdict()
            name = match["name"].casefold()
            month = next(n for n, names in _MONTHS.items() if name in names.split("|"))
            yield match.start(), match.end(), _date(groups.get("year"), month, groups.get("day"))
    for match in _SLASHED.finditer(text):
        yield (
            match.start(),
            match.end(),
            _slashed(int(match["a"]), int(match["b"]), match["year"], match["mark"], language),
        )


def find_words(text: str) -> Iterator[Found]:
    """Words for days: tomorrow, Monday."""
    for pattern, value in _WORDS:
        for match in pattern.finditer(text):
            yield match.start(), match.end(), value


def find_times(text: str) -> Iterator[Found]:
    """Times of day. `18 h` is a time unless a preposition of duration stands before it."""
    for match in _CLOCK.finditer(text):
        half = (match["half"] or match["half2"] or "").lower()
        yield match.start(), match.end(), _time(int(match["hour"]), int(match["minute"] or 0), half)
    for match in _CLOCK_ZH.finditer(text):
        half = "p" if match["part"] in {"下午", "晚上", "中午"} else "a" if match["part"] else ""
        minute = 30 if match["minute"] == "半" else int(match["minute"] or 0)
        yield match.start(), match.end(), _time(int(match["hour"]), minute, half)
    for match in _HOUR_FR.finditer(text):
        before = text[: match.start()].rstrip().lower()
        if before.endswith(("à", "de", "et", "jusqu'à", "dès", "avant", "après", "-", "–", "entre", "vers", "a")):
            yield match.start(), match.end(), _time(int(match["hour"]), 0, "")


def _date(year: str | None, month: int, day: str | None) -> str:
    head = year or "-"
    return f"{head}-{month:02}" if day is None else f"{head}-{month:02}-{int(day):02}"


def _slashed(a: int, b: int, year: str, mark: str, language: Language) -> str:
    if language is Language.FRENCH or mark == "." or a > _NOON:
        return _date(year, b, str(a))
    if b > _NOON:
        return _date(year, a, str(b))
    return f"{a}/{b}/{year}"


def _time(hour: int, minute: int, half: str) -> str:
    if half == "p" and hour < _NOON:
        hour += _NOON
    elif half == "a" and hour == _NOON:
        hour = 0
    return f"{hour:02}:{minute:02}"
