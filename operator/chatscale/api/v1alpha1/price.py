"""What a ChatModel costs: for reports only. Nothing scales by it."""

from decimal import Decimal
from typing import Annotated

from pydantic import Field, StringConstraints

from chatscale.api.v1alpha1.common import ApiModel, CelRule
from chatscale_contract.money import CURRENCY_PATTERN, DEFAULT_CURRENCY, PRICE_PATTERN, Price

MoneyAmount = Annotated[str, StringConstraints(min_length=1, max_length=19, pattern=PRICE_PATTERN)]
"""A decimal number as text: YAML would read a number as a float."""


class PriceSpec(ApiModel):
    """Prices for `chatscale usage`, `chatscale simulate` and the demo."""

    cel_rules = (
        CelRule(
            "has(self.gpuHour) || has(self.inputPerMillionTokens) || has(self.outputPerMillionTokens)",
            "spec.price needs gpuHour, inputPerMillionTokens or outputPerMillionTokens",
        ),
        CelRule(
            "!has(self.cachedInputPerMillionTokens) || has(self.inputPerMillionTokens)",
            "spec.price.cachedInputPerMillionTokens needs inputPerMillionTokens",
        ),
    )

    currency: Annotated[str, StringConstraints(min_length=3, max_length=3, pattern=CURRENCY_PATTERN)] = Field(
        default=DEFAULT_CURRENCY, description="ISO 4217 code of the currency, such as EUR or USD."
    )
    gpu_hour: MoneyAmount | None = Field(
        default=None,
        description='Price of one GPU for one hour, as a string such as "2.49"; with device CPU, of one replica.',
    )
    input_per_million_tokens: MoneyAmount | None = Field(
        default=None, description="Price of a million prompt tokens, as a string."
    )
    cached_input_per_million_tokens: MoneyAmount | None = Field(
        default=None,
        description="Price of a million prompt tokens that a replica found in its prefix cache. Defaults to "
        "inputPerMillionTokens.",
    )
    output_per_million_tokens: MoneyAmount | None = Field(
        default=None, description="Price of a million generated tokens, as a string."
    )

    def as_price(self) -> Price:
        """The amounts as numbers."""
        return Price(
            currency=self.currency,
            gpu_hour=_decimal(self.gpu_hour),
            input_per_million_tokens=_decimal(self.input_per_million_tokens),
            cached_input_per_million_tokens=_decimal(self.cached_input_per_million_tokens),
            output_per_million_tokens=_decimal(self.output_per_million_tokens),
        )


def _decimal(text: str | None) -> Decimal | None:
    return None if text is None else Decimal(text)
