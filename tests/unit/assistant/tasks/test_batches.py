import json

import pytest

from chatscale_assistant.errors import InvalidRequestError
from chatscale_assistant.tasks.registry import TASKS
from chatscale_assistant.tasks.task import MAX_BATCH


async def test_answers_each_input_in_order_and_an_invalid_one_does_not_stop_the_others(context):
    items = await TASKS["sentiment"].run_batch([{"text": "great"}, {"text": ""}, {"text": "bad"}], context)
    assert [item.result.label if item.result else str(item.error)[:15] for item in items] == [
        "positive",
        "sentiment: text",
        "negative",
    ]


async def test_adds_shared_fields_to_each_input_and_an_own_field_wins(context):
    shared = {"language": "fr", "name": "Lampe"}
    items = await TASKS["product-copy"].run_batch([{}, {"language": "en"}], context, shared=shared)
    assert [item.result.description for item in items] == ["Lampe.", "Lampe."]
    items = await TASKS["product-copy"].run_batch([{"category": "Salon"}], context, shared=shared)
    assert items[0].result.description == "Lampe, dans notre rayon Salon."


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        pytest.param("text", 'inputs: expected a list, found "text"', id="text"),
        pytest.param([], f"inputs: expected 1 to {MAX_BATCH} inputs, found 0", id="empty"),
        pytest.param([{}] * (MAX_BATCH + 1), f"inputs: expected 1 to {MAX_BATCH} inputs, found 1001", id="too many"),
    ],
)
async def test_refuses_a_wrong_batch(inputs, message, context):
    with pytest.raises(InvalidRequestError) as caught:
        await TASKS["sentiment"].run_batch(inputs, context)
    assert message in str(caught.value)


def test_every_task_publishes_its_schemas_with_engine_and_evidence():
    assert set(TASKS) == {"sentiment", "review-risk", "recommend", "order-advice", "product-copy", "summarise"}
    for task in TASKS.values():
        schemas = task.schemas()
        json.dumps(schemas, allow_nan=False)
        assert {"engine", "evidence"} <= set(schemas["output"]["required"])
        assert schemas["input"]["additionalProperties"] is False
