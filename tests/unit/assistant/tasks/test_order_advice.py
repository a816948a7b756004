import math
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from chatscale_assistant.tasks.order_advice import OrderAdviceInput, advise_orders
from chatscale_assistant.tasks.stock.forecast import forecast_demand, forecast_next
from chatscale_assistant.tasks.stock.parcels import EventKind, judge_parcel
from chatscale_assistant.tasks.stock.reorder import Demand, Supply, plan_reorder

NOW = datetime(2026, 11, 27, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)


def item(**fields):
    defaults = {"item": "a", "stock": 10, "weekly_sales": [7] * 20, "lead_time_days": 7}
    return advise_orders(OrderAdviceInput.model_validate({"items": [defaults | fields]}), NOW).items[0]


def test_computes_safety_stock_and_reorder_point_from_the_published_formula():
    plan = plan_reorder(
        Demand(per_week=70, error_per_week=26.4575),  # 10 a day, variance 100 a day
        Supply(lead_time_days=9, lead_time_sd_days=4, cycle_days=14, pack_size=1, minimum_order=0),
        stock=100,
        incoming=0,
        service_level=0.9772,  # z = 1.999
    )
    # 1.999 * sqrt(9 * 100 + 10^2 * 4^2) = 1.999 * 50
    assert (plan.safety_stock, plan.reorder_point, plan.order_up_to, plan.quantity) == (100, 190, 330, 230)


def test_orders_whole_packs_and_at_least_the_minimum():
    assert item(stock=5, pack_size=12).order_quantity % 12 == 0
    assert item(stock=5, minimum_order=500, pack_size=12).order_quantity == 504


def test_does_not_order_what_is_already_on_its_way():
    assert item(stock=0, incoming=0).order_quantity > 0
    assert item(stock=0, incoming=100).order_quantity == 0


def test_does_not_order_an_item_that_nobody_buys():
    advice = item(weekly_sales=[0] * 10)
    assert (advice.order_quantity, advice.days_of_cover, advice.text) == (0, None, "No sales are expected. No order.")
    assert item(weekly_sales=[]).order_quantity == 0


def test_every_number_of_the_text_is_a_number_of_the_result():
    advice = item(stock=5)
    assert advice.text == (
        f"Stock lasts {advice.days_of_cover:g} days at {advice.demand_per_week:.1f} units a week. "
        f"Order {advice.order_quantity} units: at or below the reorder point of {advice.reorder_point}."
    )


def test_french_text_has_decimal_commas():
    data = {"items": [{"item": "a", "stock": 5, "weekly_sales": [6, 9, 8], "lead_time_days": 7}], "language": "fr"}
    text = advise_orders(OrderAdviceInput.model_validate(data), NOW).items[0].text
    assert "4,5 jours à 7,8 unités" in text


@example(weeks=[5e-324], stock=0.0, lead=1.0, level=0.75)
@example(weeks=[1e-300] * 8, stock=1e6, lead=1.0, level=0.75)
@given(
    weeks=st.lists(st.floats(0, 1e6), max_size=60),
    stock=st.floats(0, 1e6),
    lead=st.floats(0.1, 365),
    level=st.floats(0.51, 0.999),
)
def test_numbers_stay_in_their_ranges(weeks, stock, lead, level):
    data = {
        "items": [{"item": "a", "stock": stock, "weekly_sales": weeks, "lead_time_days": lead}],
        "service_level": level,
    }
    advice = advise_orders(OrderAdviceInput.model_validate(data), NOW).items[0]
    assert advice.order_quantity >= 0
    assert advice.reorder_point >= 0
    assert 0 <= advice.stockout_probability <= 1
    assert advice.days_of_cover is None or math.isfinite(advice.days_of_cover)


@given(weeks=st.lists(st.integers(0, 100), min_size=5, max_size=40), more=st.integers(1, 100))
def test_more_stock_never_orders_more(weeks, more):
    def quantity(stock):
        return item(stock=stock, weekly_sales=weeks).order_quantity

    assert quantity(10 + more) <= quantity(10)


def test_a_single_large_order_does_not_move_the_forecast_far():
    steady = forecast_demand([10] * 20).per_week
    assert forecast_demand([*[10] * 12, 500, *[10] * 7]).per_week == pytest.approx(steady, rel=0.75)
    assert steady == 10


def test_forecasts_many_items_as_it_forecasts_one():
    weeks = np.random.default_rng(3).poisson(4, size=(30, 20)).astype(float)
    together = forecast_next(weeks)
    assert together == pytest.approx([forecast_demand(row.tolist()).per_week for row in weeks])


@pytest.mark.parametrize(
    ("promised", "events", "state", "cause", "hours"),
    [
        pytest.param(NOW - 30 * HOUR, [(NOW - DAY, "in_transit")], "late", "promise_passed", 30, id="promise passed"),
        pytest.param(NOW - HOUR, [(NOW - 4 * DAY, "shipped")], "late", "silence", 1, id="late and silent"),
        pytest.param(NOW + DAY, [(NOW - 4 * DAY, "shipped")], "at_risk", "silence", 0, id="silent"),
        pytest.param(NOW + DAY, [(NOW - HOUR, "exception")], "at_risk", "exception", 0, id="problem"),
        pytest.param(NOW + 2 * HOUR, [], "at_risk", "not_shipped", 0, id="not shipped, due soon"),
        pytest.param(NOW + 5 * DAY, [], "on_time", "none", 0, id="not shipped, not due"),
        pytest.param(NOW - DAY, [(NOW - 2 * DAY, "delivered")], "delivered", "delivery", 0, id="delivered"),
        pytest.param(NOW - DAY, [(NOW - HOUR, "delivered")], "delivered_late", "delivery", 23, id="delivered late"),
        pytest.param(
            NOW - DAY,
            [(NOW + HOUR, "delivered"), (NOW - HOUR, "in_transit")],
            "late",
            "promise_passed",
            24,
            id="events after now do not count",
        ),
    ],
)
def test_judges_parcels_by_promise_and_events(promised, events, state, cause, hours):
    found = judge_parcel(promised, [(at, EventKind(kind)) for at, kind in events], NOW)
    assert (found.state, found.cause, found.late_hours) == (state, cause, hours)


@pytest.mark.parametrize("language", ["en", "fr", "zh"])
def test_explains_every_state_in_every_language(language):
    parcels = [
        {"parcel": "late", "promised": NOW - DAY, "events": [{"at": NOW - 4 * DAY, "kind": "shipped"}]},
        {"parcel": "risk", "promised": NOW + HOUR},
        {"parcel": "fine", "promised": NOW + 9 * DAY},
        {"parcel": "done", "promised": NOW, "events": [{"at": NOW - DAY, "kind": "delivered"}]},
    ]
    data = OrderAdviceInput.model_validate({"parcels": parcels, "language": language})
    texts = [each.text for each in advise_orders(data, NOW).parcels]
    assert len(set(texts)) == 4
    assert all("{" not in text for text in texts)
    assert "24" in texts[0]
