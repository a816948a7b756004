"""Every refusal is a message with a next step."""

import json

import pytest

from chatscale_cli.errors import GatewayError, KeyRefusedError, UnknownModelError
from chatscale_cli.gateway.problems import read_failure

NOT_ACCEPTED = "the gateway does not accept the request: x"
NO_REPLICA = "no replica took the request: x"
LONG = "x. /reset begins a new conversation"


@pytest.mark.parametrize(
    ("status", "code", "retry", "kind", "text"),
    [
        pytest.param(401, "invalid_api_key", None, KeyRefusedError, NOT_ACCEPTED, id="key"),
        pytest.param(404, "model_not_found", None, UnknownModelError, "x", id="model"),
        pytest.param(429, "held_requests", "12", GatewayError, "the queue is full: x; try again in 12 s", id="full"),
        pytest.param(
            429, "rate_limit_exceeded", "9", GatewayError, "a limit of the API key is reached: x; try again in 9 s",
            id="limit",
        ),
        pytest.param(503, "model_stopped", None, GatewayError, NO_REPLICA, id="stopped"),
        pytest.param(503, "hold_timeout", "3", GatewayError, f"{NO_REPLICA}; try again in 3 s", id="hold"),
        pytest.param(400, "context_length_exceeded", None, GatewayError, LONG, id="long"),
        pytest.param(
            403, "live_not_allowed", None, GatewayError,
            "x. `chatscale key create NAME --live` creates a key that may read the live data", id="live",
        ),
        pytest.param(500, None, "soon", GatewayError, "x", id="other"),
    ],
)  # fmt: skip
def test_says_what_happened_and_when_to_try_again(
    status: int, code: str | None, retry: str | None, kind: type[GatewayError], text: str
):
    body = json.dumps({"error": {"message": "x.", "type": "t", "param": None, "code": code}}).encode()
    error = read_failure(status, body, retry)
    assert (type(error), str(error)) == (kind, text)


@pytest.mark.parametrize("body", [b"<html>", b"[]", b'{"error": "no"}', b"\xff", b"[" * 100_000])
def test_another_server_is_named_as_such(body: bytes):
    assert str(read_failure(502, body, None)).startswith("HTTP 502 without an error message")


def test_the_text_of_a_server_cannot_control_the_terminal():
    body = json.dumps({"error": {"message": "a\x1b[2J\nb" + "c" * 5000, "code": ["x"]}}).encode()
    text = str(read_failure(500, body, None))
    assert text.startswith("a\u241b[2J bccc")
    assert len(text) == 1000
