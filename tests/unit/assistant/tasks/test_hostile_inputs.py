"""Every task refuses wrong input with field, expectation and found value."""

import pytest

from chatscale_assistant.errors import InvalidRequestError
from chatscale_assistant.tasks.registry import TASKS
from chatscale_assistant.tasks.schema import MAX_BODY_BYTES, parse_body

REVIEW = {"reviewer": "r", "product": "p", "rating": 4}
ITEM = {"item": "a", "stock": 1, "weekly_sales": [1, 2], "lead_time_days": 3}
CSV = "customer,item,date\nann,tea,2026-11-01\n"
SHOP = {"purchases": CSV, "stock": {"tea": 2}}


@pytest.mark.parametrize(
    ("task", "data", "message", "param"),
    [
        pytest.param("sentiment", {"text": ""}, "text: expected", "text", id="empty text"),
        pytest.param("sentiment", {"text": " \n"}, "text: expected", "text", id="blank text"),
        pytest.param("sentiment", {"text": "a" * 20_001}, "at most 20000 characters", "text", id="huge text"),
        pytest.param("sentiment", {"text": 7}, "text: expected a valid string, found 7", "text", id="number as text"),
        pytest.param("sentiment", {"text": "a\ud800b"}, "text: expected a valid string", "text", id="half a character"),
        pytest.param("sentiment", {}, "text: expected a value, found none", "text", id="missing text"),
        pytest.param("sentiment", [], "input: expected an object, found a list of 0", "input", id="list as input"),
        pytest.param(
            "sentiment", {"text": "a", "tone": 1}, "tone: expected no such field, found 1", "tone", id="unknown field"
        ),
        pytest.param("review-risk", {"reviews": []}, "reviews: expected", "reviews", id="no reviews"),
        pytest.param(
            "review-risk",
            {"reviews": [REVIEW | {"rating": float("nan")}]},
            "reviews[0].rating: expected a finite number, found nan",
            "reviews[0].rating",
            id="rating is NaN",
        ),
        pytest.param(
            "review-risk",
            {"reviews": [REVIEW, REVIEW | {"rating": 9}]},
            "reviews[1].rating: expected 1 to 5, found 9.0",
            "reviews[1].rating",
            id="rating outside the scale",
        ),
        pytest.param(
            "review-risk",
            {"reviews": [REVIEW | {"at": "2026-11-01T00:00:00"}]},
            "reviews[0].at: expected",
            "reviews[0].at",
            id="time without zone",
        ),
        pytest.param(
            "order-advice",
            {"items": [ITEM | {"stock": -4}]},
            "items[0].stock: expected greater than or equal to 0, found -4",
            "items[0].stock",
            id="negative stock",
        ),
        pytest.param(
            "order-advice",
            {"items": [ITEM | {"weekly_sales": [1, -1]}]},
            "items[0].weekly_sales[1]: expected greater than or equal to 0, found -1",
            "items[0].weekly_sales[1]",
            id="negative sales",
        ),
        pytest.param(
            "order-advice",
            {"items": [ITEM, ITEM]},
            "items[1]: expected each id once, found 'a' again",
            "items[1]",
            id="the same item twice",
        ),
        pytest.param("order-advice", {}, "expected at least one of items and parcels", "input", id="nothing to advise"),
        pytest.param(
            "order-advice",
            {"items": [ITEM], "service_level": 1.0},
            "service_level: expected less than 1, found 1.0",
            "service_level",
            id="certainty",
        ),
        pytest.param(
            "recommend",
            SHOP | {"purchases": "customer,item,date,colour\na,b,2026-01-01,red\n"},
            'line 1: expected columns of customer, item, date, quantity, order, found "colour"',
            "purchases",
            id="unknown column",
        ),
        pytest.param(
            "recommend",
            SHOP | {"purchases": "customer,item\na,b\n"},
            "line 1: expected a column date, found customer, item",
            "purchases",
            id="missing column",
        ),
        pytest.param(
            "recommend",
            SHOP | {"purchases": CSV + "ann,tea,yesterday\n"},
            'line 3: date: expected a date such as 2026-11-27, found "yesterday"',
            "purchases",
            id="no date",
        ),
        pytest.param(
            "recommend",
            SHOP | {"purchases": CSV + "ann,tea,2027-01-01\n"},
            "line 3: date: expected at most 2026-11-27, found 2027-01-01",
            "purchases",
            id="date in the future",
        ),
        pytest.param(
            "recommend",
            SHOP | {"purchases": "customer,item,date,quantity\nann,tea,2026-11-01,nan\n"},
            'line 2: quantity: expected a number above 0, at most 1000000 (leave returns out), found "nan"',
            "purchases",
            id="quantity is NaN",
        ),
        pytest.param(
            "recommend",
            SHOP | {"purchases": CSV + "ann,tea\n"},
            "line 3: row: expected 3 values, found 2",
            "purchases",
            id="short row",
        ),
        pytest.param(
            "recommend",
            SHOP | {"purchases": ""},
            "line 1: expected a column customer, found none",
            "purchases",
            id="empty file",
        ),
        pytest.param(
            "recommend",
            SHOP | {"purchases": "customer,item,date\n"},
            "expected at least one line after the header, found none",
            "purchases",
            id="only a header",
        ),
        pytest.param(
            "recommend",
            SHOP | {"stock": {"tea": 0}},
            "stock: expected at least one item in stock",
            "stock",
            id="nothing in stock",
        ),
        pytest.param(
            "product-copy",
            {"name": "Lamp", "attributes": {"link": "see https://x.example"}},
            'attributes.link: expected plain text without markup, links and control characters, found "link: see',
            "attributes.link",
            id="a link in a field",
        ),
        pytest.param(
            "product-copy", {"name": "Lamp <b>"}, "name: expected plain text without markup", "name", id="markup"
        ),
        pytest.param("product-copy", {"name": "Lamp\x00"}, "name: expected plain text", "name", id="control character"),
        pytest.param(
            "product-copy",
            {"name": "Lamp", "price": "49.90"},
            'expected price and currency together, found price "49.90" and currency None',
            "input",
            id="price without currency",
        ),
        pytest.param(
            "product-copy",
            {"name": "Lamp", "price": "-1", "currency": "EUR"},
            "price: expected",
            "price",
            id="negative price",
        ),
        pytest.param("summarise", {"kind": "reviews", "texts": []}, "texts: expected", "texts", id="no texts"),
        pytest.param(
            "summarise", {"kind": "novel", "texts": [{"text": "a"}]}, "kind: expected", "kind", id="unknown kind"
        ),
        pytest.param(
            "summarise",
            {"kind": "reviews", "texts": [{"text": "a" * 20_000}] * 26},
            "texts: expected at most 500000 characters together, found 520000",
            "texts",
            id="too much text",
        ),
    ],
)
async def test_names_field_expectation_and_found_value(task, data, message, param, context):
    with pytest.raises(InvalidRequestError) as caught:
        await TASKS[task].run(data, context)
    assert message in str(caught.value)
    assert str(caught.value).startswith(task) or param == "purchases"
    assert caught.value.param == param


async def test_shows_at_most_five_errors_and_a_short_part_of_the_found_value(context):
    data = {"items": [ITEM | {"item": "x" * 300 + str(number)} for number in range(9)]}
    with pytest.raises(InvalidRequestError) as caught:
        await TASKS["order-advice"].run(data, context)
    assert str(caught.value).endswith("and 4 more")
    assert len(str(caught.value)) < 1000


@pytest.mark.parametrize(
    ("body", "message"),
    [
        pytest.param(b'{"stock": NaN}', "body: expected finite numbers, found NaN", id="NaN"),
        pytest.param(b'{"stock": -Infinity}', "body: expected finite numbers, found -Infinity", id="infinity"),
        pytest.param(b'{"a": ', "body: expected JSON in UTF-8", id="cut off"),
        pytest.param(b"\xff\xfe\x00", "body: expected JSON in UTF-8", id="no UTF-8"),
        pytest.param(b"[" * 200_000, "body: expected JSON with moderate nesting", id="deep"),
        pytest.param(b" " * (MAX_BODY_BYTES + 1), f"body: expected at most {MAX_BODY_BYTES} bytes", id="large"),
    ],
)
def test_refuses_a_body_that_is_not_whole_finite_json(body, message):
    with pytest.raises(InvalidRequestError, match=message.replace("(", r"\(")):
        parse_body(body)


@pytest.mark.parametrize("text", ["好 great mauvais", "🙂" * 50, "\u202eabc", "1" * 5000])
async def test_takes_mixed_and_odd_texts(text, context):
    result = await TASKS["sentiment"].run({"text": text}, context)
    assert 0 <= result.positive <= 1
    result.model_dump_json()


@pytest.mark.parametrize(
    ("task", "data", "message"),
    [
        pytest.param(
            "review-risk",
            {"reviews": [REVIEW | {"at": "2026-11-01T00:00:00"}]},
            'review-risk: reviews[0].at: expected a time with a time zone, found "2026-11-01T00:00:00"',
            id="an invalid item is no short list",
        ),
        pytest.param(
            "review-risk",
            {"reviews": []},
            "review-risk: reviews: expected at least 1 item, found a list of 0",
            id="a list",
        ),
        pytest.param(
            "sentiment", {"text": ""}, 'sentiment: text: expected at least 1 character, found ""', id="a text"
        ),
        pytest.param(
            "recommend",
            {"purchases": "customer,item,date", "stock": {}},
            "recommend: stock: expected at least one item in stock, found none of 0",
            id="a rule between fields",
        ),
        pytest.param(
            "product-copy",
            {"name": "Lamp", "price": "1.299,00", "currency": "EUR"},
            r'product-copy: price: expected text that matches ^\d{1,9}(\.\d{1,3})?$, found "1.299,00"',
            id="a pattern",
        ),
    ],
)
async def test_an_error_has_one_line_with_field_expectation_and_found_value(context, task, data, message):
    with pytest.raises(InvalidRequestError) as error:
        await TASKS[task].run(data, context)

    assert str(error.value) == message
    assert error.value.param == message.split(": ")[1]
