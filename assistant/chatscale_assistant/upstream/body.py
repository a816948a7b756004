"""Reads the body of a response, at most so many bytes of it."""

from aiohttp import ClientResponse


async def read_body(response: ClientResponse, limit: int) -> bytes:
    """The body, cut after `limit` bytes."""
    raw = await response.content.read(limit)
    while not response.content.at_eof() and len(raw) < limit:
        raw += await response.content.read(limit - len(raw))
    return raw
