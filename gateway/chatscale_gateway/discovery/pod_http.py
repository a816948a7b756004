"""One GET of JSON from a pod, for loads and demand reports. Pods are untrusted: no redirects, bounded bodies."""

import asyncio
import json
from typing import Any, Final

import aiohttp

_OK: Final = 200


class UnexpectedStatusError(Exception):
    """An answer with a status other than 200."""

    def __init__(self, status: int) -> None:
        super().__init__(f"HTTP {status}")
        self.status: Final = status


def pod_session() -> aiohttp.ClientSession:
    """The session for `get_json`. It keeps connections between readings, and no cookies.

    Compressed answers are not expanded: a small one could expand to gigabytes.
    """
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, use_dns_cache=False),
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        headers={"Accept-Encoding": "identity"},
        trust_env=False,
    )


def url_of(address: str, port: int, path: str) -> str:
    """The URL of a path on a pod. address: IPv4 or IPv6."""
    return f"http://[{address}]:{port}{path}" if ":" in address else f"http://{address}:{port}{path}"


async def get_json(session: aiohttp.ClientSession, url: str, timeout_s: float, max_bytes: int) -> Any:
    """GET a JSON document.

    Raises UnexpectedStatusError, TimeoutError, aiohttp.ClientError, OSError, or ValueError for what is not JSON or is
    longer than `max_bytes`.
    """
    async with (
        asyncio.timeout(timeout_s),
        session.get(url, allow_redirects=False) as response,
    ):
        if response.status != _OK:
            raise UnexpectedStatusError(response.status)
        body = bytearray()
        async for chunk in response.content.iter_any():
            body += chunk
            if len(body) > max_bytes:
                raise ValueError(f"the answer has more than {max_bytes} bytes")
    try:
        return json.loads(bytes(body))
    except RecursionError as error:
        raise ValueError("the answer is nested too deeply") from error
