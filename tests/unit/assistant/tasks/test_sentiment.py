import json
from importlib.resources import files

import numpy as np
import pytest

from chatscale_assistant.errors import InvalidRequestError
from chatscale_assistant.tasks.registry import TASKS
from chatscale_assistant.tasks.sentiment import shorten
from chatscale_assistant.tasks.sentiment_head import head_from_json, packaged_head


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("A great lamp", "positive"),
        ("Une lampe mauvaise, mauvais choix", "negative"),
        ("这个坏了", "negative"),
        ("good and bad", "neutral"),
    ],
)
async def test_labels_by_the_probability_of_the_head(text, label, context):
    result = await TASKS["sentiment"].run({"text": text}, context)
    assert (result.label, result.engine) == (label, "test-head on words")
    assert result.evidence[0].value == text


def test_reads_beginning_and_end_of_a_long_text():
    short = shorten("start " + "middle " * 500 + "end")
    assert short.startswith("start")
    assert short.endswith("end")
    assert len(short) < 700


def test_the_packaged_head_names_its_training_sets_and_protocol():
    data = json.loads(files("chatscale_assistant.tasks").joinpath("sentiment_head.json").read_text(encoding="utf-8"))
    assert set(data["provenance"]["held_out_shares"]) == {"zh", "en", "fr"}
    assert all(licence in " ".join(data["provenance"]["sets"]) for licence in ("MIT", "BSD-3-Clause"))
    head = packaged_head()
    assert head.weights.shape == head.centre.shape == (384,)
    assert np.all(np.isfinite(head.weights))
    assert head_from_json(data).bias == head.bias


def test_refuses_vectors_of_another_encoder():
    with pytest.raises(InvalidRequestError, match=r"expected an encoder with 384 dimensions .*, found 512"):
        packaged_head().positive(np.zeros((1, 512), dtype=np.float32))
