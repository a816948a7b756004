"""Bodies of requests. Their size and the time to send them are bounded."""

import asyncio
from typing import Any, Final

from aiohttp import web

from chatscale_assistant.http.options import HttpOptions
from chatscale_contract.openai.bounded_json import JsonBounds, parse_object
from chatscale_contract.openai.errors import ApiError, bad_request

BOUNDS: Final = JsonBounds(depth=24, containers=200_000, commas=1_000_000, members=4096)


async def read_object(http: web.Request, options: HttpOptions, limit: int) -> dict[str, Any]:
    """The JSON object in the body.  limit: bytes.  Raises ApiError 400, 408 or 413."""
    return parse_object(await read_body(http, options, limit), BOUNDS)


async def read_body(http: web.Request, options: HttpOptions, limit: int) -> bytes:
    """The body.  limit: bytes.  Raises ApiError 400, 408 or 413."""
    if http.content_length is not None and http.content_length > limit:
        raise _too_large(limit)
    parts, size = [], 0
    try:
        async with asyncio.timeout(options.request_timeout_s):
            while part := await http.content.readany():
                size += len(part)
                if size > limit:
                    raise _too_large(limit)
                parts.append(part)
    except TimeoutError as error:
        text = f"the body did not arrive within {options.request_timeout_s:g} seconds"
        raise ApiError(408, text, code="timeout") from error
    except web.RequestPayloadError as error:
        raise bad_request("the body does not match its headers") from error
    return b"".join(parts)


def _too_large(limit: int) -> ApiError:
    return ApiError(413, f"the body is larger than {limit} bytes", code="body_too_large")
