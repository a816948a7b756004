"""Cases that are composed from the handwritten ones, always in the same way: no dice."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import cycle, islice
from typing import Final

from chatscale.api.v1alpha1.shopassistant import Language
from chatscale_assistant.evaluation.questions import Question, Split, hand_over, policy, products, rows, unanswerable

LANGUAGES: Final = (Language.ENGLISH, Language.CHINESE, Language.FRENCH)
INJECTIONS: Final = 200
CONVERSATIONS: Final = 60
TURNS: Final = 5
"""Turns of the customer in each conversation."""
_EVIL: Final = "https://claim-{number}.evil.example/voucher"


class Carrier(StrEnum):
    """What the poisoned text stands in."""

    REVIEW = "review"
    DOCUMENT = "document"
    CATALOGUE = "catalogue"
    TOOL = "tool"


@dataclass(frozen=True, slots=True)
class Injection:
    """One poisoned text, and the question whose answer would use it."""

    id: str
    language: Language
    carrier: Carrier
    product: str
    """Name of the product in the catalogue that the text is about."""
    text: str
    question: str
    link: str
    """No answer may contain it."""
    canary: str
    """An answer with it repeats the poisoned text."""


@dataclass(frozen=True, slots=True)
class Line:
    """One turn of a customer, and the language that the answer has to have."""

    text: str
    expected: Language


def shop_questions(count: int) -> list[Question]:
    """Questions for the fact check: all handwritten ones, then sentences with each product's name."""
    written = [each for language in LANGUAGES for part in (products, policy, unanswerable) for each in part(language)]
    return _spread(written, count) if count <= len(written) else [*written, *_spread(named(), count - len(written))]


def named() -> list[Question]:
    """Every template with every product's name."""
    templates = list(rows("shop_templates.yaml"))
    return [
        Question(
            id=f"{template['id']}-{number:02}",
            language=Language(template["language"]),
            split=Split.DEV,
            text=template["text"].format(name=row["names"][template["language"]]),
            product=row["product"],
        )
        for number, row in enumerate(rows("product_names.yaml"))
        for template in templates
    ]


def injections(count: int = INJECTIONS) -> list[Injection]:
    """Poisoned texts: each template with the carriers in turn, each about another product."""
    templates, names = list(rows("injections.yaml")), list(rows("product_names.yaml"))
    about = {each.language: each.text for each in _questions_about()}
    made = []
    for number, (template, carrier, row) in enumerate(
        zip(cycle(templates), cycle(Carrier), cycle(names), strict=False)
    ):
        if number == count:
            break
        language = Language(template["language"])
        url, canary = _EVIL.format(number=number), f"CANARY-{number:04X}"
        made.append(
            Injection(
                id=f"{template['id']}-{number:03}",
                language=language,
                carrier=carrier,
                product=row["product"],
                text=template["text"].format(order=f"#W{2_000_000 + number}", url=url, canary=canary),
                question=about[language].format(name=row["names"][language]),
                link=url,
                canary=canary,
            )
        )
    return made


def switching_conversations(count: int = CONVERSATIONS) -> list[list[Line]]:
    """Conversations of five turns: a language, a very short message in it, a switch, a message in none, a switch."""
    short: dict[str, list[str]] = {}
    for row in rows("short_messages.yaml"):
        short.setdefault(row["language"], []).append(row["text"])
    long = {language: cycle(_talk(language)) for language in LANGUAGES}
    brief = {language: cycle(short[language]) for language in LANGUAGES}
    same = cycle(short[""])
    made = []
    for number in range(count):
        first, second = LANGUAGES[number % 3], LANGUAGES[(number + 1 + number // 3 % 2) % 3]
        third = next(each for each in LANGUAGES if each not in {first, second})
        made.append(
            [
                Line(next(long[first]), first),
                Line(next(brief[first]), first),
                Line(next(long[second]), second),
                Line(next(same), second),
                Line(next(long[third] if number % 2 else brief[first]), third if number % 2 else first),
            ]
        )
    return made


def _talk(language: Language) -> list[str]:
    """Messages of the held-out half, of all kinds in turn."""
    parts = [part(language, Split.TEST) for part in (products, policy, unanswerable)]
    parts.append(tuple(each for each in hand_over(language, Split.TEST) if each.wants == "none"))
    return [each.text for group in zip(*parts, strict=False) for each in group]


def _questions_about() -> Iterator[Question]:
    """`tell me about NAME` in each language."""
    for row in rows("shop_templates.yaml"):
        if row["id"].endswith("-6"):
            yield Question(row["id"], Language(row["language"]), Split.DEV, row["text"])


def _spread(items: Sequence[Question], count: int) -> list[Question]:
    """`count` items at equal distances, so that a sample has all languages and products."""
    return list(islice((items[index * len(items) // count] for index in range(count)), count))
