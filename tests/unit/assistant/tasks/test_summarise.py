import pytest

from chatscale_assistant.tasks.registry import TASKS
from chatscale_assistant.tasks.summarise import MODEL_ENGINE

CONVERSATION = {
    "kind": "conversation",
    "texts": [
        {"text": "Hello. My lamp arrived broken and I want my money back."},
        {"text": "I am sorry to hear that. Which order is it?", "speaker": "shop"},
        {"text": "Order #W123. It is the second bad lamp."},
    ],
}
REVIEWS = {
    "kind": "reviews",
    "texts": [
        {"text": "Great light. Good price!", "rating": 5},
        {"text": "Good lamp, great colour.", "rating": 4},
        {"text": "Arrived broken. Bad box.", "rating": 1},
        {"text": "质量很好。", "rating": 5},
    ],
}


async def summarise(context, data, **fields):
    return await TASKS["summarise"].run(data | fields, context)


@pytest.mark.parametrize("data", [CONVERSATION, REVIEWS], ids=["conversation", "reviews"])
async def test_every_sentence_is_a_quote_of_its_source(data, context):
    result = await summarise(context, data)
    assert 1 <= len(result.quotes) <= 3
    for quote in result.quotes:
        number = int(quote.source.removeprefix("texts[").removesuffix("]"))
        assert quote.text in data["texts"][number]["text"]
        assert quote.text in result.summary


async def test_keeps_the_order_of_the_texts(context):
    sources = [quote.source for quote in (await summarise(context, CONVERSATION, sentences=5)).quotes]
    assert sources == sorted(sources)


async def test_repeats_no_sentence(context):
    data = {"kind": "reviews", "texts": [{"text": "Good lamp."}] * 30 + [{"text": "Bad box."}]}
    assert [quote.text for quote in (await summarise(context, data)).quotes] == ["Good lamp.", "Bad box."]


async def test_counts_ratings_and_tone_of_reviews(context):
    result = await summarise(context, REVIEWS)
    assert (result.texts, result.mean_rating, result.positive_share) == (4, 3.75, 0.75)
    assert (await summarise(context, CONVERSATION)).positive_share is None


@pytest.mark.parametrize("text", ["a", "。", "🙂", "x" * 20_000, "no end " * 2000])
async def test_summarises_texts_without_sentences(text, context):
    result = await summarise(context, {"kind": "conversation", "texts": [{"text": text}]})
    assert result.quotes[0].text.strip() in text
    assert len(result.quotes[0].text) <= 400


async def test_embeds_a_bounded_number_of_sentences(context):
    data = {"kind": "reviews", "texts": [{"text": f"Sentence {number} is here. " * 30} for number in range(100)]}
    assert len((await summarise(context, data, sentences=20)).quotes) == 20


async def test_uses_the_models_text_only_if_it_passed_the_fact_check(with_model):
    result = await summarise(with_model("The lamp was broken.", ()), CONVERSATION, use_model=True)
    assert (result.engine, result.summary) == (MODEL_ENGINE, "The lamp was broken.")
    result = await summarise(with_model("You get 50 EUR.", ("50 EUR",)), CONVERSATION, use_model=True)
    assert result.rejected == ("50 EUR",)
    assert "broken" in result.summary
