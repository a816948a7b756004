"""Task `order-advice`: what to order, how long stock lasts, and which parcels are late. All numbers come from code."""

from datetime import datetime
from typing import Annotated, Final, Self

from pydantic import AwareDatetime, Field, model_validator

from chatscale.api.v1alpha1.shopassistant import Language
from chatscale_assistant.tasks.schema import EvidenceItem, Identifier, LocalisedInput, Share, TaskModel, TaskResult
from chatscale_assistant.tasks.stock.forecast import forecast_demand
from chatscale_assistant.tasks.stock.parcels import EventKind, ParcelCause, ParcelState, judge_parcel
from chatscale_assistant.tasks.stock.reorder import Demand, ReorderPlan, Supply, plan_reorder

ENGINE: Final = "order-advice/1"
MAX_ITEMS: Final = 10_000
MAX_PARCELS: Final = 10_000
MAX_WEEKS: Final = 260
MAX_UNITS: Final = 10_000_000
"""A larger number of units is a mistake in the input."""

Units = Annotated[float, Field(ge=0, le=MAX_UNITS)]


class StockItem(TaskModel):
    """One item of the warehouse."""

    item: Identifier
    stock: Units = Field(description="Units that can be sold now.")
    incoming: Units = Field(default=0, description="Units that are ordered and on their way.")
    weekly_sales: Annotated[tuple[Units, ...], Field(max_length=MAX_WEEKS)] = Field(
        description="Units sold in each of the last complete weeks, oldest first; 0 for a week without a sale."
    )
    lead_time_days: float = Field(gt=0, le=365, description="Days from the order to the arrival, on average.")
    lead_time_sd_days: float = Field(default=0, ge=0, le=365, description="Standard deviation of these days.")
    cycle_days: float = Field(default=14, gt=0, le=365, description="Days of demand that one order should cover.")
    pack_size: int = Field(default=1, ge=1, le=1_000_000, description="Units of one pack.")
    minimum_order: int = Field(default=0, ge=0, le=1_000_000, description="Units that the supplier sells at least.")


class CarrierEvent(TaskModel):
    """What the carrier reported."""

    at: AwareDatetime
    kind: EventKind


class Parcel(TaskModel):
    """One parcel on its way to a customer."""

    parcel: Identifier
    promised: AwareDatetime = Field(description="Until when delivery was promised, with time zone.")
    events: Annotated[tuple[CarrierEvent, ...], Field(max_length=200)] = ()


class OrderAdviceInput(LocalisedInput):
    """Items, parcels, or both."""

    items: Annotated[tuple[StockItem, ...], Field(max_length=MAX_ITEMS)] = ()
    parcels: Annotated[tuple[Parcel, ...], Field(max_length=MAX_PARCELS)] = ()
    service_level: float = Field(
        default=0.95, gt=0.5, lt=1, description="Probability that stock lasts until an order arrives."
    )
    now: AwareDatetime | None = Field(default=None, description="Default: the time of the request.")

    @model_validator(mode="after")
    def _has_something(self) -> Self:
        if not self.items and not self.parcels:
            raise ValueError("expected at least one of items and parcels, found none")
        for name, values in (("items", [each.item for each in self.items]), ("parcels", self.parcel_ids)):
            seen: set[str] = set()
            for number, value in enumerate(values):
                if value in seen:
                    raise ValueError(f"{name}[{number}]: expected each id once, found {value!r} again")
                seen.add(value)
        return self

    @property
    def parcel_ids(self) -> list[str]:
        """Ids of the parcels."""
        return [each.parcel for each in self.parcels]


class ItemAdvice(TaskModel):
    """One item."""

    item: str
    demand_per_week: float = Field(ge=0, description="Forecast of the next week, in units.")
    demand_error: float = Field(ge=0, description="Standard deviation of the forecast's error, in units a week.")
    days_of_cover: float | None = Field(description="How long stock lasts; null without demand.")
    safety_stock: int = Field(ge=0)
    reorder_point: int = Field(ge=0)
    order_quantity: int = Field(ge=0, description="0: no order now.")
    stockout_probability: Share = Field(description="That stock runs out before a new order would arrive.")
    text: str
    evidence: tuple[EvidenceItem, ...]


class ParcelAdvice(TaskModel):
    """One parcel."""

    parcel: str
    state: ParcelState
    cause: ParcelCause
    late_hours: float = Field(ge=0)
    text: str
    evidence: tuple[EvidenceItem, ...]


class OrderAdviceResult(TaskResult):
    """Items and parcels in the order of the input."""

    items: tuple[ItemAdvice, ...]
    parcels: tuple[ParcelAdvice, ...]


def advise_orders(data: OrderAdviceInput, now: datetime) -> OrderAdviceResult:
    """now: the time of the request, used if the input has none."""
    moment = data.now or now
    return OrderAdviceResult(
        engine=ENGINE,
        evidence=(
            EvidenceItem(source="now", value=moment.isoformat()),
            EvidenceItem(source="service_level", value=f"{data.service_level:g}"),
        ),
        items=tuple(_item(data, number) for number in range(len(data.items))),
        parcels=tuple(_parcel(data, number, moment) for number in range(len(data.parcels))),
    )


def _item(data: OrderAdviceInput, number: int) -> ItemAdvice:
    item = data.items[number]
    demand = forecast_demand(item.weekly_sales)
    supply = Supply(
        lead_time_days=item.lead_time_days,
        lead_time_sd_days=item.lead_time_sd_days,
        cycle_days=item.cycle_days,
        pack_size=item.pack_size,
        minimum_order=item.minimum_order,
    )
    plan = plan_reorder(demand, supply, stock=item.stock, incoming=item.incoming, service_level=data.service_level)
    path = f"items[{number}]"
    recent = ", ".join(f"{each:g}" for each in item.weekly_sales[-4:]) or "none"
    return ItemAdvice(
        item=item.item,
        demand_per_week=round(demand.per_week, 2),
        demand_error=round(demand.error_per_week, 2),
        days_of_cover=plan.cover_days,
        safety_stock=plan.safety_stock,
        reorder_point=plan.reorder_point,
        order_quantity=plan.quantity,
        stockout_probability=plan.stockout_probability,
        text=_item_text(data.language, demand, plan),
        evidence=(
            EvidenceItem(source=f"{path}.stock", value=f"{item.stock:g}"),
            EvidenceItem(source=f"{path}.incoming", value=f"{item.incoming:g}"),
            EvidenceItem(source=f"{path}.weekly_sales", value=f"last weeks: {recent}"),
            EvidenceItem(source=f"{path}.lead_time_days", value=f"{item.lead_time_days:g}"),
        ),
    )


def _item_text(language: Language, demand: Demand, plan: ReorderPlan) -> str:
    if plan.cover_days is None:
        return _NO_DEMAND[language]
    texts = _ORDER if plan.quantity else _NO_ORDER
    return texts[language].format(
        days=_decimal(f"{plan.cover_days:g}", language),
        week=_decimal(f"{demand.per_week:.1f}", language),
        point=plan.reorder_point,
        quantity=plan.quantity,
    )


def _decimal(number: str, language: Language) -> str:
    return number.replace(".", ",") if language is Language.FRENCH else number


def _parcel(data: OrderAdviceInput, number: int, now: datetime) -> ParcelAdvice:
    parcel = data.parcels[number]
    found = judge_parcel(parcel.promised, [(each.at, each.kind) for each in parcel.events], now)
    evidence = [EvidenceItem(source=f"parcels[{number}].promised", value=parcel.promised.isoformat())]
    if found.event is not None:
        event = parcel.events[found.event]
        source = f"parcels[{number}].events[{found.event}]"
        evidence.append(EvidenceItem(source=source, value=f"{event.kind.value} {event.at.isoformat()}"))
    text = _STATES[found.state][data.language].format(hours=_decimal(f"{found.late_hours:g}", data.language))
    if found.cause in _CAUSES:
        text += (" " if data.language is not Language.CHINESE else "") + _CAUSES[found.cause][data.language]
    return ParcelAdvice(
        parcel=parcel.parcel,
        state=found.state,
        cause=found.cause,
        late_hours=found.late_hours,
        text=text,
        evidence=tuple(evidence),
    )


_NO_DEMAND: Final = {
    Language.ENGLISH: "No sales are expected. No order.",
    Language.FRENCH: "Aucune vente n'est attendue. Ne pas commander.",
    Language.CHINESE: "预计没有销量。无需订货。",
}
_NO_ORDER: Final = {
    Language.ENGLISH: "Stock lasts {days} days at {week} units a week. No order: above the reorder point of {point}.",
    Language.FRENCH: "Le stock dure {days} jours à {week} unités par semaine. Ne pas commander : au-dessus du point de "
    "commande de {point}.",
    Language.CHINESE: "按每周 {week} 件计算，库存可用 {days} 天。高于再订货点 {point} 件，无需订货。",
}
_ORDER: Final = {
    Language.ENGLISH: "Stock lasts {days} days at {week} units a week. Order {quantity} units: at or below the reorder "
    "point of {point}.",
    Language.FRENCH: "Le stock dure {days} jours à {week} unités par semaine. Commander {quantity} unités : le point "
    "de commande de {point} est atteint.",
    Language.CHINESE: "按每周 {week} 件计算，库存可用 {days} 天。已到再订货点 {point} 件，请订货 {quantity} 件。",
}
_STATES: Final = {
    ParcelState.DELIVERED: {
        Language.ENGLISH: "Delivered on time.",
        Language.FRENCH: "Livré à temps.",
        Language.CHINESE: "已按时送达。",
    },
    ParcelState.DELIVERED_LATE: {
        Language.ENGLISH: "Delivered {hours} hours late.",
        Language.FRENCH: "Livré avec {hours} heures de retard.",
        Language.CHINESE: "已送达，晚了 {hours} 小时。",
    },
    ParcelState.ON_TIME: {
        Language.ENGLISH: "On its way, not late.",
        Language.FRENCH: "En cours, sans retard.",
        Language.CHINESE: "运送中，未延误。",
    },
    ParcelState.AT_RISK: {
        Language.ENGLISH: "May be late.",
        Language.FRENCH: "Risque de retard.",
        Language.CHINESE: "可能延误。",
    },
    ParcelState.LATE: {
        Language.ENGLISH: "{hours} hours late.",
        Language.FRENCH: "{hours} heures de retard.",
        Language.CHINESE: "已延误 {hours} 小时。",
    },
}
_CAUSES: Final = {
    ParcelCause.EXCEPTION: {
        Language.ENGLISH: "The carrier reported a problem.",
        Language.FRENCH: "Le transporteur signale un problème.",
        Language.CHINESE: "承运商报告了异常。",
    },
    ParcelCause.SILENCE: {
        Language.ENGLISH: "The carrier has reported nothing for three days or more.",
        Language.FRENCH: "Le transporteur ne signale rien depuis au moins trois jours.",
        Language.CHINESE: "承运商已有三天以上没有更新。",
    },
    ParcelCause.NOT_SHIPPED: {
        Language.ENGLISH: "It has not been shipped.",
        Language.FRENCH: "Il n'a pas été expédié.",
        Language.CHINESE: "尚未发货。",
    },
}
