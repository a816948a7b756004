"""The questions of the evaluation, written by hand, in YAML files beside this module.

Half of each set is held out (`Split.TEST`): nobody tunes on it.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from importlib import resources
from typing import Any

from chatscale.api.v1alpha1.shopassistant import Language


class Split(StrEnum):
    """What a question may be used for."""

    DEV = "dev"
    """Tuning."""
    TEST = "test"
    """Only the reported numbers."""


class Wants(StrEnum):
    """What the writer of a message needs."""

    PERSON = "person"
    """Requests a person."""
    ANGER = "anger"
    """Is so angry that a person has to take over."""
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Question:
    """One message of a customer, and what is right for it."""

    id: str
    language: Language
    split: Split
    text: str
    product: str = ""
    """Name of the product in the catalogue."""
    quotes: tuple[str, ...] = ()
    """Parts of the policy: a passage with any of them answers."""
    wants: Wants = Wants.NONE


def products(language: Language, split: Split | None = None) -> tuple[Question, ...]:
    """Questions for one product."""
    return _questions("products", language, split)


def policy(language: Language, split: Split | None = None) -> tuple[Question, ...]:
    """Questions that the policy answers."""
    return _questions("policy", language, split)


def unanswerable(language: Language, split: Split | None = None) -> tuple[Question, ...]:
    """Questions that neither the policy nor the catalogue answers."""
    return _questions("unanswerable", language, split)


def hand_over(language: Language, split: Split | None = None) -> tuple[Question, ...]:
    """Messages with and without a need for a person."""
    return _questions("hand_over", language, split)


def has_quote(passage: str, quotes: tuple[str, ...]) -> bool:
    """Whether a passage contains one of the quotes, whatever its emphasis and line breaks."""
    text = _plain(passage)
    return any(_plain(quote) in text for quote in quotes)


def rows(name: str) -> Iterator[dict[str, Any]]:
    """The items of a file beside this module, each one line `- {JSON}`."""
    text = resources.files(__name__).joinpath(name).read_text(encoding="utf-8")
    return (json.loads(line[2:]) for line in text.splitlines() if line.startswith("- "))


def _questions(name: str, language: Language, split: Split | None) -> tuple[Question, ...]:
    found = (
        Question(
            id=row["id"],
            language=language,
            split=Split(row["split"]),
            text=row["text"],
            product=row.get("product", ""),
            quotes=tuple(row.get("quotes", ())),
            wants=Wants(row.get("wants", Wants.NONE)),
        )
        for row in rows(f"{name}.{language}.yaml")
    )
    return tuple(each for each in found if split is None or each.split is split)


def _plain(text: str) -> str:
    return " ".join(text.replace("*", "").replace("`", "").split()).casefold()
