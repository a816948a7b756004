from datetime import date

import numpy as np
import pytest

from chatscale_assistant.tasks.baskets.ease import fit_ease
from chatscale_assistant.tasks.baskets.fits import KEPT_FITS, Fits
from chatscale_assistant.tasks.registry import TASKS

PAIRS = [("tea", "milk"), ("bread", "jam"), ("pen", "paper")]


def shop_csv():
    """40 customers: each buys both items of one pair; customer 0 buys tea only, three times."""
    lines = ["customer,item,date"]
    for customer in range(1, 40):
        lines += [f"c{customer},{item},2026-10-{1 + customer % 28:02d}" for item in PAIRS[customer % 3]]
    lines += [f"c0,tea,2026-11-0{day}" for day in (1, 3, 5)]
    return "\n".join(lines)


ALL_ITEMS = {item: 5 for pair in PAIRS for item in pair}


async def recommend(context, **fields):
    data = {"purchases": shop_csv(), "stock": ALL_ITEMS} | fields
    return (await TASKS["recommend"].run(data, context)).recommendations


async def test_offers_what_goes_with_own_purchases_and_says_so(context):
    best = (await recommend(context, customer="c0", new_only=True))[0]
    assert (best.item, best.basis, best.text) == (
        "milk",
        "bought_with",
        "Often bought by customers who buy tea.",
    )
    assert [item.value for item in best.evidence] == ["tea"]


async def test_offers_what_the_customer_buys_again(context):
    best = (await recommend(context, customer="c0"))[0]
    assert (best.item, best.text) == ("tea", "Bought before: 3 times, last on 2026-11-05.")


async def test_completes_a_basket_without_repeating_it(context):
    found = await recommend(context, basket=["bread"])
    assert found[0].item == "jam"
    assert "bread" not in [each.item for each in found]


@pytest.mark.parametrize("stock", [{"jam": 1}, {"jam": 3, "milk": 0, "tea": 0.5}])
async def test_offers_only_what_is_in_stock(stock, context):
    assert [each.item for each in await recommend(context, customer="c0", stock=stock)] == ["jam"]


async def test_offers_popular_items_to_an_unknown_customer_then_new_ones(context):
    found = await recommend(context, customer="stranger", stock=ALL_ITEMS | {"lamp": 1}, limit=10)
    assert {each.basis for each in found[:6]} == {"popular"}
    assert (found[-1].item, found[-1].basis) == ("lamp", "new_in_shop")
    assert [each.score for each in found] == sorted((each.score for each in found), reverse=True)


async def test_new_only_never_offers_what_the_customer_bought(context):
    for number in range(40):
        bought = {"tea"} if number == 0 else set(PAIRS[number % 3])
        found = await recommend(context, customer=f"c{number}", new_only=True)
        assert not bought & {each.item for each in found}


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("fr", "Souvent acheté par les clients qui achètent tea."),
        ("zh", "购买tea的顾客也常买。"),
    ],
)
async def test_explains_in_the_language_of_the_request(language, text, context):
    assert (await recommend(context, customer="c0", new_only=True, language=language))[0].text == text


async def test_a_shop_with_few_customers_gets_popular_items(context):
    found = await recommend(context, purchases="customer,item,date\nann,tea,2026-11-01\n", basket=["tea"])
    assert {each.basis for each in found} == {"new_in_shop"}


async def test_takes_times_with_zones_and_a_byte_order_mark(context):
    csv = "\ufeffcustomer,item,date,quantity,order\nann,tea,2026-11-27T23:30:00-05:00,2,o1\n"
    with pytest.raises(Exception, match="at most 2026-11-27, found 2026-11-28"):
        await recommend(context, purchases=csv)
    csv = csv.replace("-05:00", "+05:00")
    assert (await recommend(context, purchases=csv, customer="ann"))[0].item == "tea"


@pytest.mark.parametrize("shape", [(30, 20), (15, 20)], ids=["more customers", "more items"])
def test_fits_the_same_model_from_either_side(shape):
    rng = np.random.default_rng(1)
    bought = (rng.random(shape) < 0.3).astype(np.float32)
    inverse = np.linalg.inv(bought.T @ bought + 5 * np.eye(shape[1]))
    weights = -inverse / np.diag(inverse)
    np.fill_diagonal(weights, 0)
    model = fit_ease(*np.nonzero(bought), shape, 5.0)
    assert model.scores(bought) == pytest.approx(bought @ weights, abs=1e-5)
    sources = np.asarray([1, 4, 7])
    assert model.weights(sources, 4) == pytest.approx(weights[sources, 4], abs=1e-5)


def test_fits_a_shop_once_and_keeps_few():
    fits = Fits()
    day = date(2026, 11, 27)
    csv = shop_csv()
    first = fits.get(csv, day)
    assert fits.get(csv, day) is first
    for number in range(KEPT_FITS):
        fits.get(csv + f"\nnew{number},tea,2026-11-01", day)
    assert fits.get(csv, day) is not first
