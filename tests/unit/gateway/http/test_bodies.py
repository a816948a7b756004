"""What the gateway reads from bodies and changes in them."""

import json
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatscale_contract.openai import sse
from chatscale_contract.openai.errors import ApiError
from chatscale_gateway.http.extraction import estimate_prompt_tokens, read_facts, read_prefix
from chatscale_gateway.http.rewriting import rewrite
from chatscale_gateway.http.stream_scanner import StreamScanner
from chatscale_gateway.http.usage import find_usage
from chatscale_gateway.routing.outcomes import Usage

SYSTEM = {"role": "system", "content": "Be brief."}
USER = {"role": "user", "content": "Hello"}


@pytest.mark.parametrize(
    ("body", "tokens"),
    [
        pytest.param({"messages": [{"role": "user", "content": "a" * 40}]}, 14, id="text"),
        pytest.param({"messages": [{"role": "user", "content": "日本"}]}, 6, id="bytes, not characters"),
        pytest.param(
            {"messages": [{"role": "user", "content": [{"text": "a" * 8}, {"image_url": {"url": "x" * 10**6}}]}]},
            1006,
            id="image",
        ),
        pytest.param({"prompt": "a" * 40}, 10, id="prompt"),
        pytest.param({"prompt": ["aaaa", "bbbb"]}, 2, id="prompts"),
        pytest.param({"prompt": [1, 2, 3]}, 3, id="token ids"),
        pytest.param({"input": [[1, 2], [3]]}, 3, id="lists of token ids"),
        pytest.param({"messages": [None, 3, {"content": {}}]}, 12, id="invalid"),
        pytest.param({}, 1, id="nothing"),
    ],
)
def test_estimates_the_tokens_of_a_prompt(body, tokens):
    assert estimate_prompt_tokens(body) == tokens


def test_has_one_prefix_for_a_conversation_and_another_for_another_start():
    first = read_prefix({"messages": [SYSTEM, USER]})
    later = read_prefix({"messages": [SYSTEM, USER, {"role": "assistant", "content": "Hi"}, USER]})
    assert first == later
    assert first != read_prefix({"messages": [SYSTEM, {"role": "user", "content": "Bye"}]})
    assert read_prefix({"prompt": [1, 2]}) == b"1,2"


NAMES = st.sampled_from(["messages", "role", "content", "text", "prompt", "input", "tools"])
LEAVES = st.none() | st.integers() | st.text()


@given(st.recursive(LEAVES, lambda inner: st.lists(inner) | st.dictionaries(NAMES, inner)))
def test_takes_every_shape_of_messages_and_prompts(value):
    for body in (
        {"messages": value},
        {"prompt": value},
        {"messages": [value]},
        value if isinstance(value, dict) else {},
    ):
        assert estimate_prompt_tokens(body) >= 1
        assert isinstance(read_prefix(body), bytes)


@pytest.mark.parametrize("model", [None, "", 3, ["x"]])
def test_refuses_a_body_without_a_model(model):
    with pytest.raises(ApiError, match="model must be a non-empty string") as caught:
        read_facts({"model": model})
    assert caught.value.status == 400


@pytest.mark.parametrize(
    ("fields", "served", "asks", "expected"),
    [
        pytest.param({}, "m", False, None, id="unchanged"),
        pytest.param({}, "m", True, {"stream_options": {"include_usage": True}}, id="usage"),
        pytest.param({}, "other", False, {"model": "other"}, id="name"),
        pytest.param({"stream_options": None}, "m", True, {"stream_options": {"include_usage": True}}, id="null"),
        pytest.param(
            {"stream_options": {"x": 1}}, "m", True, {"stream_options": {"x": 1, "include_usage": True}}, id="options"
        ),
        pytest.param({"stream_options": 3}, "m", True, None, id="invalid options stay"),
        pytest.param({"prompt": "\ud800"}, "other", False, {"model": "other"}, id="half of a pair"),
    ],
)
def test_changes_a_body_only_where_it_must(fields, served, asks, expected):
    body = {"model": "m", **fields}
    raw = json.dumps(body).encode() + b"\n"
    found = rewrite(raw, body, served_name=served, ask_for_usage=asks)
    assert json.loads(found) == {**body, **(expected or {})}
    if expected is None:
        assert found == raw


def event(**fields: object) -> bytes:
    return sse.event({"object": "chat.completion.chunk", **fields})


TEXT = event(choices=[{"delta": {"content": 'say "usage": {} and data: [DONE]'}}])
USAGE = event(choices=[], usage={"prompt_tokens": 9, "completion_tokens": 2, "prompt_tokens_details": None})
LAST = event(choices=[{"delta": {}}], usage={"prompt_tokens": 9, "completion_tokens": 2})


@given(st.lists(st.integers(0, 400)), st.booleans())
def test_reads_a_stream_the_same_however_it_is_cut(cuts, crlf):
    stream = b": waiting\n\n" + TEXT + TEXT + USAGE + sse.DONE
    kept = b": waiting\n\n" + TEXT + TEXT + sse.DONE
    if crlf:
        stream, kept = stream.replace(b"\n", b"\r\n"), kept.replace(b"\n", b"\r\n")
    scanner, out = StreamScanner(drop_usage=True), b""
    bounds = sorted({0, *(min(cut, len(stream)) for cut in cuts), len(stream)})
    for start, end in pairwise(bounds):
        out += scanner.feed(stream[start:end])
    assert out + scanner.rest() == kept
    assert (scanner.usage, scanner.done, scanner.failed, scanner.began) == (Usage(9, 0, 2), True, False, True)


def test_keeps_a_chunk_that_has_more_than_usage():
    scanner = StreamScanner(drop_usage=True)
    assert scanner.feed(LAST) == LAST
    assert scanner.usage == Usage(9, 0, 2)


@pytest.mark.parametrize(
    "events",
    [
        pytest.param([{"response": {"usage": {"input_tokens": 9, "output_tokens": 2}}}], id="/v1/responses"),
        pytest.param(
            [{"message": {"usage": {"input_tokens": 9, "output_tokens": 1}}}, {"usage": {"output_tokens": 2}}],
            id="/v1/messages",
        ),
    ],
)
def test_promise_22_reads_the_usage_of_streams_of_other_apis(events):
    scanner = StreamScanner(drop_usage=False)
    for event in events:
        scanner.feed(sse.event(event))
    assert scanner.usage == Usage(9, 0, 2)


def test_takes_no_text_for_an_end_an_error_or_usage():
    scanner = StreamScanner(drop_usage=True)
    assert scanner.feed(TEXT) == TEXT
    assert (scanner.done, scanner.failed, scanner.usage) == (False, False, None)


def test_sees_an_error_event():
    scanner = StreamScanner(drop_usage=False)
    scanner.feed(sse.event(ApiError(500, "why").body()))
    assert scanner.failed


def test_a_comment_is_no_first_token():
    scanner = StreamScanner(drop_usage=False)
    assert scanner.feed(b": waiting\n\n") == b": waiting\n\n"
    assert not scanner.began


def test_lets_a_giant_event_pass():
    scanner = StreamScanner(drop_usage=False)
    assert scanner.feed(b"data: " + b"x" * 2 * 2**20) != b""


@pytest.mark.parametrize("usage", [None, 3, {"prompt_tokens": -1}, {"prompt_tokens": "9"}, {"prompt_tokens": True}])
def test_takes_no_counts_from_invalid_usage(usage):
    found = find_usage(json.dumps({"choices": [], "usage": usage}).encode())
    assert found in {None, Usage(0, 0, 0)}
