"""Turns error responses of the gateway and of replicas into messages for a person. Pure."""

import json
from typing import Any, Final

from chatscale_cli.errors import GatewayError, KeyRefusedError, UnknownModelError
from chatscale_cli.terminal_text import one_line
from chatscale_contract.gateway.live import LIVE_NOT_ALLOWED

_UNAUTHORIZED: Final = 401
_NOT_FOUND: Final = 404
_TOO_MANY_REQUESTS: Final = 429
_UNAVAILABLE: Final = 503
_MAX_CHARS: Final = 1000
_MAX_RETRY_DIGITS: Final = 9
_LIMIT_OF_KEY: Final = "rate_limit_exceeded"
_MODEL_NOT_FOUND: Final = "model_not_found"
_REMEDIES: Final = {
    LIVE_NOT_ALLOWED: "`chatscale key create NAME --live` creates a key that may read the live data",
    "context_length_exceeded": "/reset begins a new conversation",
}


def read_failure(status: int, body: bytes, retry_after: str | None) -> GatewayError:
    """The error of a response. retry_after: its header."""
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        found = None
    error = found.get("error") if isinstance(found, dict) else None
    if not isinstance(error, dict):
        return GatewayError(f"HTTP {status} without an error message: is this the address of a Chatscale gateway?")
    return describe_error(status, error, _seconds(retry_after))


def describe_error(status: int, error: dict[str, Any], retry_after_s: int | None = None) -> GatewayError:
    """The error for an OpenAI error object. status: 200 for an error event in a stream.

    retry_after_s: None if the response does not say when to try again.
    """
    code = str(error.get("code"))
    text = one_line(str(error.get("message") or f"HTTP {status}"))[:_MAX_CHARS].rstrip(".")
    again = "" if retry_after_s is None else f"; try again in {retry_after_s} s"
    if status == _UNAUTHORIZED or code == "invalid_api_key":
        return KeyRefusedError(f"the gateway does not accept the request: {text}")
    if code == _MODEL_NOT_FOUND or (status == _NOT_FOUND and error.get("param") == "model"):
        return UnknownModelError(text)
    if code in _REMEDIES:
        return GatewayError(f"{text}. {_REMEDIES[code]}")
    if code == _LIMIT_OF_KEY:
        prefix = "a limit of the API key is reached: "
    elif status == _TOO_MANY_REQUESTS or error.get("type") == "rate_limit_error":
        prefix = "the queue is full: "
    else:
        prefix = "no replica took the request: " if status == _UNAVAILABLE else ""
    return GatewayError(f"{prefix}{text}{again}")


def _seconds(text: str | None) -> int | None:
    is_number = text is not None and text.isascii() and text.isdecimal() and len(text) <= _MAX_RETRY_DIGITS
    return int(text) if is_number and text is not None else None
