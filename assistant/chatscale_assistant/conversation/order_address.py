"""The delivery address that a customer writes, from all turns of one request. Pure.

Parts come from labels ("zip: 80014"), else from the usual order of English, French and Chinese addresses. A text that
cannot be placed makes the address unclear, and a person takes over; what is missing is asked for.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from chatscale_assistant.answers.wording import value_text
from chatscale_assistant.language.address_words import (
    CODES,
    COUNTRIES,
    FILLERS,
    LABELS,
    MARKERS,
    NEGATION,
    NO_UNIT,
    NOTHING,
    NUMBERED_UNIT,
    OLD_ADDRESS,
    REGION_CODES,
    REGIONS,
    STREET,
    UNIT,
    UNPLACED,
    WITH_REGION,
    ZIP,
)
from chatscale_assistant.language.scripts import MAX_READ, fold, is_han, normalise

REQUIRED: Final = ("address1", "city", "state", "zip", "country")
MAX_PART_CHARACTERS: Final = 120
"""A longer part is a story, and the proposal must show all of it."""
_MAX_PLACE_WORDS: Final = 5
"""Of the name of a city or a region."""
_PIECES: Final = re.compile(r"[,;\n、。!?]+|\.\s+(?=(?:thanks|thank you|thx|please|merci)\b)", re.IGNORECASE)
_NUMBERS: Final = re.compile(
    rf"({NUMBERED_UNIT.pattern})|(?<!\w)#\s?[A-Z]{{0,2}}\s?\d{{4,12}}|\bW\s?\d{{7}}\b|(?<!\d)\d{{7}}(?!\d)",
    re.IGNORECASE,
)
"""The first group stays."""
_HOUSE: Final = re.compile(r"(?<![\w#-])\d{1,5}[a-z]?,?\s(?:(?:bis|ter)\s)?[^\W\d]", re.IGNORECASE)
_BEFORE_HOUSE: Final = re.compile(r"(?:\b(?:to|at|is|be|in|à|au|est|par|pour)|:)\s*$", re.IGNORECASE)
_TOWN_WITH_ZIP: Final = re.compile(r"\d{4,6}\s+[^\d]+")
_STREET_AND_TOWN: Final = re.compile(rf"(.*\b({STREET})\.?)\s+([^\W\d][^\d]*)", re.IGNORECASE)
"""The last word of a street ends it: `45 Avenue Road Toronto`."""
_BEGINS_WITH_STREET: Final = re.compile(rf"\d+[a-z]?,?\s(?:(?:bis|ter)\s)?{STREET}\b\.?", re.IGNORECASE)
"""`12 rue de la Paix`: this word says not where the street ends."""
_WORD_OF_STREET: Final = re.compile(rf"(?:^|\s)(?!st\.?\s){STREET}\.?(?=\s|$)", re.IGNORECASE)
"""`St Louis` is a city."""
_ENDS_IN_TOWN: Final = re.compile(r"(.*[^\W\d]\S*)\s+(\d{5,6})\s+([^\d]+)")
_SENTENCES: Final = re.compile(r"[,;\n、。!?]+|\.\s")
_REGION_OF_CHINA: Final = re.compile(
    r"[\u3400-\u9fff]{2,7}?(?:省|自治区|特别行政区)|(?:北京|上海|天津|重庆)(?=市|\b|[\u3400-\u9fff])"
)
_CITY_OF_CHINA: Final = re.compile(r"[\u3400-\u9fff]{2,7}?(?:市|自治州|地区|盟)")
_IN_CHINA: Final = re.compile(rf"(?:{_REGION_OF_CHINA.pattern})|[\u3400-\u9fff]{{2,7}}市")
_CHINA: Final = re.compile(r"^(?:中华人民共和国|中国)|(?:中华人民共和国|中国)$")
_PLACE_OF_CHINA: Final = re.compile(r"[\u3400-\u9fff]{2}(?:省|市|区|县|路|街|镇|村|号)")
_UNIT_OF_CHINA: Final = re.compile(r"^\S{0,12}(?:单元|室|楼|层|栋|座|户)$")


@dataclass(frozen=True, slots=True)
class Address:
    """What is known of a new address."""

    parts: Mapping[str, str]
    """By the name of the tool's parameter; `address2` may be absent."""
    is_clear: bool = True
    """Whether every piece of the customer's last text has its place."""

    @property
    def missing(self) -> tuple[str, ...]:
        """The required parts that nobody has named yet."""
        return tuple(
            part
            for part in REQUIRED
            if not self.parts.get(part) and (part != "state" or has_region(self.parts.get("country", "")))
        )


def has_region(country: str) -> bool:
    """Whether an address may need a state or region: in a country that uses one, and in an unknown country."""
    name = fold(country)
    return name in WITH_REGION or not {name, name.strip(".")} & COUNTRIES


def read_address(texts: Sequence[str]) -> Address:
    """texts: what the customer wrote about the request, the latest first; the last one is the request itself.

    A later text overrides the parts that it names; one with a street and a postcode, or with a street and another city,
    replaces the whole address.
    """
    known: dict[str, str] = {}
    for index in range(len(texts) - 1, -1, -1):
        found = _read(texts[index], known, is_request=index == len(texts) - 1)
        if found is None:
            if index == 0:
                return Address(known, is_clear=False)
            continue
        known = found if _is_whole(found, known) else {**known, **found}
    return Address(known)


def _is_whole(found: Mapping[str, str], known: Mapping[str, str]) -> bool:
    """Whether the parts of a text replace all that is known, not only the same parts."""
    if {"address1", "zip"} <= found.keys():
        return True
    return {"address1", "city"} <= found.keys() and bool({"address1", "city"} & known.keys())


def _read(text: str, known: Mapping[str, str], *, is_request: bool) -> dict[str, str] | None:
    """The parts in one text; None if a piece has no place. A request without a street or a postcode has no address."""
    if len(text) > MAX_READ:
        return {} if is_request else None
    plain = _without_numbers(text)
    pieces = _pieces(_address_in(plain, is_request=is_request))
    if not pieces:
        return {}
    found = _Reader(known).read(pieces)
    if is_request and not (found and found.keys() & {"address1", "zip"}) and not any(map(_is_street, pieces)):
        return {}
    if _is_unwanted(plain):
        return None
    if found is None or any(len(value) > MAX_PART_CHARACTERS for value in found.values()):
        return None
    return found


def _is_unwanted(text: str) -> bool:
    """Whether an address in the text may be the old one, or one that is not wanted: "do not ship it to 5 Old Road"."""
    if OLD_ADDRESS.search(fold(text)):
        return True
    marker = MARKERS.search(text)
    if marker and NEGATION.search(fold(_SENTENCES.split(text[: marker.end()])[-1])):
        return True
    for sentence in _SENTENCES.split(text):
        if negation := NEGATION.search(fold(sentence)):
            after = fold(sentence)[negation.end() :]
            if re.search(r"\d", after) or _is_street(sentence) or _PLACE_OF_CHINA.search(after):
                return True
            if LABELS.fullmatch(sentence.strip()):
                return True
    return False


def _without_numbers(text: str) -> str:
    """Without numbers of orders: they stand beside the address."""
    return _NUMBERS.sub(lambda found: found[1] or " ", normalise(text))


def _address_in(text: str, *, is_request: bool) -> str:
    """The part of the text that has the address; empty if a request has none."""
    if marker := MARKERS.search(text):
        return text[marker.end() :]
    if not is_request:
        return text
    if place := _IN_CHINA.search(text):
        return text[place.start() :]
    house = _HOUSE.search(text)
    return text[house.start() :] if house else ""


def _pieces(text: str) -> list[str]:
    pieces = [value_text(piece).strip(" .:\"'“”«»-") for piece in _PIECES.split(text)]
    return [piece for piece in pieces if piece and not FILLERS.fullmatch(fold(piece))]


def _is_street(piece: str) -> bool:
    return re.search(rf"\b{STREET}\b", piece, re.IGNORECASE) is not None or (
        _HOUSE.match(piece) is not None and not _TOWN_WITH_ZIP.fullmatch(piece)
    )


def _is_clear_end(street: str, word: str) -> bool:
    """Whether a street ends here: not in `12 rue de la Paix`, nor after the first St of `12 Main St St Louis`."""
    begins = _BEGINS_WITH_STREET.match(street)
    if begins and begins[0] == street:
        return word.casefold() == "broadway"
    rest = street[begins.end() :] if begins else street
    return word.casefold() != "st" or len(_WORD_OF_STREET.findall(rest)) <= 1


def _ends_in_region(name: str) -> bool:
    """`Denver CO`, `California`; `NE` alone is a direction of a street."""
    words = fold(name).split()
    return (len(words) > 1 and words[-1] in REGION_CODES) or any(
        " ".join(words[-count:]) in REGIONS for count in range(1, 5)
    )


def _is_no_place(name: str) -> bool:
    """Whether a piece is no name of a place: a sentence, or a word for nothing. On folded text."""
    return UNPLACED.search(name) is not None or NOTHING.fullmatch(name) is not None or name.startswith(("no ", "pas "))


class _Reader:
    """Places the pieces of one text."""

    def __init__(self, known: Mapping[str, str]) -> None:
        self._known: Final = known
        self._found: Final[dict[str, str]] = {}
        self._rest: Final[list[str]] = []
        self._is_clear = True

    def read(self, pieces: Sequence[str]) -> dict[str, str] | None:
        """None if a piece has no place."""
        for piece in pieces:
            self._place(piece)
        if not self._place_rest() or not self._is_clear or self._has_two_parts_in_one():
            return None
        return self._found

    def _place(self, piece: str) -> None:
        label = LABELS.fullmatch(piece)
        name = next((each for each, value in label.groupdict().items() if value), "") if label else ""
        if NO_UNIT.fullmatch(fold(piece)):
            self._found["address2"] = ""
            return
        if label and name != "address":
            value = label[name].strip()
            is_nothing = NOTHING.fullmatch(fold(value)) is not None
            self._is_clear = self._is_clear and (not is_nothing or name == "address2")
            self._found[name] = "" if is_nothing else value
            return
        piece = label[name].strip() if label else piece
        if sum(map(is_han, piece)) > 1:
            self._place_chinese(piece)
        else:
            self._place_latin(piece)

    def _place_latin(self, piece: str) -> None:
        if (house := _HOUSE.search(piece)) and _BEFORE_HOUSE.search(piece[: house.start()]):
            piece = piece[house.start() :]
        elif house and UNPLACED.search(re.sub(r"\d", " ", fold(piece[: house.start()]))):
            self._is_clear = False  # "I meant 14 Main Street"
        if UNIT.match(piece):
            self._found["address2"] = piece
        elif _is_street(piece) and "address1" not in self._found and not self._rest:
            self._place_street(piece)
        else:
            self._place_town(piece)

    def _place_street(self, piece: str) -> None:
        """A street, perhaps with the town: `12 rue de la Paix 75002 Paris`, `12 Main Street Denver CO 80014`."""
        street = self._without_zip_and_region(piece)
        if street == piece:
            ends = _ENDS_IN_TOWN.fullmatch(piece)
            self._found["address1"] = ends[1] if ends else piece
            if ends:
                self._place_town(f"{ends[2]} {ends[3]}")
            return
        self._found["address1"] = street
        if town := _STREET_AND_TOWN.fullmatch(street):
            self._found.update(address1=town[1], city=town[3])
            self._is_clear = self._is_clear and _is_clear_end(town[1], town[2])

    def _without_zip_and_region(self, piece: str) -> str:
        """The piece without a postcode and a region's code at its end, which are placed."""
        ends = re.fullmatch(rf"(.+?)\s+{CODES}\s+({ZIP.pattern})(?:\s+(.+))?", piece)
        if not ends or (ends[4] and fold(ends[4]) not in COUNTRIES):
            return piece
        self._found.update(state=ends[2], zip=ends[3])
        if ends[4]:
            self._found["country"] = ends[4]
        return ends[1]

    def _place_town(self, piece: str) -> None:
        """Country, postcode, region and city, alone or together: `CO 80014`, `75002 Paris`, `Denver CO 80014 USA`."""
        if fold(piece).strip(".") in COUNTRIES:
            self._found["country"] = piece
            return
        code = ZIP.search(piece)
        if code is None:
            self._place_name(piece)
            return
        self._found["zip"] = code[0]
        before, after = piece[: code.start()].strip(), piece[code.end() :].strip()
        if after and fold(after) in COUNTRIES:
            self._found["country"], after = after, ""
        if before:
            state = re.fullmatch(rf"(?:(.+?)\s+)?{CODES}", before)
            if state:
                self._found["state"] = state[2]
                before = state[1] or ""
        for name in filter(None, (before, after)):
            self._place_name(name)

    def _place_name(self, piece: str) -> None:
        is_region = fold(piece) in REGIONS or re.fullmatch(CODES, piece)
        has_city = bool(self._rest) or "city" in self._found or "city" in self._known
        if is_region and has_city and "state" not in self._found:
            self._found["state"] = piece
        else:
            self._rest.append(piece)

    def _has_two_parts_in_one(self) -> bool:
        """A city with a street or a region in it, or a street with a region: `San Francisco California`."""
        city, street = self._found.get("city", ""), self._found.get("address1", "")
        if any(_WORD_OF_STREET.search(name) for name in (city, self._found.get("state", ""))):
            return True
        has_region = "state" in self._found
        if not has_region and " " in city and _ends_in_region(city):
            return True
        town = _STREET_AND_TOWN.fullmatch(street)
        if town is None or _BEGINS_WITH_STREET.fullmatch(town[1]):
            return False
        return _ends_in_region(town[3]) or (not has_region and fold(city) in REGIONS)

    def _place_rest(self) -> bool:
        """Names without a sign of what they are: city, then region."""
        if any(len(name.split()) > _MAX_PLACE_WORDS or _is_no_place(fold(name)) for name in self._rest):
            return False
        all_known = {**self._known, **self._found}
        free = [part for part in ("city", "state") if part not in all_known]
        if not has_region(self._known.get("country", "")) and "city" in all_known:
            free = []  # nobody asked for a region, so the name may be another city
        is_new = "address1" in self._found and "address1" in self._known
        if is_new or (not free and len(self._found) > 1):  # a whole new address
            free = [part for part in ("city", "state") if part not in self._found]
        if len(self._rest) > len(free):
            return False
        self._found.update(zip(free, self._rest, strict=False))
        return True

    def _place_chinese(self, piece: str) -> None:
        piece = re.sub(r"^(?:是|在|为|改成|改为)\s*", "", piece)
        if fold(piece) in COUNTRIES:
            self._found["country"] = piece
            return
        if country := _CHINA.search(piece):
            self._found["country"], piece = country[0], _CHINA.sub("", piece).strip()
        if code := re.search(r"(?<![\w-])\d{6}(?!\d)|(?<=[\u3400-\u9fff])\d{6}(?!\d)", piece):
            self._found["zip"] = code[0]
            piece = " ".join(f"{piece[: code.start()]} {piece[code.end() :]}".split())
        if region := _REGION_OF_CHINA.match(piece):
            self._found["state"] = region[0] if region[0].endswith(("省", "区")) else f"{region[0]}市"
            if not region[0].endswith(("省", "区")):
                self._found["city"] = f"{region[0]}市"
                piece = piece[region.end() :].removeprefix("市").strip()
            else:
                piece = piece[region.end() :].strip()
        if "city" not in self._found and (city := _CITY_OF_CHINA.match(piece)):
            self._found["city"], piece = city[0], piece[city.end() :].strip()
        if not piece:
            return
        if "address1" in self._found and _UNIT_OF_CHINA.match(piece):
            self._found["address2"] = piece
        elif "address1" not in self._found and re.search(r"[路街道巷弄号村镇区县]|\d", piece):
            self._found["address1"] = piece
        else:
            self._rest.append(piece)
