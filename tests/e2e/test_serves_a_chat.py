"""Promise: an applied ChatModel answers customers through the OpenAI API, with a real model behind it."""

import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import openai
import pytest

from hack import kube
from tests.e2e.support import Model, chatmodel

QUESTION = "My order arrived damaged. What should I do?"


@pytest.fixture(scope="module")
def model(images: dict[str, str]) -> Iterator[Model]:
    namespace = "e2e-serves-a-chat"
    kube.kubectl("delete", "namespace", namespace, "--ignore-not-found", "--timeout=90s", timeout_s=100)
    kube.kubectl("create", "namespace", namespace)
    served = Model(
        chatmodel(
            "assistant",
            namespace,
            model={"uri": "file:///models/SmolLM2-135M-Instruct"},
            server={"image": images["server-smollm2"], "maxConcurrency": 4, "maxModelLen": 1024, "dtype": "float32"},
            resources={"requests": {"cpu": "200m", "memory": "1Gi"}, "limits": {"cpu": "2", "memory": "3Gi"}},
        )
    )
    served.apply()
    served.wait_ready(1, within_s=240)
    yield served
    kube.delete_namespace(namespace)


@pytest.fixture(scope="module")
def client(model: Model) -> openai.OpenAI:
    return openai.OpenAI(base_url=model.expose() + "/v1", api_key="unused", max_retries=0, timeout=120)


def test_serves_a_chat(client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(
        model="assistant", messages=[{"role": "user", "content": QUESTION}], max_tokens=40, temperature=0
    )

    assert answer.model == "assistant"
    assert answer.choices[0].finish_reason in {"stop", "length"}
    assert len((answer.choices[0].message.content or "").split()) > 5
    assert answer.usage is not None
    assert 0 < answer.usage.completion_tokens <= 40


def test_streams_the_same_chat(client: openai.OpenAI) -> None:
    fields: dict[str, Any] = {
        "model": "assistant",
        "messages": [{"role": "user", "content": QUESTION}],
        "max_tokens": 24,
        "temperature": 0,
    }
    whole = client.chat.completions.create(**fields).choices[0].message.content

    chunks = list(client.chat.completions.create(**fields, stream=True, stream_options={"include_usage": True}))

    assert "".join(c.choices[0].delta.content or "" for c in chunks if c.choices) == whole
    assert chunks[-1].usage is not None
    assert sum(bool(c.choices and c.choices[0].delta.content) for c in chunks) > 3, "tokens arrive one by one"


def test_lists_the_model(client: openai.OpenAI) -> None:
    assert [found.id for found in client.models.list()] == ["assistant"]


def test_refuses_bad_requests_in_the_openai_shape(client: openai.OpenAI, model: Model) -> None:
    messages: Any = [{"role": "user", "content": QUESTION}]
    with pytest.raises(openai.NotFoundError) as unknown:
        client.chat.completions.create(model="no-such-model", messages=messages)
    assert "no-such-model" in str(unknown.value)

    with pytest.raises(openai.BadRequestError) as too_long:
        client.chat.completions.create(model="assistant", messages=[{"role": "user", "content": "word " * 3000}])
    assert too_long.value.code == "context_length_exceeded"

    request = urllib.request.Request(model.expose() + "/v1/chat/completions", data=b"{not json")
    with pytest.raises(urllib.error.HTTPError) as malformed:
        urllib.request.urlopen(request, timeout=10)
    with malformed.value as response:
        assert response.code == 400
        assert json.load(response)["error"]["type"] == "invalid_request_error"
