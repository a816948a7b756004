"""Receives the body of a request within bounds, and parses it.

The parsed body takes several times the memory of its bytes, so callers keep only bytes while a request is held.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

from aiohttp import hdrs, web

from chatscale_contract.gateway.keys import KeyId
from chatscale_contract.openai.bounded_json import JsonBounds, parse_object
from chatscale_contract.openai.errors import ApiError, bad_request
from chatscale_gateway.http.extraction import RequestFacts, read_facts
from chatscale_gateway.http.options import HttpOptions

BOUNDS: Final = JsonBounds(depth=64, containers=200_000, commas=4_500_000, members=4096)
"""Wider than the inference server's: other runtimes accept more. A body of 16 MiB can hold 4 million token ids."""
BODIES_RETRY_AFTER_S: Final = 1


@dataclass(frozen=True, slots=True)
class ReceivedRequest:
    """A request that has arrived completely."""

    raw: bytes
    body: dict[str, Any]
    facts: RequestFacts


@dataclass(slots=True)
class BodySize:
    """Bytes of one request's body that have arrived."""

    owner: KeyId | None
    """The key of the request; None where authentication is off."""
    count: int = 0


@dataclass(slots=True)
class Intake:
    """Receives bodies. Counts the bytes of all requests that have not ended.

    One key gets at most three quarters of the limit, so that its slow or large requests do not keep out all others.
    """

    options: HttpOptions
    bodies_bytes: int = 0
    _by_key: dict[KeyId, int] = field(default_factory=dict)

    @contextmanager
    def counting(self, owner: KeyId | None) -> Iterator[BodySize]:
        """Wrap a request, from its body's first byte to its end. owner: its key."""
        size = BodySize(owner)
        try:
            yield size
        finally:
            self._count(size, -size.count)

    async def receive(self, http: web.BaseRequest, size: BodySize) -> ReceivedRequest:
        """Raises ApiError 400, 408, 413 or 429."""
        raw = await self._read(http, size)
        body = parse_object(raw, BOUNDS)
        return ReceivedRequest(raw, body, read_facts(body))

    async def _read(self, http: web.BaseRequest, size: BodySize) -> bytes:
        stated = http.content_length
        limit = self.options.max_body_bytes
        if stated is not None and stated > limit:
            raise _too_large(f"the body has {stated} bytes", limit)
        if http.content.is_eof():  # nearly always: it came with the headers, and needs no timer
            return await self._read_parts(http, size)
        try:
            async with asyncio.timeout(self.options.request_timeout_s):
                return await self._read_parts(http, size)
        except TimeoutError as error:
            text = f"the body did not arrive within {self.options.request_timeout_s:g} seconds"
            raise ApiError(408, text, code="timeout") from error
        except web.RequestPayloadError as error:
            raise bad_request(
                f"the body does not match its {hdrs.CONTENT_ENCODING} or {hdrs.TRANSFER_ENCODING}"
            ) from error

    async def _read_parts(self, http: web.BaseRequest, size: BodySize) -> bytes:
        parts = []
        while part := await http.content.readany():
            self._count(size, len(part))
            if size.count > self.options.max_body_bytes:
                raise _too_large("the body is larger", self.options.max_body_bytes)
            if self._is_full(size.owner):
                raise ApiError(
                    429,
                    "the request bodies in this gateway have too many bytes; try again later",
                    code="gateway_body_bytes",
                    retry_after_s=BODIES_RETRY_AFTER_S,
                )
            parts.append(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _count(self, size: BodySize, added: int) -> None:
        size.count += added
        self.bodies_bytes += added
        if size.owner is not None:
            self._by_key[size.owner] = self._by_key.get(size.owner, 0) + added
            if not self._by_key[size.owner]:
                del self._by_key[size.owner]

    def _is_full(self, owner: KeyId | None) -> bool:
        limit = self.options.max_bodies_bytes
        of_key = 0 if owner is None else self._by_key.get(owner, 0)
        return self.bodies_bytes > limit or of_key > max(self.options.max_body_bytes, limit * 3 // 4)


def _too_large(found: str, limit: int) -> ApiError:
    return ApiError(413, f"{found}; the limit is {limit} bytes", code="body_too_large")
