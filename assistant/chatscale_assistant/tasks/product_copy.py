"""Task `product-copy`: title, bullets and description of a product, with nothing that is not in its fields.

The text comes from templates.  A chat model may write the description instead, if its text passes the fact check
against the fields; otherwise the template stands.
"""

import re
import unicodedata
from collections.abc import Mapping
from decimal import Decimal
from typing import Annotated, Final, Self

from pydantic import Field, StringConstraints, model_validator

from chatscale.api.v1alpha1.shopassistant import Language
from chatscale_assistant.tasks.copy_wording import (
    ASSORTMENT,
    ATTRIBUTE_NAMES,
    BRAND,
    CATEGORY,
    COLON,
    FEATURES,
    OPTIONS,
    PRICE,
    SYSTEM_PROMPT,
    join_words,
)
from chatscale_assistant.tasks.schema import EvidenceItem, LocalisedInput, TaskResult, shown
from chatscale_assistant.tasks.task import TaskContext

TEMPLATE_ENGINE: Final = "template/1"
MODEL_ENGINE: Final = "model, checked against the fields"
MAX_ATTRIBUTES: Final = 50
MAX_OPTIONS: Final = 50
MAX_TOKENS: Final = 300
MAX_DESCRIPTION: Final = 1500

_MARKUP: Final = re.compile(r"[<>{}\[\]\\`|]|https?://|www\.", re.IGNORECASE)
_AMOUNT: Final = re.compile(r"^\d{1,9}(\.\d{1,3})?$")

Word = Annotated[str, StringConstraints(min_length=1, max_length=200, strip_whitespace=True)]
Amount = Annotated[str, StringConstraints(max_length=13, pattern=_AMOUNT.pattern)]
Currency = Annotated[str, StringConstraints(pattern=r"^[A-Z]{3}$")]


class ProductCopyInput(LocalisedInput):
    """Fields of one product of the catalogue. Values appear as they are: they are not translated."""

    name: Word
    brand: Word | None = None
    category: Word | None = None
    price: Amount | None = Field(default=None, description="Amount with a point, such as 49.90.")
    currency: Currency | None = Field(default=None, description="ISO 4217, such as EUR.")
    attributes: Annotated[dict[Word, Word], Field(max_length=MAX_ATTRIBUTES)] = Field(
        default_factory=dict, description="Such as material: cotton."
    )
    options: Annotated[
        dict[Word, Annotated[tuple[Word, ...], Field(min_length=1, max_length=MAX_OPTIONS)]],
        Field(max_length=MAX_OPTIONS),
    ] = Field(default_factory=dict, description="What customers choose from, such as colour: red, blue.")
    use_model: bool = Field(default=False, description="Let the chat model write the description, if there is one.")

    @model_validator(mode="after")
    def _plain_fields(self) -> Self:
        if (self.price is None) != (self.currency is None):
            raise ValueError(
                f"expected price and currency together, found price {shown(self.price)} and currency "
                f"{shown(self.currency)}"
            )
        for path, value in _texts(self):
            if _MARKUP.search(value) or any(unicodedata.category(each) in ("Cc", "Cs", "Co") for each in value):
                raise ValueError(
                    f"{path}: expected plain text without markup, links and control characters, found {shown(value)}"
                )
        return self


class ProductCopyResult(TaskResult):
    """Text for a shop's page."""

    title: str
    bullets: tuple[str, ...]
    description: str
    rejected: tuple[str, ...] = Field(
        default=(), description="Why the chat model's text was not used, if it was requested."
    )


def compose_copy(data: ProductCopyInput) -> ProductCopyResult:
    """The text from templates alone."""
    language = data.language
    title = data.name if not data.brand or _contains(data.name, data.brand) else f"{data.brand} {data.name}"
    sentences = [_opening(data)]
    bullets = []
    if data.attributes:
        named = [f"{_attribute(name, language)}{COLON[language]}{value}" for name, value in data.attributes.items()]
        bullets += named
        sentences.append(FEATURES[language].format(features=join_words(named, language, clauses=True)))
    for name, values in data.options.items():
        line = f"{_attribute(name, language)}{COLON[language]}{join_words(list(values), language)}"
        bullets.append(line)
        sentences.append(OPTIONS[language].format(option=line))
    if data.price is not None and data.currency is not None:
        price = PRICE[language].format(price=_price(data.price, language), currency=data.currency)
        bullets.append(price.rstrip(".。"))
        sentences.append(price)
    return ProductCopyResult(
        engine=TEMPLATE_ENGINE,
        evidence=tuple(EvidenceItem(source=path, value=value) for path, value in _texts(data)),
        title=title,
        bullets=tuple(_capital(each) for each in bullets),
        description=("" if language is Language.CHINESE else " ").join(sentences),
    )


async def write_copy(data: ProductCopyInput, context: TaskContext) -> ProductCopyResult:
    """The text from templates, with the chat model's description if it was requested and passed the fact check."""
    composed = compose_copy(data)
    if not data.use_model:
        return composed
    if context.model is None or context.check is None:
        return composed.model_copy(update={"rejected": ("there is no chat model with a fact check",)})
    fields = "\n".join(f"{path}: {value}" for path, value in _texts(data))
    text = await context.model.write(
        SYSTEM_PROMPT[data.language], fields, max_tokens=MAX_TOKENS, timeout_s=context.model_timeout_s
    )
    if text is None or not text.strip():
        return composed.model_copy(update={"rejected": ("the chat model did not answer in time",)})
    plain = " ".join(text.split())
    problems = list(context.check(plain, (fields, composed.description), data.language))
    if len(plain) > MAX_DESCRIPTION:
        problems.append(f"expected at most {MAX_DESCRIPTION} characters, found {len(plain)}")
    if _MARKUP.search(plain):
        problems.append("expected plain text without markup and links")
    if problems:
        return composed.model_copy(update={"rejected": tuple(problems)})
    return composed.model_copy(update={"description": plain, "engine": MODEL_ENGINE})


def _texts(data: ProductCopyInput) -> list[tuple[str, str]]:
    """All texts of the fields with their paths. Names of attributes and options count: they appear too."""
    texts = [("name", data.name)]
    single: Mapping[str, str | None] = {
        "brand": data.brand,
        "category": data.category,
        "price": data.price,
        "currency": data.currency,
    }
    texts += [(path, value) for path, value in single.items() if value is not None]
    for name, value in data.attributes.items():
        texts.append((f"attributes.{shown_path(name)}", f"{name}: {value}"))
    for name, values in data.options.items():
        texts.append((f"options.{shown_path(name)}", f"{name}: {', '.join(values)}"))
    return texts


def shown_path(name: str) -> str:
    """A field's name for a path."""
    return name.replace(" ", "_")


def _opening(data: ProductCopyInput) -> str:
    language = data.language
    text = data.name
    if data.brand and not _contains(data.name, data.brand):
        text = BRAND[language].format(name=data.name, brand=data.brand)
    template = CATEGORY if data.category else ASSORTMENT
    return template[language].format(name=text, category=data.category or "")


def _contains(text: str, part: str) -> bool:
    return part.casefold() in text.casefold()


def _attribute(name: str, language: Language) -> str:
    found = ATTRIBUTE_NAMES.get(name.casefold().strip())
    return found[language] if found else name


def _price(amount: str, language: Language) -> str:
    """The same digits in the language's form: 1234.50 -> 1,234.50, 1 234,50, 1,234.50."""
    text = f"{Decimal(amount):,}"
    if language is Language.FRENCH:
        return text.replace(",", "\u202f").replace(".", ",")
    return text


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
