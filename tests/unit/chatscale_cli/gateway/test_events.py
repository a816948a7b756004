"""The stream of an answer as events."""

import json
from typing import Any

import pytest

from chatscale_cli.errors import GatewayError, KeyRefusedError
from chatscale_cli.gateway import events
from chatscale_cli.gateway.events import Finished, StreamReader, Text, Waiting
from chatscale_contract.openai import sse


def a_chunk(reason: str | None = None, index: int = 0, **delta: Any) -> bytes:
    return sse.event({"choices": [{"index": index, "delta": delta, "finish_reason": reason}]})


STREAM = (
    sse.comment("waiting for a replica")
    + a_chunk(role="assistant", content="")
    + a_chunk(reasoning_content="hm")
    + a_chunk(content="é", index=1)
    + a_chunk("length", index=1)
    + sse.event({"choices": [], "usage": {}})
    + sse.DONE
)


@pytest.mark.parametrize("size", [1, 7, len(STREAM)])
def test_reads_a_stream_in_parts_of_any_size(size: int):
    reader = StreamReader()
    found = [event for at in range(0, len(STREAM), size) for event in reader.feed(STREAM[at : at + size])]
    expected = [Waiting(), Text(0, "hm", reasoning=True), Text(1, "é"), Finished(1, "length")]
    assert [found[0], *found[-3:]] == expected
    assert reader.done


def test_empty_events_and_choices_that_are_no_list_are_nothing():
    assert list(StreamReader().feed(b'data:\n\ndata: {"choices": 3}\n\n')) == []


def test_an_empty_delta_is_a_keep_alive():
    assert list(StreamReader().feed(a_chunk())) == [Waiting()]


def test_reads_an_answer_that_is_not_streamed():
    choices = [{"index": at, "message": {"content": text}, "finish_reason": "stop"} for at, text in enumerate("ab")]
    assert list(events.read_chunk({"choices": choices})) == [
        Text(0, "a"), Finished(0, "stop"), Text(1, "b"), Finished(1, "stop"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param(b"data: {\n", "not JSON", id="json"),
        pytest.param(b"data: [1]\n", "no object", id="object"),
        pytest.param(b'data: {"error": {"message": "replica\\u001b failed"}}\n', "replica\u241b failed", id="error"),
        pytest.param(b"data: " + b"[" * 100_000 + b"\n", "not JSON", id="deep"),
    ],
)
def test_refuses_what_is_no_chunk(content: bytes, message: str):
    with pytest.raises(GatewayError, match=message):
        list(StreamReader().feed(content))


@pytest.mark.parametrize("choice", [None, 3, {}, {"delta": 5}, {"delta": {"content": 5}, "index": "x"}])
def test_ignores_choices_of_another_form(choice: Any):
    assert not [event for event in events.read_chunk({"choices": [choice]}) if isinstance(event, Text)]


def test_a_line_without_an_end_does_not_fill_the_memory(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(events, "MAX_LINE_BYTES", 10)
    with pytest.raises(GatewayError, match="10 bytes"):
        list(StreamReader().feed(b"data: " + b"x" * 10))


def test_an_error_event_about_the_key_is_one_about_the_key():
    event = {"error": {"message": "the API key is not valid", "code": "invalid_api_key"}}
    with pytest.raises(KeyRefusedError):
        list(StreamReader().feed(b"data: " + json.dumps(event).encode() + b"\n"))
