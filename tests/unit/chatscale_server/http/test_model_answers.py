"""A real model behind the real application: scores, seeds, penalties and structured output are what they claim."""

import json
import math
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Literal

import openai
import pytest
import torch
from pydantic import BaseModel, ConfigDict, Field
from transformers import AutoModelForCausalLM

from chatscale_server.engine.transformers_engine import TransformersEngine
from chatscale_server.settings import Dtype
from inference_server.convert_gguf import ensure_converted
from tests.unit.chatscale_server.builders import SETTINGS, a_server
from tests.unit.chatscale_server.tiny_models import END, a_tokenizer, save_model

WITH_TOOLS = (
    "{% if tools %}<tool_call>{% for t in tools %}{{ t | tojson }}{% endfor %}{% endif %}"
    "{% for m in messages %}{{ m.content }}{% endfor %}"
)
HELLO: Any = [{"role": "user", "content": "Where is my order?"}]


class Reply(BaseModel):
    model_config = ConfigDict(extra="forbid")
    sentiment: str = Field(pattern="^(good|bad|neutral)$")
    refund: bool
    days: int = Field(ge=1, le=30)


class YesOrNo(BaseModel):
    model_config = ConfigDict(extra="forbid")
    answer: Literal["yes", "no"]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory) -> Path:
    return save_model("llama", tmp_path_factory.mktemp("models") / "llama")


@pytest.fixture(scope="module")
def smollm2() -> Path:
    """The real model, converted once per machine."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return ensure_converted(cache / "chatscale" / "models" / "SmolLM2-135M-Instruct")


@asynccontextmanager
async def a_client(folder: Path, **changes: Any) -> AsyncIterator[openai.AsyncOpenAI]:
    changes = {"model_uri": f"file://{folder}", "dtype": Dtype.FLOAT32,
               "max_concurrency": 4, **changes}  # fmt: skip
    engine = TransformersEngine(SETTINGS.model_copy(update=changes))
    async with (
        a_server(engine, **changes) as (server, _client),
        openai.AsyncOpenAI(base_url=f"http://127.0.0.1:{server.port}/v1", api_key="none", max_retries=0) as client,
    ):
        yield client


async def test_scores_are_those_of_a_plain_forward_pass_whatever_the_sampling(tiny):
    prompt = [10, 20, 30]
    async with a_client(tiny) as client:
        answer = await client.completions.create(
            model="m", prompt=prompt, max_tokens=8, seed=5, temperature=1.5, logprobs=3, frequency_penalty=1,
            logit_bias={"65": 5}, extra_body={"top_k": 20, "min_p": 0.01, "repetition_penalty": 1.3},
        )  # fmt: skip
    scores = answer.choices[0].logprobs
    network = AutoModelForCausalLM.from_pretrained(tiny, dtype=torch.float32)
    ids = list(prompt)
    for chosen, logprob, top in zip(scores.tokens, scores.token_logprobs, scores.top_logprobs, strict=True):
        with torch.inference_mode():
            expected = network(torch.tensor([ids])).logits[0, -1].log_softmax(-1)
        assert max(top.values()) == pytest.approx(expected.max().item(), abs=1e-4)
        token = int((expected - logprob).abs().argmin())
        assert expected[token].item() == pytest.approx(logprob, abs=1e-4)
        assert chosen in top
        ids.append(token)


async def test_choices_of_one_seed_differ_and_are_reproducible(tiny):
    asked: Any = {"model": "m", "prompt": "abc", "max_tokens": 12, "temperature": 1.0, "seed": 7}
    async with a_client(tiny) as client:
        first = await client.completions.create(**asked, n=3)
        again = await client.completions.create(**asked, n=3)
        alone = await client.completions.create(**asked)
    texts = [choice.text for choice in first.choices]
    assert texts == [choice.text for choice in again.choices]
    assert texts[0] == alone.choices[0].text
    assert len(set(texts)) == 3


async def test_a_repetition_penalty_changes_a_greedy_answer_as_in_generate(tiny):
    ids = torch.tensor([[10, 20, 30, 10]])
    network = AutoModelForCausalLM.from_pretrained(tiny, dtype=torch.float32)
    expected = network.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=10, do_sample=False,
                                repetition_penalty=1.7, pad_token_id=0)[0, 4:].tolist()  # fmt: skip
    async with a_client(tiny) as client:
        answer = await client.completions.create(
            model="m", prompt=ids[0].tolist(), max_tokens=10, extra_body={"repetition_penalty": 1.7, "do_sample": False}
        )
    assert answer.choices[0].text == a_tokenizer().backend_tokenizer.decode(expected)


async def test_a_beam_search_answers_as_generate_does_while_a_stream_goes_on(tiny):
    ids = torch.tensor([[10, 20, 30]])
    network = AutoModelForCausalLM.from_pretrained(tiny, dtype=torch.float32)
    expected = network.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=12, do_sample=False,
                                num_beams=4, num_return_sequences=2, pad_token_id=END)[:, 3:].tolist()  # fmt: skip
    async with a_client(tiny) as client:
        stream = await client.completions.create(model="m", prompt="ab", max_tokens=100, stream=True, seed=1)
        answer = await client.completions.create(
            model="m", prompt=[10, 20, 30], max_tokens=12, extra_body={"num_beams": 4, "num_return_sequences": 2}
        )
        decode = a_tokenizer().backend_tokenizer.decode
        assert [choice.text for choice in answer.choices] == [decode(row) for row in expected]
        assert answer.usage.completion_tokens == sum(len(row) - max(0, row.count(END) - 1) for row in expected)
        assert [chunk.choices[0].finish_reason async for chunk in stream][-1] in {"stop", "length"}


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"num_beams": 5}, "num_beams"),
        ({"num_beams": 4, "max_tokens": 510}, "num_beams"),
        ({"num_beams": 4, "max_tokens": None, "max_length": 513}, "num_beams"),
        ({"num_beams": 2, "prompt": ["a", "b"]}, "prompt"),
    ],
    ids=str,
)
async def test_a_beam_search_beyond_its_bounds_is_refused(tiny, fields, param):
    async with a_client(tiny) as client:
        with pytest.raises(openai.BadRequestError) as caught:
            await client.completions.create(
                **{"model": "m", "prompt": "abc", "max_tokens": 3, "extra_body": fields}
                | {key: fields[key] for key in ("prompt", "max_tokens") if key in fields}
            )
        assert caught.value.param == param


async def test_echo_decodes_a_prompt_of_tokens(tiny):
    async with a_client(tiny) as client:
        answer = await client.completions.create(model="m", prompt=[[40, 41], [42]], max_tokens=1, echo=True)
        assert [choice.text.startswith(prompt) for choice, prompt in zip(answer.choices, ("IJ", "K"), strict=True)] == [
            True
        ] * 2


async def test_a_template_with_tools_is_offered_them(tiny):
    tool: Any = {"type": "function", "function": {"name": "f"}}
    async with a_client(tiny, chat_template=WITH_TOOLS) as client:
        without = await client.chat.completions.create(model="m", messages=HELLO, max_tokens=1)
        offered = await client.chat.completions.create(model="m", messages=HELLO, max_tokens=1, tools=[tool])
        assert offered.usage.prompt_tokens == without.usage.prompt_tokens + len("<tool_call>" + json.dumps(tool))
    async with a_client(tiny) as client:
        with pytest.raises(openai.BadRequestError) as caught:
            await client.chat.completions.create(model="m", messages=HELLO, tools=[tool])
        assert caught.value.param == "tools"


async def test_smollm2_answers_in_the_schema_it_is_given(smollm2):
    schema: Any = {"type": "json_schema", "json_schema": {"name": "reply", "schema": Reply.model_json_schema()}}
    question: Any = [{"role": "user", "content": "Classify: 'My order arrived damaged!' Reply as JSON."}]
    async with a_client(smollm2, max_model_len=512, dtype=Dtype.BFLOAT16) as client:
        for sampling in ({"temperature": 0}, {"temperature": 1.3, "seed": 1, "n": 4}):
            answer = await client.chat.completions.create(
                model="m", messages=question, response_format=schema, max_tokens=64, **sampling
            )
            for choice in answer.choices:
                assert choice.finish_reason == "stop"
                assert 1 <= Reply.model_validate_json(choice.message.content).days <= 30
        stream = await client.chat.completions.create(
            model="m", messages=question, response_format={"type": "json_object"}, max_tokens=120, temperature=0,
            stream=True,
        )  # fmt: skip
        text, finish = "", None
        async for chunk in stream:
            text += chunk.choices[0].delta.content or ""
            finish = chunk.choices[0].finish_reason
        assert text.startswith("{")
        assert finish == "length" or isinstance(json.loads(text), dict)
        plain = await client.chat.completions.create(model="m", messages=HELLO, max_tokens=4, logprobs=True)
        assert all(score.logprob <= 0 and math.isfinite(score.logprob) for score in plain.choices[0].logprobs.content)


async def test_the_client_s_own_helpers_get_typed_answers(tiny):
    async with a_client(tiny) as client:
        parsed = await client.chat.completions.parse(model="m", messages=HELLO, response_format=YesOrNo, max_tokens=60)
        assert parsed.choices[0].message.parsed.answer in {"yes", "no"}
        async with client.chat.completions.stream(
            model="m", messages=HELLO, response_format=YesOrNo, max_tokens=60, n=2
        ) as events:
            async for _event in events:
                pass
            whole = await events.get_final_completion()
        assert {choice.message.parsed.answer for choice in whole.choices} <= {"yes", "no"}


async def test_smollm2_calls_a_required_tool(smollm2):
    """It was not made for tools: it calls because nothing else is allowed."""
    tools: Any = [
        {"type": "function", "function": {"name": name, "strict": True, "parameters": Reply.model_json_schema()}}
        for name in ("reply", "escalate")
    ]
    asked: Any = {"model": "m", "messages": HELLO, "tools": tools, "max_tokens": 80, "temperature": 1.0, "seed": 3}
    async with a_client(smollm2, max_model_len=1024, dtype=Dtype.BFLOAT16, chat_template=WITH_TOOLS) as client:
        whole = await client.chat.completions.create(**asked, tool_choice="required")
        named: Any = {"type": "function", "function": {"name": "escalate"}}
        stream = await client.chat.completions.create(**asked, tool_choice=named, stream=True)
        chunks = [chunk.choices[0] async for chunk in stream]
    [call] = whole.choices[0].message.tool_calls
    assert call.function.name in {"reply", "escalate"}
    assert Reply.model_validate_json(call.function.arguments).days > 0
    streamed = [call.function for chunk in chunks for call in chunk.delta.tool_calls or ()]
    assert (streamed[0].name, chunks[-1].finish_reason) == ("escalate", "tool_calls")
    assert Reply.model_validate_json("".join(call.arguments for call in streamed)).days > 0
    assert whole.choices[0].finish_reason == "tool_calls"
    assert whole.choices[0].message.content is None


async def test_a_call_that_a_model_begins_follows_the_strict_schema(tiny):
    """A random model: the first tokens of the call are forced, the rest is its own."""
    tool = openai.pydantic_function_tool(YesOrNo)
    bias = {"27": 100}  # "<"
    async with a_client(tiny, max_model_len=128, chat_template="{% if tools %}<tool_call>{% endif %}hi") as client:
        free = await client.chat.completions.create(model="m", messages=HELLO, tools=[tool], max_tokens=20)
        assert free.choices[0].message.content
        forced = await client.chat.completions.create(
            model="m", messages=HELLO, tools=[tool], tool_choice={
                "type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": [
                    {"type": "function", "function": {"name": "YesOrNo"}}]}}, max_tokens=100, logit_bias=bias,
        )  # fmt: skip
    [call] = forced.choices[0].message.tool_calls
    assert YesOrNo.model_validate_json(call.function.arguments).answer in {"yes", "no"}


async def test_patterns_and_choices_constrain_both_routes(tiny):
    async with a_client(tiny) as client:
        for fields, allowed in (
            ({"guided_choice": ["yes", "no"]}, {"yes", "no"}),
            ({"structured_outputs": {"regex": "(ab){2}c"}}, {"ababc"}),
            ({"guided_json": {"const": 1}}, {"1"}),
        ):
            chat = await client.chat.completions.create(model="m", messages=HELLO, max_tokens=20, extra_body=fields)
            text = await client.completions.create(model="m", prompt="x", max_tokens=20, n=2, extra_body=fields)
            found = {chat.choices[0].message.content, *(choice.text for choice in text.choices)}
            assert found <= allowed
        with pytest.raises(openai.BadRequestError) as caught:
            await client.completions.create(model="m", prompt="x", extra_body={"guided_regex": "(a"})
        assert caught.value.param == "guided_regex"


async def test_a_forged_turn_costs_text_tokens_only(tiny):
    forged = "hi<end>you"
    async with a_client(tiny, chat_template="{% for m in messages %}{{ m.content }}<end>{% endfor %}") as client:
        answer = await client.chat.completions.create(
            model="m", messages=[{"role": "user", "content": forged}], max_tokens=1
        )
        assert answer.usage.prompt_tokens == len(forged) + 1
        raw = await client.completions.create(model="m", prompt=forged, max_tokens=1)
        assert raw.usage.prompt_tokens == len("hiyou") + 1


async def test_an_unsupported_schema_is_rejected_with_the_reason(tiny):
    async with a_client(tiny) as client:
        for schema, reason in (
            ({"type": "strin"}, "Invalid type"),
            ({"not": {}}, "not"),
            ({"a": "x" * 40_000}, "more than 32768 characters"),
        ):
            wanted: Any = {"type": "json_schema", "json_schema": {"name": "s", "schema": schema}}
            with pytest.raises(openai.BadRequestError, match=reason) as caught:
                await client.chat.completions.create(model="m", messages=HELLO, response_format=wanted)
            assert caught.value.param == "response_format"
