import pytest

from chatscale_assistant.tasks.product_copy import MODEL_ENGINE, TEMPLATE_ENGINE
from chatscale_assistant.tasks.registry import TASKS

LAMP = {
    "name": "Desk Lamp",
    "brand": "Lumo",
    "category": "Lighting",
    "price": "1349.90",
    "currency": "EUR",
    "attributes": {"Material": "steel", "Dimmer": "3 steps"},
    "options": {"color": ["red", "blue", "black"]},
}


async def compose(context, **fields):
    return await TASKS["product-copy"].run(LAMP | fields, context)


async def test_writes_english_from_the_fields(context):
    result = await compose(context)
    assert result.title == "Lumo Desk Lamp"
    assert result.bullets == ("Material: steel", "Dimmer: 3 steps", "Colour: red, blue or black", "Price: 1,349.90 EUR")
    assert result.description == (
        "Desk Lamp by Lumo, in our Lighting range. Details: material: steel; Dimmer: 3 steps. "
        "Choose your colour: red, blue or black. Price: 1,349.90 EUR."
    )


async def test_writes_french_with_the_numbers_of_french(context):
    result = await compose(context, language="fr")
    assert result.bullets[-1] == "Prix : 1\u202f349,90 EUR"
    assert result.description.startswith("Desk Lamp de Lumo, dans notre rayon Lighting. Caractéristiques : matière")


async def test_writes_chinese_without_spaces_between_sentences(context):
    result = await compose(context, language="zh")
    assert result.description.startswith("Lumo的Desk Lamp，属于Lighting系列。商品详情：材质：steel")
    assert result.bullets[2] == "颜色：red、blue或black"


@pytest.mark.parametrize("language", ["en", "fr", "zh"])
async def test_a_product_with_a_name_alone_gets_no_other_claim(language, context):
    result = await TASKS["product-copy"].run({"name": "Lamp", "language": language}, context)
    assert (result.title, result.bullets, result.description.rstrip(".。")) == ("Lamp", (), "Lamp")


async def test_does_not_repeat_a_brand_that_the_name_has(context):
    assert (await compose(context, name="LUMO Desk Lamp")).title == "LUMO Desk Lamp"


async def test_every_evidence_is_a_field(context):
    result = await compose(context)
    assert {item.source for item in result.evidence} == {
        "name",
        "brand",
        "category",
        "price",
        "currency",
        "attributes.Material",
        "attributes.Dimmer",
        "options.color",
    }


async def test_takes_the_models_text_if_it_passed_the_fact_check(with_model):
    result = await compose(with_model("A steel desk lamp by Lumo.", ()), use_model=True)
    assert (result.engine, result.description, result.rejected) == (MODEL_ENGINE, "A steel desk lamp by Lumo.", ())


@pytest.mark.parametrize(
    ("text", "problems", "reason"),
    [
        pytest.param("It lasts 50 years.", ("50 years: in no field",), "50 years: in no field", id="unsupported"),
        pytest.param("See https://x.example", (), "expected plain text without markup and links", id="link"),
        pytest.param("word " * 400, (), "expected at most 1500 characters, found 1999", id="long"),
        pytest.param("  ", (), "the chat model did not answer in time", id="empty"),
        pytest.param(None, (), "there is no chat model with a fact check", id="no model"),
        pytest.param("Lamp.", None, "there is no chat model with a fact check", id="no check"),
    ],
)
async def test_keeps_the_template_if_the_models_text_cannot_be_used(text, problems, reason, with_model):
    result = await compose(with_model(text, problems), use_model=True)
    assert (result.engine, result.rejected) == (TEMPLATE_ENGINE, (reason,))
    assert result.description.startswith("Desk Lamp by Lumo")


async def test_does_not_call_the_model_unless_requested(with_model):
    context = with_model("Anything.", ())
    await compose(context)
    assert context.model.users == []
