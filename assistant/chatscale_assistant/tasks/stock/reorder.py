"""Safety stock, reorder point and order quantity of one item under periodic demand.

Formulas: safety stock z * sqrt(L * s_d^2 + d^2 * s_L^2) and reorder point d * L + safety stock (P. King, "Crack the
code: understanding safety stock and mastering its equations", APICS magazine, July/August 2011; Silver, Pyke and
Peterson, "Inventory Management and Production Planning and Scheduling", 3rd edition, chapter 7).  Orders follow the
(s, S) policy of the same book: at or below the reorder point s, order up to S = s + d * T, where T is the time that one
order should last.
"""

import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import Final

DAYS_A_WEEK: Final = 7.0


@dataclass(frozen=True, slots=True)
class Demand:
    """Expected demand of one item."""

    per_week: float
    error_per_week: float
    """Standard deviation of the weekly forecast's error."""

    @property
    def per_day(self) -> float:
        """Units a day."""
        return self.per_week / DAYS_A_WEEK


@dataclass(frozen=True, slots=True)
class Supply:
    """How an item comes to the shop."""

    lead_time_days: float
    lead_time_sd_days: float
    cycle_days: float
    """Days of demand that one order should cover."""
    pack_size: int
    minimum_order: int


@dataclass(frozen=True, slots=True)
class ReorderPlan:
    """What to order. Units, unless the name says days."""

    safety_stock: int
    reorder_point: int
    order_up_to: int
    quantity: int
    """0: no order now."""
    cover_days: float | None
    """How long stock lasts; None without demand."""
    stockout_probability: float
    """That stock and orders on the way run out before a new order would arrive."""


def plan_reorder(demand: Demand, supply: Supply, *, stock: float, incoming: float, service_level: float) -> ReorderPlan:
    """service_level: probability of no stock-out in one order cycle, above 0.5 and below 1."""
    z = NormalDist().inv_cdf(service_level)
    lead_error = _error(demand, supply, supply.lead_time_days)
    safety = math.ceil(z * lead_error - 1e-9)
    reorder_point = math.ceil(demand.per_day * supply.lead_time_days + z * lead_error - 1e-9)
    up_to = math.ceil(reorder_point + demand.per_day * supply.cycle_days - 1e-9)
    position = stock + incoming
    quantity = 0
    if demand.per_week > 0 and position <= reorder_point:
        quantity = _rounded(max(up_to - position, 1), supply)
    return ReorderPlan(
        safety_stock=safety,
        reorder_point=reorder_point,
        order_up_to=up_to,
        quantity=quantity,
        cover_days=round(stock / demand.per_day, 1) if demand.per_week > 0 else None,
        stockout_probability=_stockout(demand, supply, position, lead_error),
    )


def _error(demand: Demand, supply: Supply, days: float) -> float:
    """Standard deviation of the demand over `days`, with an uncertain lead time."""
    daily_variance = demand.error_per_week**2 / DAYS_A_WEEK
    return math.sqrt(days * daily_variance + (demand.per_day * supply.lead_time_sd_days) ** 2)


def _stockout(demand: Demand, supply: Supply, position: float, error: float) -> float:
    expected = demand.per_day * supply.lead_time_days
    if error <= 0:
        return 1.0 if position < expected else 0.0
    return round(1 - NormalDist(expected, error).cdf(position), 4)


def _rounded(quantity: float, supply: Supply) -> int:
    """Whole packs, at least the minimum order."""
    packs = math.ceil(max(quantity, supply.minimum_order) / supply.pack_size - 1e-9)
    return packs * supply.pack_size
