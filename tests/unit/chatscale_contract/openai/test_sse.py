"""Events are framed so that every client splits them the same way."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatscale_contract.openai import sse


@given(text=st.text(st.characters(codec="utf-8")))
def test_an_event_is_one_line_whatever_the_text(text):
    framed = sse.event({"text": text})
    assert framed.startswith(b"data: {")
    assert framed.endswith(b"\n\n")
    assert framed.count(b"\n") == 2
    assert b"\r" not in framed


def test_text_stays_readable():
    assert sse.event({"a": "ä\n", "b": None}) == 'data: {"a":"ä\\n","b":null}\n\n'.encode()


def test_a_comment_is_a_line_that_clients_ignore():
    assert sse.comment("keep-alive") == b": keep-alive\n\n"


@pytest.mark.parametrize("text", ["two\nlines", "data: x\r", "\n\ndata: [DONE]"])
def test_a_comment_cannot_contain_an_event(text):
    with pytest.raises(ValueError, match="one line"):
        sse.comment(text)
