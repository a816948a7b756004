"""Bodies that are not valid, or made to be expensive, are a 400 in linear time."""

import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatscale_contract.openai.errors import ApiError
from chatscale_server.http.chat_schema import ChatBody
from chatscale_server.http.schema import MAX_PROMPT_TOKENS, CompletionBody, parse_request
from tests.unit.chatscale_server.http.bodies import HELLO, parse_chat, parse_completion


@pytest.mark.parametrize(
    "body",
    [
        b"", b"{", b"[]", b"null", b'"x"', b"\xff", b'{"model":"m","messages":' + b"[" * 100_000,
        b'{"temperature":NaN}',
        b'{"seed":' + b"9" * 10_000 + b"}", b'{"a":"\\',
        ('{"a":"\\"","b":' + "[" * 9_000).encode("utf-16"),
        b"[" * 33 + b"]" * 33, b'{"a":"' + b"[" * 50 + b'"}', b'{"a":"\\"',
    ],
    ids=lambda body: str(body[:30]),
)  # fmt: skip
def test_anything_but_a_valid_json_object_is_a_400(body):
    with pytest.raises(ApiError) as caught:
        parse_request(ChatBody, body)
    assert caught.value.status == 400


NUMBERS = ",".join("1" * 1_900_000)


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        pytest.param(ChatBody, '{"a":"' + '\\"' * 60_000, id="escaped-quotes-without-an-end"),
        pytest.param(ChatBody, '""' * 2_000_000, id="empty-strings"),
        pytest.param(ChatBody, '"' + "\\" * 4_000_000, id="backslashes"),
        pytest.param(ChatBody, "[]" * 2_000_000, id="brackets"),
        pytest.param(ChatBody, "]" * 4_000_000, id="ends-without-a-beginning"),
        pytest.param(CompletionBody, '{"model":"m","prompt":[' + "{}," * 1_300_000 + "{}]}", id="objects"),
        pytest.param(ChatBody, "{" + ",".join(f'"{at}":1' for at in range(350_000)) + "}", id="members"),
        pytest.param(ChatBody, '{"modalities":[' + NUMBERS + '],"model":"m","messages":[]}', id="modalities"),
        pytest.param(ChatBody, '{"messages":[{"role":"user","content":[' + NUMBERS + "]}]}", id="parts"),
        pytest.param(CompletionBody, '{"model":"m","prompt":["",' + NUMBERS + "]}", id="mixed-prompt"),
        pytest.param(CompletionBody, '{"model":"m","prompt":[' + '"a",' * 1_040_000 + '""]}', id="texts"),
    ],
)
def test_the_cost_of_a_malicious_body_is_linear_in_its_length(kind, body):
    began_s = time.process_time()
    with pytest.raises(ApiError) as caught:
        parse_request(kind, body.encode())
    assert caught.value.status == 400
    assert time.process_time() - began_s < 1, "the loop answers nobody meanwhile; before the bounds it was minutes"


@pytest.mark.parametrize(
    "text",
    ["[" * 100, '"[' * 100, "\\" * 9 + "[" * 100, '\\"' * 100 + "{" * 100, "," * 500_000, "]" * 30_000],
    ids=lambda text: text[:10],
)
def test_brackets_in_strings_do_not_count_as_structure(text):
    assert parse_chat(messages=[{**HELLO, "content": text}]).messages[0].content == text


def test_a_prompt_may_have_as_many_token_ids_as_the_longest_context():
    assert len(parse_completion(prompt=[7] * MAX_PROMPT_TOKENS).prompts[0]) == MAX_PROMPT_TOKENS
    body = b'{"model":"m","prompt":"x","stop":[' + b"1," * 1_100_000 + b"1]}"
    with pytest.raises(ApiError, match="more than 1100000 commas"):
        parse_request(CompletionBody, body)


def test_a_refusal_never_repeats_the_customer_s_text():
    with pytest.raises(ApiError) as caught:
        parse_chat(messages=[{"role": "user", "content": ["my card is 4111"]}])
    assert "4111" not in str(caught.value)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


field_names = st.sampled_from(sorted({*ChatBody.model_fields, *CompletionBody.model_fields}))


@given(fields=st.dictionaries(field_names, json_values, max_size=6), kind=st.sampled_from([ChatBody, CompletionBody]))
def test_no_body_does_worse_than_a_400(fields, kind):
    body = {"model": "m", "messages": [HELLO], "prompt": "x"} | fields
    try:
        request = parse_request(kind, json.dumps({key: body[key] for key in body if key in kind.model_fields}).encode())
        request.sampling(100)
    except ApiError as error:
        status = error.status
    else:
        status = 400
    assert status == 400
