"""The variant that a customer wants instead of an item, in three languages; nothing is guessed."""

import pytest

from chatscale_assistant.conversation import order_items
from chatscale_assistant.conversation.order_items import names_value
from chatscale_assistant.conversation.order_variants import exchanged_items, named_variants


def variant(item_id: str, *, available: bool = True, **options: str) -> dict[str, object]:
    return {"item_id": item_id, "available": available, "price": 10.0, "options": options}


SHIRTS = [
    variant("1", color="black", size="M", material="cotton"),
    variant("2", color="blue", size="M", material="cotton"),
    variant("3", color="black", size="L", material="cotton"),
    variant("4", color="red", size="M", material="cotton", available=False),
    variant("5", color="blue", size="L", material="polyester"),
    variant("6", color="white", size="M", material="cotton"),
]
PRODUCT = {"name": "T-Shirt", "variants": {str(each["item_id"]): each for each in SHIRTS}}
SHIRT = {**SHIRTS[0], "name": "T-Shirt"}
BOTTLE = {**variant("9", color="blue", capacity="1000ml"), "name": "Water Bottle"}


@pytest.mark.parametrize(
    ("texts", "wanted"),
    [
        (["I want to exchange the black T-shirt of order #W1234567 for the blue one"], ["2"]),
        (["exchange the black one for the blue"], ["2"]),
        (["exchange the T-shirt for size L"], ["3"]),
        (["swap my T-Shirt for an L"], ["3"]),
        (["exchange the T-shirt", "the blue one"], ["2"]),
        (["exchange the T-shirt", "size l please"], ["3"]),
        (["exchange the T-shirt for the blue one", "no, white"], ["6"]),
        (["exchange the T-shirt for the red one"], ["4"]),
        (["échanger le T-shirt noir contre le bleu"], ["2"]),
        (["je veux échanger le t-shirt contre une taille L"], ["3"]),
        (["échanger le t-shirt contre la blanche"], ["6"]),
        (["échanger le t-shirt contre le bleu", "en polyester, L"], ["5"]),
        (["我想把黑色的换成蓝色的"], ["2"]),
        (["我要换货，把黑色的换成L码"], ["3"]),
        (["我想把黑色的 T-Shirt 换成白的"], ["6"]),
        (["exchange the T-shirt"], []),
        (["exchange the black T-shirt for the blue L one"], []),
        (["exchange the T-shirt for a purple L"], []),
        (["exchange the T-shirt for size XXL"], []),
        (["exchange the T-shirt, it's the item I ordered in May"], []),
    ],
)
def test_a_variant_is_the_item_with_nothing_else_changed_than_what_is_named(texts, wanted):
    fitting, _ = named_variants(texts[::-1], SHIRT, PRODUCT)

    assert exchanged_items(texts[::-1], [SHIRT, BOTTLE]) == ["1"]
    assert [each["item_id"] for each in fitting] == wanted


def test_the_choices_are_in_stock_and_like_the_item_first():
    _, choices = named_variants(["exchange the T-shirt"], SHIRT, PRODUCT)
    _, blue = named_variants(["exchange the T-shirt for the blue L"], SHIRT, PRODUCT)

    assert [each["item_id"] for each in choices] == ["2", "3", "6", "5"]
    assert [each["item_id"] for each in blue] == ["5"]


def test_a_colour_of_another_item_in_a_later_message_does_not_change_the_item():
    assert exchanged_items(["the blue one", "exchange the T-shirt"], [SHIRT, BOTTLE]) == ["1"]
    assert exchanged_items(["no, the water bottle", "exchange the T-shirt"], [SHIRT, BOTTLE]) == ["9"]
    assert exchanged_items(["exchange something"], [SHIRT, BOTTLE]) == []


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("what I ordered", "red"),
        ("the item's price", "S"),
        ("l'article", "L"),
        ("no thanks", "no"),
        ("my 8 orders", "8"),
        ("换成XL", "L"),
        ("换成18码", "8"),
        ("换成8.5码", "5"),
        ("size 8.5", "8"),
        ("l'Été", "L"),
    ],
)
def test_a_value_within_another_word_is_not_named(text, value):
    assert not names_value(text, value)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("红色L码", "L"),
        ("红色8码", "8"),
        ("换成L", "L"),
        ("换成XL", "XL"),
        ("要size 8", "8"),
        ("换成L的", "L"),
        ("en taille 8", "8"),
    ],
)
def test_a_size_beside_chinese_characters_is_named(text, value):
    assert names_value(text, value)


def test_a_colour_and_a_size_in_chinese_are_both_read():
    shirts = [
        {**variant("1", color="blue", size="M"), "name": "T恤"},
        variant("2", color="red", size="M"),
        variant("3", color="red", size="L"),
    ]
    product = {"name": "T恤", "variants": {str(each["item_id"]): each for each in shirts}}
    fitting, _ = named_variants(["把蓝色T恤换成红色L码"], shirts[0], product)

    assert [each["item_id"] for each in fitting] == ["3"]


REFUSED = [
    "exchange the T-shirt for size L, not red",
    "exchange the T-shirt for the L not the red",
    "exchange the T-shirt for anything but red",
    "exchange the T-shirt for any colour but red",
    "exchange the T-shirt for a size L. I don't want red",
    "exchange the T-shirt for a size L other than red",
    "échanger le T-shirt contre une taille L, pas en rouge",
    "échanger le T-shirt contre une taille L sauf le rouge",
    "je veux échanger le T-shirt contre une taille L, je ne veux plus de rouge",
    "把 T-Shirt 换成L码，不要红色",
    "把 T-Shirt 换成L码，红色的不要",
    "把 T-Shirt 换成除了红色以外的",
    "exchange the T-shirt for a red one, not L",
]


@pytest.mark.parametrize("text", REFUSED)
def test_nothing_fits_if_a_value_is_refused_and_the_customer_chooses(text):
    shirts = [
        variant("1", color="black", size="M"),
        variant("2", color="red", size="M"),
        variant("3", color="red", size="L"),
        variant("4", color="black", size="L"),
        variant("5", color="blue", size="M"),
        variant("6", color="blue", size="L"),
    ]
    product = {"variants": {str(each["item_id"]): each for each in shirts}}
    fitting, choices = named_variants([text], {**shirts[0], "name": "T-Shirt"}, product)
    later, _ = named_variants(["the blue one", text], {**shirts[0], "name": "T-Shirt"}, product)

    assert fitting == []
    assert choices
    assert len(later) == 1
    assert later[0]["item_id"] in {"5", "6"}


def test_a_refused_value_stays_refused_until_it_is_named():
    shirts = [variant("1", color="red", size="M"), variant("2", color="red", size="L")]
    shirts += [variant("3", color="blue", size="L")]
    product = {"variants": {str(each["item_id"]): each for each in shirts}}
    request = "exchange the T-shirt for size L, not red"
    item = {**shirts[0], "name": "T-Shirt"}

    assert named_variants(["size L", request], item, product)[0] == []
    assert named_variants(["exchange the T-shirt for a blue one, not M"], item, product)[0] == []
    assert [each["item_id"] for each in named_variants(["the red L", request], item, product)[0]] == ["2"]
    assert [each["item_id"] for each in named_variants(["the blue L", request], item, product)[0]] == ["3"]


@pytest.mark.parametrize(
    "text",
    [
        "exchange the T-shirt for the blue one instead of the black",
        "exchange the T-shirt for the blue one, not black",
        "把 T-Shirt 换成蓝色，不要黑色",
        "exchange the T-shirt for the blue. Why not the M",
        "exchange the T-shirt, I am not happy with it, for the blue one",
        "no, the blue one",
        "no the blue one",
        "有没有蓝色的",
    ],
)
def test_a_value_of_the_item_may_be_refused(text):
    fitting, _ = named_variants([text], SHIRT, PRODUCT)

    assert [each["item_id"] for each in fitting] == ["2"]


def test_the_work_for_a_product_with_many_variants_is_bounded(monkeypatch):
    calls = 0
    normalise = order_items.normalise

    def counted(text: str) -> str:
        nonlocal calls
        calls += 1
        return normalise(text)

    monkeypatch.setattr(order_items, "normalise", counted)
    item = variant("0", color="colour0", size="M")
    far = [variant(f"far{each}", color=f"shade{each}", size=f"size{each}") for each in range(500)]
    near = [variant(f"near{each}", color=f"colour{each}", size="M") for each in range(1, 100)]
    product = {"variants": {str(each["item_id"]): each for each in (*far, item, *near)}}
    texts = ["colour77", *["colour5 please " * 60] * 9]
    fitting, _ = named_variants(texts, {**item, "name": "T-Shirt"}, product)

    assert [each["item_id"] for each in fitting] == ["near77"]
    assert len(named_variants(["exchange"], item, product)[1]) == 200
    assert calls <= 4 * len(texts)
