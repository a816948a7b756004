"""Where the weights of a model are now, as its API states it: the field `root` of vLLM and of the gateway.

The report of an evaluation names a model, and the weights behind a name can change.
"""

import json
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final

from aiohttp import ClientError, ClientSession, ClientTimeout, hdrs

from chatscale_assistant.upstream.body import read_body

MAX_BYTES: Final = 4 * 1024**2
"""Of a response: an API can list hundreds of models."""
MAX_CHARACTERS: Final = 2048
_TIMEOUT: Final = ClientTimeout(total=5)
_NOT_SERVED: Final = frozenset({HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED, HTTPStatus.NOT_IMPLEMENTED})


@dataclass(frozen=True, slots=True)
class NotKnown:
    """Where the weights are is not known now: the API was not asked, refused the request, or did not answer."""

    reason: str
    """Such as `HTTP 403`."""
    refused: bool = False
    """The API answered, and will answer the same in two seconds."""


async def read_weights(session: ClientSession, base_url: str, model: str, key: str) -> str | NotKnown:
    """The location of the model's weights; empty if the API does not state it. Never raises.

    Reads GET /models/MODEL, and the list of GET /models if the API does not serve that: vLLM has only the list.

    base_url: up to and without `/chat/completions`.  key: empty for none.
    """
    headers: dict[str, str] = {hdrs.AUTHORIZATION: f"Bearer {key}"} if key else {}
    models = f"{base_url.rstrip('/')}/models"
    try:
        status, body = await _get(session, f"{models}/{model}", headers)
        if status in _NOT_SERVED:
            status, body = await _get(session, models, headers)
    except (TimeoutError, ClientError, OSError, ValueError) as error:
        return NotKnown(type(error).__name__)
    if status == HTTPStatus.OK:
        return _location(body, model)
    if status in _NOT_SERVED:
        return ""
    return NotKnown(f"HTTP {status}", refused=status < HTTPStatus.INTERNAL_SERVER_ERROR)


async def _get(session: ClientSession, address: str, headers: dict[str, str]) -> tuple[int, bytes]:
    """Status and body; the body is empty unless the status is 200."""
    async with session.get(address, headers=headers, timeout=_TIMEOUT, allow_redirects=False) as response:
        return response.status, await read_body(response, MAX_BYTES) if response.status == HTTPStatus.OK else b""


def _location(body: bytes, model: str) -> str:
    """`root` of a model object, or of the entry with this name in a list; empty if there is none."""
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        return ""
    if isinstance(found, dict) and isinstance(entries := found.get("data"), list):
        found = _entry(entries, model)
    root = found.get("root") if isinstance(found, dict) else None
    return root[:MAX_CHARACTERS] if isinstance(root, str) else ""


def _entry(entries: list[Any], model: str) -> Any:
    return next((each for each in entries if isinstance(each, dict) and each.get("id") == model), None)
