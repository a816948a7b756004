"""When an output ends: `ignore_eos`, `min_tokens`, `stop_token_ids`, many stop strings; and how it begins."""

from typing import Any

import openai
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from chatscale_server.settings import Dtype
from tests.unit.chatscale_server.http.scripted_engine import a_client as a_simulated_client
from tests.unit.chatscale_server.http.test_model_answers import HELLO, a_client, smollm2  # noqa: F401 - a fixture
from tests.unit.chatscale_server.tiny_models import END, save_model

ENDING = {str(END): 100}
"""A bias that makes the model choose its end token at once."""
GREEDY: Any = {"model": "m", "prompt": [10, 20, 30], "max_tokens": 8, "temperature": 0}


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return save_model("llama", tmp_path_factory.mktemp("models") / "llama")


async def ended(client: openai.AsyncOpenAI, extra: dict[str, Any], **fields: Any) -> tuple[str, int]:
    """Finish reason and number of tokens."""
    answer = await client.completions.create(**GREEDY | fields, extra_body=extra)
    return answer.choices[0].finish_reason, answer.usage.completion_tokens


async def test_an_output_does_not_end_before_min_tokens(tiny):
    async with a_client(tiny) as client:
        assert await ended(client, {}, logit_bias=ENDING) == ("stop", 1)
        assert await ended(client, {"min_tokens": 5}, logit_bias=ENDING) == ("stop", 6)
        assert await ended(client, {"min_tokens": 8}, logit_bias=ENDING) == ("length", 8)
        sampled = {"temperature": 1.0, "seed": 3, "logit_bias": ENDING}
        assert await ended(client, {"min_tokens": 3}, **sampled) == ("stop", 4)


async def test_min_tokens_change_nothing_in_an_output_that_is_longer(tiny):
    never = {str(END): -100}
    async with a_client(tiny) as client:
        plain = await client.completions.create(**GREEDY, logit_bias=never)
        longer = await client.completions.create(**GREEDY, logit_bias=never, extra_body={"min_tokens": 4})
        assert longer.choices[0].text == plain.choices[0].text


async def test_end_tokens_are_ignored_on_request(tiny):
    async with a_client(tiny) as client:
        assert await ended(client, {"ignore_eos": True}, logit_bias=ENDING) == ("length", 8)


async def test_a_stop_token_ends_the_output_and_has_no_text(tiny):
    letters = {str(token): 60 for token in range(32, 58)}  # A to Z
    asked = GREEDY | {"temperature": 1.5, "seed": 5, "logit_bias": letters}
    async with a_client(tiny) as client:
        text = (await client.completions.create(**asked)).choices[0].text
        at = next(at for at in range(1, len(text)) if text[at] not in text[:at])
        stop = {"stop_token_ids": [32 + ord(text[at]) - ord("A")]}
        stopped = await client.completions.create(**asked, extra_body=stop)
        assert stopped.choices[0].text == text[:at]
        assert (stopped.choices[0].finish_reason, stopped.usage.completion_tokens) == ("stop", at + 1)
        later = await client.completions.create(**asked, extra_body=stop | {"min_tokens": 8})
        assert (later.usage.completion_tokens, text[at] in later.choices[0].text) == (8, False)


async def test_the_model_continues_the_last_message(smollm2):  # noqa: F811 - the fixture
    turns = [*HELLO, {"role": "assistant", "content": "Your order is on"}]
    tokenizer = AutoTokenizer.from_pretrained(smollm2)
    ids = tokenizer.apply_chat_template(
        turns, continue_final_message=True, add_generation_prompt=False, return_tensors="pt", return_dict=True
    )["input_ids"]
    network = AutoModelForCausalLM.from_pretrained(smollm2, dtype=torch.float32)
    expected = network.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=6, do_sample=False)
    async with a_client(smollm2, max_model_len=512, dtype=Dtype.FLOAT32) as client:
        answer = await client.chat.completions.create(
            model="m", messages=turns, max_tokens=6, temperature=0, extra_body={"continue_final_message": True}
        )
        assert answer.usage.prompt_tokens == ids.shape[1]
        assert answer.choices[0].message.content == tokenizer.decode(
            expected[0, ids.shape[1] :], skip_special_tokens=True
        )


async def test_more_than_four_stops_are_honoured():
    async with a_simulated_client() as (client, _server):
        plain = await client.completions.create(model="m", prompt="Once", max_tokens=12)
        word = plain.choices[0].text.split()[5]
        stops = [f"never {at}" for at in range(15)]
        stopped = await client.completions.create(model="m", prompt="Once", max_tokens=12, stop=[*stops, word])
        assert stopped.choices[0].text == plain.choices[0].text.partition(word)[0]
        kept = await client.completions.create(
            model="m", prompt="Once", max_tokens=12, stop=[*stops, word], extra_body={"min_tokens": 12}
        )
        assert kept.choices[0].text == plain.choices[0].text


@pytest.mark.parametrize("path", ["chat", "text"])
async def test_usage_counts_cached_tokens_and_is_null_in_the_other_chunks(path):
    async with a_simulated_client() as (client, server):
        create: Any = client.chat.completions.create if path == "chat" else client.completions.create
        asked: Any = {"messages": HELLO} if path == "chat" else {"prompt": "Where is my order?"}
        first = await create(model="m", max_tokens=3, **asked)
        assert first.usage.prompt_tokens_details.cached_tokens == 0
        again = await create(model="m", max_tokens=3, n=3, **asked)
        cached = again.usage.prompt_tokens_details.cached_tokens
        assert cached == first.usage.prompt_tokens - 1, "once for each prompt, whatever n is"
        stream = await create(model="m", max_tokens=3, stream=True, stream_options={"include_usage": True}, **asked)
        *others, last = [chunk.to_dict() async for chunk in stream]
        assert {chunk["usage"] for chunk in others} == {None}
        assert last["usage"]["prompt_tokens_details"]["cached_tokens"] == cached
        stream = await create(model="m", max_tokens=3, stream=True, **asked)
        assert ["usage" in chunk.to_dict() async for chunk in stream].count(True) == 0
        assert server.bridge.counts.prefix_hits >= 2 * cached
