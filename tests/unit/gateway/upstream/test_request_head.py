"""The head of a request is what it was meant to be, or nothing."""

import pytest

from chatscale_gateway.upstream.request_head import request_head


def test_writes_a_post():
    assert request_head("10.0.0.1:8000", "/v1/x", {"Content-Type": "application/json", "b": "caf\u00e9"}, 12) == (
        b"POST /v1/x HTTP/1.1\r\nHost: 10.0.0.1:8000\r\nContent-Type: application/json\r\nb: caf\xc3\xa9\r\n"
        b"Content-Length: 12\r\n\r\n"
    )


def test_passes_bytes_that_are_not_text():
    value = b"\xff".decode(errors="surrogateescape")
    assert b"a: \xff\r\n" in request_head("h:1", "/", {"a": value}, 0)


@pytest.mark.parametrize("character", ["\r", "\n", "\r\n", "\0", "\x0b", "\x1b", "\x7f"])
@pytest.mark.parametrize("place", ["path", "name", "value"])
def test_never_writes_a_control_character(place, character):
    text = f"a{character}b"
    with pytest.raises(ValueError, match=r"character"):
        request_head("h:1", f"/{text}" if place == "path" else "/", {
            text if place == "name" else "x": text if place == "value" else "y"
        }, 0)  # fmt: skip


@pytest.mark.parametrize("name", ["", " ", "a b", "a:", "a\u00e9", '"a"'])
def test_never_writes_a_name_that_is_no_token(name):
    with pytest.raises(ValueError, match="token"):
        request_head("h:1", "/", {"x": "1", name: "2"}, 0)


@pytest.mark.parametrize("path", ["", "v1", "/a b", "/\u00e9", "http://h/"])
def test_never_writes_a_path_that_is_no_path(path):
    with pytest.raises(ValueError, match="path"):
        request_head("h:1", path, {}, 0)
