"""Which weights a model has now, as its API states it: the field `root` of vLLM and of the gateway.

The report of an evaluation names a model, and the weights behind a name can change.
"""

import json
import logging
from typing import Final

from aiohttp import ClientError, ClientSession, ClientTimeout, hdrs

from chatscale_assistant.upstream.body import read_body

log = logging.getLogger(__name__)

MAX_BYTES: Final = 64 * 1024
MAX_CHARACTERS: Final = 2048
_TIMEOUT: Final = ClientTimeout(total=5)
_NOT_SERVED: Final = frozenset({404, 405, 501})
_OK: Final = 200


async def read_weights(session: ClientSession, base_url: str, model: str, key: str) -> str | None:
    """GET /models/MODEL. Empty if the API does not state the weights, None if it does not answer.

    base_url: up to and without `/chat/completions`.  key: empty for none.
    """
    headers = {hdrs.AUTHORIZATION: f"Bearer {key}"} if key else {}
    address = f"{base_url.rstrip('/')}/models/{model}"
    try:
        async with session.get(address, headers=headers, timeout=_TIMEOUT, allow_redirects=False) as response:
            if response.status in _NOT_SERVED:
                return ""
            found = await read_body(response, MAX_BYTES)
            why = f"HTTP {response.status}" if response.status != _OK else ""
    except (TimeoutError, ClientError, OSError, ValueError) as error:
        found, why = b"", type(error).__name__
    if why:
        log.info("weights of the model not known", extra={"model": model, "why": why})
        return None
    return _root(found)


def _root(body: bytes) -> str:
    """`root` of a model object; empty if there is none."""
    try:
        model = json.loads(body)
    except (ValueError, RecursionError):
        return ""
    root = model.get("root") if isinstance(model, dict) else None
    return root[:MAX_CHARACTERS] if isinstance(root, str) else ""
