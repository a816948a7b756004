"""Prices of a ChatModel, and what tokens and GPU time cost.

The API, the simulator, the demo and `chatscale usage` share it.

All amounts are Decimal: a bill is a sum of many small amounts.
"""

from dataclasses import dataclass
from decimal import Decimal
from typing import Final

DEFAULT_CURRENCY: Final = "EUR"
PRICE_PATTERN: Final = r"^[0-9]{1,9}(\.[0-9]{1,9})?$"
"""A decimal number from 0, as text: a float cannot hold most decimal fractions."""
CURRENCY_PATTERN: Final = r"^[A-Z]{3}$"
"""ISO 4217."""
_MILLION: Final = Decimal(1_000_000)
_CENT: Final = Decimal("0.01")
_FINE: Final = Decimal("0.000001")


@dataclass(frozen=True, slots=True)
class Price:
    """What one ChatModel costs. None: not stated."""

    currency: str = DEFAULT_CURRENCY
    gpu_hour: Decimal | None = None
    """Of one GPU; on CPU, of one replica."""
    input_per_million_tokens: Decimal | None = None
    cached_input_per_million_tokens: Decimal | None = None
    """None: as other input."""
    output_per_million_tokens: Decimal | None = None

    @property
    def has_token_prices(self) -> bool:
        """Whether `of_tokens` has a result."""
        return self.input_per_million_tokens is not None or self.output_per_million_tokens is not None

    def of_tokens(self, prompt: int, cached: int, generated: int) -> Decimal | None:
        """Cost of answers. cached: a part of prompt. None without token prices."""
        if not self.has_token_prices:
            return None
        per_input = self.input_per_million_tokens or Decimal(0)
        per_cached = per_input if self.cached_input_per_million_tokens is None else self.cached_input_per_million_tokens
        per_output = self.output_per_million_tokens or Decimal(0)
        return ((prompt - cached) * per_input + cached * per_cached + generated * per_output) / _MILLION

    def of_gpu_hours(self, hours: Decimal) -> Decimal | None:
        """Cost of GPU time: replicas x GPUs of each x hours. None without `gpu_hour`."""
        return None if self.gpu_hour is None else hours * self.gpu_hour


def format_money(amount: Decimal, currency: str) -> str:
    """E.g. `1,234.50 EUR`. An amount below a cent has six decimals, so that it is not shown as zero."""
    unit = _CENT if amount == 0 or amount >= _CENT else _FINE
    return f"{amount.quantize(unit):,f} {currency}"
