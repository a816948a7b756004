"""Who sends a request: from the key or token in its headers, before its body is read.

Nothing else that a client sends is identity: not OpenAI's `user`, not `OpenAI-Organization`, not the header of a proxy.
One message covers wrong, expired and revoked keys, so that a client cannot find out which keys existed.
"""

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final, Protocol

from aiohttp import HttpVersion11, hdrs, web
from aiohttp.typedefs import Handler, Middleware
from multidict import CIMultiDictProxy

from chatscale_contract.openai.errors import ApiError
from chatscale_gateway.http.boundary import RECORD
from chatscale_gateway.keys.caller import ANYBODY, Caller
from chatscale_gateway.keys.key_ring import KeyRing

KEY_HEADERS: Final = ("x-api-key", "api-key")
"""Headers whose whole value is a key, as some clients send it."""
INVALID_KEY: Final = "invalid_api_key"
"""OpenAI's code of a 401."""
_SCHEME: Final = "bearer"
_STARTING_RETRY_AFTER_S: Final = 1


class KeySource(Protocol):
    """What discovery has read."""

    @property
    def ring(self) -> KeyRing | None:
        """The current keys; None before the first complete list."""
        ...


class TokenVerifier(Protocol):
    """Checks tokens of an identity provider."""

    async def verify(self, token: str, wall_now: datetime) -> Caller | None:
        """The owner of the token; None if it is not valid. Raises ApiError 503 if no token can be checked."""
        ...


@dataclass(frozen=True, slots=True)
class Authentication:
    """Finds the caller of a request.

    tokens: None where no identity provider is configured.
    """

    keys: KeySource
    tokens: TokenVerifier | None = None
    wall_clock: Callable[[], float] = field(default=time.time)

    async def identify(self, headers: CIMultiDictProxy[str]) -> Caller:
        """Raises ApiError 401, or 503 before the first keys were read."""
        token = read_token(headers)
        ring = self.keys.ring
        if ring is None:
            text = "the gateway has not read its API keys yet"
            raise ApiError(503, text, code="gateway_starting", retry_after_s=_STARTING_RETRY_AFTER_S)
        now = datetime.fromtimestamp(self.wall_clock(), UTC)
        caller = ring.authenticate(token, now)
        if caller is None and self.tokens is not None:
            caller = await self.tokens.verify(token, now)
        if caller is None:
            raise _refused("the API key is not valid")
        return caller


def read_token(headers: CIMultiDictProxy[str]) -> str:
    """The one key of a request. Raises ApiError 401 for no key, and for several different ones."""
    found = {value.strip() for name in KEY_HEADERS for value in headers.getall(name, ())}
    for value in headers.getall(hdrs.AUTHORIZATION, ()):
        scheme, _, token = value.strip().partition(" ")
        if scheme.lower() == _SCHEME:
            found.add(token.strip())
    found.discard("")
    if not found:
        raise _refused("the request has no API key; send it as `Authorization: Bearer <key>`")
    if len(found) > 1:
        raise _refused("the request has several different API keys; send one")
    return found.pop()


def build_middleware(authentication: Authentication | None, is_open: Callable[[web.Request], bool]) -> Middleware:
    """Sets the caller of every request, or refuses it.

    authentication: None if it is off.  is_open: whether a request needs no key; it then has no caller.
    """

    @web.middleware
    async def authenticate(request: web.Request, handler: Handler) -> web.StreamResponse:
        if not is_open(request):
            await _set_caller(request, authentication)
        return await handler(request)

    return authenticate


def build_expectation(authentication: Authentication | None) -> Callable[[web.Request], Awaitable[None]]:
    """Answers `Expect: 100-continue` of a client with a key: aiohttp invites the body before it calls middlewares."""

    async def expect(request: web.Request) -> None:
        await _set_caller(request, authentication)
        if request.headers[hdrs.EXPECT].lower() != "100-continue":
            raise web.HTTPExpectationFailed
        if request.version >= HttpVersion11:
            await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            # The response itself has not begun.
            request.writer.output_size = 0

    return expect


async def _set_caller(request: web.Request, authentication: Authentication | None) -> None:
    record = request[RECORD]
    if authentication is None:
        record.caller = ANYBODY
    elif record.caller is None and not is_preflight(request):
        record.caller = await authentication.identify(request.headers)


def is_preflight(http: web.Request) -> bool:
    """Browsers send it without a key."""
    return http.method == hdrs.METH_OPTIONS and hdrs.ORIGIN in http.headers


def caller_of(http: web.Request) -> Caller:
    """The caller of a request that is authenticated. Raises RuntimeError for another one."""
    caller = http[RECORD].caller
    if caller is None:
        raise RuntimeError("the request is not authenticated")
    return caller


def _refused(message: str) -> ApiError:
    return ApiError(401, message, code=INVALID_KEY, retryable=False)
